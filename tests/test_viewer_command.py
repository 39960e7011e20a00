"""`fields view` and `fields bench viewer`, as commands."""

import json
import signal
import subprocess
import sys

import pytest
from small import TINY, one_line, picture
from viewers import CHROMIUM, Page, fitted_scene, until

import fields
from fields.cli import main
from fields_viewer.bench import driving
from fields_viewer.bench.shown import table, worst


class Addressed:
    """A viewer in another process, as a Page takes one."""

    def __init__(self, url):
        from types import SimpleNamespace

        self.port = int(url.split(":")[2].partition("/")[0])
        self.guard = SimpleNamespace(token=url.partition("#")[2])


def started(*arguments):
    """`fields view` in a process of its own, and the address that it printed."""
    command = [sys.executable, "-m", "fields", "view", *map(str, arguments), "--no-open"]
    process = subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said = []
    for line in process.stdout or ():
        said.append(line.strip())
        if line.startswith("http://"):
            return process, Addressed(line.strip())
    raise AssertionError(said)


def ended(process):
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    return out


def test_a_run_is_viewed_until_ctrl_c(tmp_path):
    run = fields.fit(picture(), out=tmp_path / "run", steps=5, **TINY)
    process, viewer = started(run.path)
    try:
        assert Page(viewer).message("welcome")["title"] == "run"
    finally:
        Page.close_all()
        out = ended(process)
    assert process.returncode == 0
    assert "Traceback" not in out


def test_a_source_is_fitted_in_view_and_stays(tmp_path):
    from fields.pictures import write_picture

    write_picture(tmp_path / "p.png", picture())
    process, viewer = started(
        tmp_path / "p.png", "--out", tmp_path / "run", "--steps", 40, "--log2-table-size", 8,
        "--share", 0.5,
    )  # fmt: skip
    try:
        page = Page(viewer)
        state = page.message("welcome")["training"]
        while state["state"] != "ended":
            state = page.message("training")
        assert state["step"] == 40
        assert "dB" in state["text"]
        assert fields.load(tmp_path / "run").steps == 40
        page.send("flat", id=1, size=[56, 40], crop=[0, 0, 56, 40], still=1)
        assert page.still(56, 40).any()
    finally:
        Page.close_all()
        out = ended(process)
    assert process.returncode == 0
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere", "--no-open"], "nowhere is neither a file nor a sample"),
        (["nowhere.safetensors"], "nowhere.safetensors does not exist"),
        (["x", "--port", "99999"], "--port must be from 0 to 65,535"),
        (["x", "--share", "2"], "--share must be from 0 to 1"),
        (["x", "--proxy", "maybe"], "--proxy"),
        (["x", "--port", "a"], "--port must be a whole number"),
        ([], "needs RUN|SOURCE"),
        (["RUN", "--stepps", "3"], "has no option --stepps"),
        (["RUN", "--allow-origin", "hub"], "--allow-origin must be such as"),
        (["RUN", "--host", "300.1.1.1"], "the viewer cannot listen"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, capsys, arguments, line):
    run = fields.fit(picture(), out=tmp_path / "run", steps=1, **TINY)
    arguments = [str(run.path) if a == "RUN" else a for a in arguments]
    assert main(["view", *arguments]) == 2
    assert line in one_line(capsys.readouterr().err)


def report(times, sent=None):
    log = [
        {"t": t, "id": i, "sent": (sent or times)[i], "scale": 1.0, "drawn": 0, "drawUs": 2000,
         "encodeUs": 1000}
        for i, t in enumerate(times)
    ]  # fmt: skip
    return {"log": log, "skipped": 0, "begun": 0.0, "ended": times[-1], "flat": False}


def test_60_is_claimed_of_a_page_that_shows_60_and_of_no_other():
    steady = [1000 / 60 * i for i in range(601)]
    row = driving.figures_of(report(steady))
    assert row["fresh_per_second"] == pytest.approx(60, abs=0.2)
    assert row["is_60"]
    late = [t + (40 if i % 15 == 0 else 0) for i, t in enumerate(steady)]
    assert not driving.figures_of(report(late))["is_60"]
    doubled = report(steady)
    for frame in doubled["log"]:
        frame["id"] //= 2
    row = driving.figures_of(doubled)
    assert row["repeats"] == 300
    assert not row["is_60"]


def test_a_page_that_shows_nothing_claims_nothing():
    row = driving.figures_of({"log": [], "skipped": 0, "begun": 0, "ended": 9000, "flat": True})
    assert row["fresh_per_second"] == 0
    assert not row["is_60"]
    assert row["pose_to_present_p99"] is None


def test_the_worst_round_counts():
    rows = [{"is_60": True, "fresh_per_second": 60.0}, {"is_60": False, "fresh_per_second": 59.0}]
    assert worst(rows) == {"is_60": False, "fresh_per_second": 59.0}


def test_a_short_drive_of_a_run_and_of_a_fit(tmp_path, capsys, monkeypatch):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here (Debian: apt-get install chromium)")
    from fields.pictures import write_picture

    monkeypatch.setattr(driving, "WARM_UP", 5)
    write_picture(tmp_path / "p.png", picture())
    run = fields.fit(tmp_path / "p.png", out=tmp_path / "run", steps=5, **TINY)
    until(lambda: run.path.is_dir())
    things = [str(run.path), str(tmp_path / "p.png")]
    options = ["--rounds", "1", "--poses", "20", "--size", "200x160"]
    assert main(["bench", "viewer", *things, *options, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["training"] for row in rows] == [False, True]
    assert all(row["drawn"] == "tiles" and row["fresh_per_second"] > 0 for row in rows)
    assert rows[0]["still_seconds"] >= 0


def test_a_scene_is_driven_from_its_field_and_from_its_proxy(tmp_path, capsys, monkeypatch):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here (Debian: apt-get install chromium)")
    monkeypatch.setattr(driving, "WARM_UP", 5)
    run = fitted_scene(tmp_path)
    options = ["--rounds", "1", "--poses", "20", "--size", "200x160"]
    assert main(["bench", "viewer", str(run.path), *options, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    field, proxy = result["rows"]
    assert (field["asked"], field["drawn"]) == ("field", "field")
    assert (proxy["asked"], proxy["drawn"]) == ("proxy", "proxy")
    assert proxy["proxy_psnr"] > 25
    assert proxy["proxy_bytes"] > 0
    table(result)
    assert f"proxy, {proxy['proxy_psnr']:.1f} dB to the field" in capsys.readouterr().out
