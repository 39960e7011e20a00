"""Drives a page along a path and reads when it showed what."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fields.cli.view import is_stored
from fields.errors import FieldsError, MissingLibrary

Row = dict[str, Any]
WARM_UP = 60  # poses
REFRESH = 60.0  # of headless Chromium, in Hz
# What "60 frames a second" means here: see `claims`.
FRESH, P95, P99 = 58.0, 18.0, 33.4
_WAIT = 120.0  # seconds for whatever comes in a moment
_BAKED_WAIT = 90.0  # seconds for the proxy of a scene that is fitted: at first it is fog
_VIEWS = 8  # that tell what a proxy loses
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# A pose for every refresh; flat subjects are moved and zoomed, solid ones turned and approached.
_DRIVE = """(poses) => {
  const app = window.fieldsViewer, subject = app.subject;
  const flat = !subject.camera;
  const zoom = subject.zoom, at = subject.at && [...subject.at];
  const distance = subject.camera && subject.camera.distance;
  const pitch = subject.camera && subject.camera.pitch;
  let n = 0;
  app.driven = false;
  app.drive = (now) => {
    if (n === poses.warm) { app.frames.measure(); app.begun = now; }
    if (n > poses.warm + poses.count) {
      app.drive = null;
      app.ended = now;
      app.driven = true;
      return;
    }
    const t = 2 * Math.PI * n / 600;
    n += 1;
    if (flat) {
      subject.zoom = zoom * 2 ** (1 - Math.cos(t));
      subject.at = at.map((v, i) => v * (1 + 0.25 * Math.sin(t * (i ? 3 : 2))));
    } else {
      subject.camera.exact = null;
      subject.camera.yaw += 4 * Math.PI / 600;
      subject.camera.pitch = pitch + 0.25 * Math.sin(2 * t);
      subject.camera.distance = distance * (1 - 0.25 * Math.sin(t));
    }
  };
}"""
_READ = """() => {
  const { frames, begun, ended, subject } = window.fieldsViewer;
  const proxy = window.fieldsViewer.proxy;
  return { log: frames.log, skipped: frames.skipped, begun, ended, flat: !subject.camera, proxy };
}"""


def find_browser(named: str | None) -> str:
    """The file of a Chromium; MissingLibrary where it, or playwright, is not there."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        raise MissingLibrary(
            "fields bench viewer needs playwright: pip install playwright"
        ) from None
    if named is not None:
        if not (Path(named).is_file() and os.access(named, os.X_OK)):
            raise FieldsError(f"{named} is no program; name a Chromium")
        return named
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise MissingLibrary(
            "fields bench viewer needs Chromium (Debian: apt-get install chromium)"
        )
    return found


def measure(
    thing: str, size: tuple[int, int], options: argparse.Namespace, browser: str, folder: Path
) -> list[Row]:
    """A row for each round."""
    from playwright.sync_api import sync_playwright

    rows = []
    with (
        _viewing(thing, folder, options.proxy) as (url, training, process),
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": size[0], "height": size[1]})
        page.goto(url)
        _until(page, "document.documentElement.dataset.ready === 'yes'")
        page.evaluate("fieldsViewer.fold()")
        if not training:
            _until(page, "fieldsViewer.subject.exact")
        common = {"work": Path(thing).name, "engine": "fields", "width": size[0],
                  "height": size[1], "training": training, "browser": chromium.version}  # fmt: skip
        for way in _ways(page, None if training else thing, size):
            for number in range(options.rounds):
                time.sleep(1.0)
                row = _round(page, options.poses, process, training)
                rows.append({**common, **way, "round": number, **row})
        chromium.close()
    return rows


def _ways(page: Any, run: str | None, size: tuple[int, int]) -> Iterator[Row]:
    """How what moves is drawn: a scene from its field, and from its proxy once that is baked, with
    what that loses of a run. A bake does not go on beside what is measured, but while a scene is
    fitted, where it belongs to it."""
    if not page.evaluate("!!fieldsViewer.proxy"):
        yield {}
        return
    if run:
        _until(page, "fieldsViewer.proxy.state !== 'baking'")
    page.evaluate("fieldsViewer.set('use_proxy', false, true)")
    yield {"asked": "field"}
    page.evaluate("fieldsViewer.set('use_proxy', true, true)")
    with contextlib.suppress(FieldsError):
        _until(page, "fieldsViewer.proxy.state === 'ready'", wait=0 if run else _BAKED_WAIT)
        yield {"asked": "proxy", "proxy_psnr": proxy_psnr(run, size) if run else None}


def proxy_psnr(path: str, size: tuple[int, int]) -> float:
    """dB of the pictures of a scene's proxy against those of its field, mean of views around it."""
    from fields.bricks import bake
    from fields.runs import SceneRun, load
    from fields.runs.scene_bricks import BakedScene, eyes_of

    run = load(path)
    assert isinstance(run, SceneRun)
    bricks = bake(run.field, eyes_of(run))
    assert bricks is not None  # since the viewer has them too
    baked, found = BakedScene(run, bricks), []
    for camera in run.orbit(_VIEWS, size):
        difference = baked.picture(camera) / 255.0 - run.render(camera=camera) / 255.0
        found.append(-10 * np.log10(max(float((difference**2).mean()), 1e-10)))
    return round(float(np.mean(found)), 2)


def _round(page: Any, poses: int, process: subprocess.Popen, training: bool) -> Row:
    page.evaluate("fieldsViewer.home()")
    page.evaluate(_DRIVE, {"warm": WARM_UP, "count": poses})
    _until(page, "fieldsViewer.begun > 0 && fieldsViewer.frames.kept === Infinity")
    before, begun = cpu_seconds(process.pid), time.perf_counter()
    _until(page, "fieldsViewer.driven", every=0.25)
    passed = time.perf_counter() - begun
    after = cpu_seconds(process.pid)
    still = None
    if not training:
        _until(page, "fieldsViewer.subject.exact")
        still = page.evaluate("(fieldsViewer.frames.stillAt - fieldsViewer.ended) / 1000")
    figures = figures_of(page.evaluate(_READ))
    page.evaluate("fieldsViewer.begun = 0; fieldsViewer.frames.kept = 300;")
    cores = os.cpu_count() or 1
    shares = {
        name: round((after[i] - before[i]) / passed / cores, 3)
        for i, name in enumerate(("server_share", "browser_share"))
    }
    return {**figures, **shares, "still_seconds": still}


def figures_of(report: dict[str, Any]) -> Row:
    """What a page kept, as figures; times in milliseconds.

    Fresh is a frame of a pose that was not shown before; a flat one counts when all its tiles are
    there.
    """
    log = report["log"]
    seconds = (report["ended"] - report["begun"]) / 1000
    seen: dict[int, dict[str, Any]] = {}
    for frame in log:
        seen.setdefault(frame["id"], frame)
    times = np.array([frame["t"] for frame in seen.values()])
    waits = np.array([f["t"] - f["sent"] for f in seen.values() if f["sent"] is not None])
    gaps = np.diff(times) if len(times) > 1 else np.array([1000 * seconds])
    scales = np.array([frame["scale"] for frame in seen.values()] or [0.0])
    drawn = {frame["drawn"] for frame in seen.values()}
    row: Row = {
        "fresh_per_second": round(len(seen) / seconds, 2),
        "repeats": len(log) - len(seen),
        "skipped": report["skipped"],
        "scale_median": float(np.median(scales)),
        "scale_min": float(scales.min()),
        "drawn": "tiles" if report["flat"] else "proxy" if drawn == {1} else "field",
        "draw_ms": _median([frame["drawUs"] / 1000 for frame in seen.values()]),
        "encode_ms": _median([frame["encodeUs"] / 1000 for frame in seen.values()]),
    }
    for name, values in (("interval", gaps), ("pose_to_present", waits)):
        for percent in (50, 95, 99):
            row[f"{name}_p{percent}"] = _percentile(values, percent)
        row[f"{name}_max"] = _percentile(values, 100)
    if row["drawn"] == "proxy":
        told = report["proxy"]
        row |= {f"proxy_{name}": told[name] for name in ("resolution", "bytes", "seconds")}
    return row | {"is_60": claims(row)}


def claims(row: Row) -> bool:
    """Whether "60 frames a second" may be said of it."""
    return (
        row["fresh_per_second"] >= FRESH
        and row["interval_p95"] <= P95
        and row["interval_p99"] <= P99
    )


def _percentile(values: np.ndarray, percent: int) -> float | None:
    return round(float(np.percentile(values, percent)), 2) if len(values) else None


def _median(values: list[float]) -> float | None:
    return round(float(np.median(values)), 2) if values else None


def _until(page: Any, holds: str, every: float = 0.05, wait: float = _WAIT) -> None:
    end = time.monotonic() + wait
    while not page.evaluate(holds):
        if time.monotonic() > end:
            said = page.text_content("#message") or "nothing"
            raise FieldsError(f"the page did not come so far within {wait:g} s; it says: {said}")
        time.sleep(every)


@contextlib.contextmanager
def _viewing(thing: str, folder: Path, proxy: str) -> Iterator[tuple[str, bool, subprocess.Popen]]:
    """A viewer in a process of its own: its address, and whether it fits meanwhile."""
    is_run = is_stored(thing)
    command = [sys.executable, "-m", "fields", "view", thing, "--no-open", "--port", "0"]
    command += ["--proxy", proxy]
    if not is_run:
        out = folder / f"meanwhile-{len(list(folder.iterdir()))}"
        command += ["--out", str(out), "--seconds", "3600"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if line.startswith("http://"):
                break
        else:
            raise FieldsError(
                f"{thing} cannot be viewed: "
                f"{said[-1].removeprefix('fields: ') if said else 'it ended'}"
            )
        yield said[-1], not is_run, process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def cpu_seconds(server: int) -> tuple[float, float]:
    """Processor time of the viewer's process, and of all others that this one has started."""
    tick = os.sysconf("SC_CLK_TCK")
    parents, spent = {}, {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
            spent[int(folder.name)] = (int(fields[11]) + int(fields[12])) / tick
    here = os.getpid()
    others = 0.0
    for process in parents:
        above, depth = process, 0
        while above in parents and above not in (here, server) and depth < 50:
            above, depth = parents[above], depth + 1
        if above == here and process != here:
            others += spent[process]
    return spent.get(server, 0.0), others
