"""`fields bench proxy RUN ...`: the bake of scenes for the viewer, beside the fields themselves.

Of each run the test views are drawn by the field and by its bricks, at the size of the photos: PSNR
of both against the photos, of the bricks against the field, the time of a picture, and what the
bake took. Times of pictures are medians over views, of each the quickest of three.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from fields.errors import FieldsError

Row = dict[str, Any]
_TIMES = 3  # that each view is drawn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", help="run folders of scenes, or field.safetensors")
    add("--resolution", type=int, default=512, metavar="N", help="cells along an axis (512)")
    add("--degree", type=int, default=4, metavar="N", help="of the harmonics of colours (4)")
    add("--split", default="test", help="whose views are drawn (test)")
    add("--views", type=int, default=25, metavar="N", help="of them, spread over the split (25)")
    add("--threads", type=int, metavar="N", help="by default what may be used")
    add("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    if options.resolution not in (64, 128, 256, 512, 1024):
        raise FieldsError(
            f"--resolution must be 64, 128, 256, 512 or 1024, got {options.resolution}"
        )
    if not 1 <= options.degree <= 4:
        raise FieldsError(f"--degree must be from 1 to 4, got {options.degree}")
    if options.views < 1:
        raise FieldsError(f"--views must be at least 1, got {options.views}")
    from fields import device
    from fields.bench import machine

    with device.threads(options.threads) as threads:
        about = machine.describe(threads)
        rows = [row for path in options.runs for row in rows_of(path, options)]
    result = {"machine": about, "commit": machine.commit(), "rows": rows}
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


def rows_of(path: str, options: argparse.Namespace) -> list[Row]:
    """Of the field, and of its bricks."""
    import numpy as np

    from fields.bricks import bake, can_be_baked
    from fields.runs import SceneRun, load
    from fields.runs.scene_bricks import BakedScene, eyes_of
    from fields.signals.view_score import view_psnr

    run = load(path)
    if not isinstance(run, SceneRun) or not can_be_baked(run.field):
        raise FieldsError(f"{path} is no scene that can be baked: still, and with an end")
    seconds = _clock()
    bricks = bake(run.field, eyes_of(run), resolution=options.resolution, degree=options.degree)
    bake_seconds = seconds()
    if bricks is None:
        raise FieldsError(f"{path} has too much matter for bricks; it is hardly trained")
    baked = BakedScene(run, bricks)
    scene = run.source()
    every = max(len(scene.splits.get(options.split) or ()) // options.views, 1)
    found: dict[str, list[Any]] = {"field": [], "proxy": [], "between": []}
    for i, (frame, traced, photo, mask) in enumerate(run.views(scene, options.split)):
        if i % every or not baked.shows(frame.camera):
            continue
        drawn = {"field": run.values(frame.camera, traced)}
        drawn["proxy"] = run.values(frame.camera, baked.trace(frame.camera))
        for name, draw in (("field", run.trace), ("proxy", baked.trace)):
            took = _quickest(draw, frame.camera)
            found[name].append((view_psnr(drawn[name], photo, mask), took))
        found["between"].append(view_psnr(drawn["proxy"], drawn["field"], mask))
    if not found["between"]:
        raise FieldsError(f"{path} has no view whose lens bends no rays")
    camera = next(run.views(scene, options.split)).frame.camera
    common = {"work": scene.name, "width": camera.width, "height": camera.height}
    common["views"] = len(found["between"])

    def of(name: str) -> Row:
        scores, times = zip(*found[name], strict=True)
        return {
            "engine": name,
            "psnr": round(float(np.mean(scores)), 2),
            "milliseconds": round(1e3 * float(np.median(times)), 2),
        }

    field_bytes = sum(p.numel() * p.element_size() for p in run.field.parameters())
    return [
        {**common, **of("field"), "bytes": field_bytes},
        {
            **common,
            **of("proxy"),
            "bytes": bricks.bytes,
            "psnr_to_field": round(float(np.mean(found["between"])), 2),
            "bake_seconds": round(bake_seconds, 2),
            "resolution": bricks.resolution,
            "degree": bricks.degree,
            "bricks": len(bricks.vertices),
            "rows": len(bricks.colours),
        },
    ]


def _clock() -> Callable[[], float]:
    begun = time.perf_counter()
    return lambda: time.perf_counter() - begun


def _quickest(draw: Callable[..., Any], camera: Any) -> float:
    """Seconds of the quickest of some calls."""
    times = []
    for _ in range(_TIMES):
        seconds = _clock()
        draw(camera)
        times.append(seconds())
    return min(times)


def show(result: dict[str, Any]) -> None:
    """As a table."""
    from rich.table import Table

    from fields.bench.report import console, heading

    out = console()
    heading(out, result)
    table = Table()
    for title in ("scene", "drawn from", "PSNR, dB", "to the field, dB", "picture", "ms", "MB",
                  "baked in, s"):  # fmt: skip
        table.add_column(title, justify="left" if title in ("scene", "drawn from") else "right")
    for row in result["rows"]:
        is_proxy = row["engine"] == "proxy"
        cells = f"{row['resolution']}^3, degree {row['degree']}" if is_proxy else ""
        table.add_row(
            row["work"], f"bricks, {cells}" if is_proxy else "the field", f"{row['psnr']:.2f}",
            f"{row['psnr_to_field']:.2f}" if is_proxy else "–",
            f"{row['width']} x {row['height']}", f"{row['milliseconds']:.1f}",
            f"{row['bytes'] / 1e6:.1f}", f"{row['bake_seconds']:.1f}" if is_proxy else "–",
        )  # fmt: skip
    out.print(table)
    out.print(
        "PSNR against the photos, and of the bricks' pictures against the field's; milliseconds of"
        " a picture with all its outputs: the quickest of three, medians over views.",
        style="dim",
    )
