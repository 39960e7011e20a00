"""`fields scene MODEL`: make a scene of a mesh, with known geometry."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fields.cli.parser import Parser, whole
from fields.cli.presets import table
from fields.errors import FieldsError, either
from fields.lens import STRAIGHT, Fisheye, Lens, Perspective

DEMO = "demo-scene"
_CORNER = 0.51  # of the pictures of made scenes: focal lengths from the middle
LENSES = {
    "barrel": Perspective((-0.25, 0.08, 0.0, 0.0), (0.001, -0.0005)),
    "pincushion": Perspective((0.2, 0.05, 0.0, 0.0), (-0.001, 0.0005)),
    "fisheye": Fisheye((0.05, -0.01, 0.002, 0.0)),
}


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("scene", "Make a scene in Blender's format: a mesh drawn from many sides.")
    add = parser.add_argument
    add(
        "model", metavar="MODEL", nargs="?",
        help=f"a mesh (OBJ, PLY, STL, OFF, GLB, glTF), or {DEMO}, which needs no open3d",
    )  # fmt: skip
    add("-o", "--out", metavar="FOLDER", help="where to (MODEL-scene)")
    add(
        "--views", type=whole, default=100, metavar="N",
        help="to train on; a quarter as many are for the test (100)",
    )  # fmt: skip
    add("--size", type=whole, default=400, metavar="N", help="pixels along a side (400)")
    add("--seed", type=whole, default=0, metavar="N", help="of where cameras stand (0)")
    add("--animate", action="store_true", help="it moves, and views have times from 0 to 1")
    add("--up", metavar="AXIS", help="what points up in the file: x, y or z (y; of STL z)")
    add(
        "--distortion", type=lens, default=STRAIGHT, metavar="LENS",
        help=f"{either(LENSES)}, or k1,k2,p1,p2 as of OpenCV (none)",
    )  # fmt: skip
    add("--differ", action="store_true", help="each camera has intrinsics of its own")
    add(
        "--outdoors", action="store_true",
        help="on ground under a sky, opaque: a scene without an end, in one transforms.json",
    )  # fmt: skip
    add("--presets", action="store_true", help="list the presets of fields fit, and make nothing")
    parsed = parser.parse(arguments)
    if parsed.presets:
        print(table())
        return
    if parsed.model is None:
        parser.error("the following arguments are required: MODEL")
    if parsed.up not in (None, "x", "y", "z"):
        raise FieldsError(f"--up must be x, y or z, got {parsed.up!r}")
    make(parsed)


def make(parsed: argparse.Namespace) -> None:
    from fields.pictures.naming import shown
    from fields.progress import Bar, Lines
    from fields_scenes.demo import render_demo
    from fields_scenes.generate import Wanted, render_model

    wanted = Wanted(
        views=parsed.views,
        size=parsed.size,
        seed=parsed.seed,
        animate=parsed.animate,
        lens=parsed.distortion,
        differ=parsed.differ,
        outdoors=parsed.outdoors,
    )
    name = DEMO if parsed.model == DEMO else f"{Path(parsed.model).stem}-scene"
    out = Path(parsed.out or name)
    progress = Bar() if sys.stderr is not None and sys.stderr.isatty() else Lines()
    if parsed.model == DEMO and not Path(DEMO).is_file():
        render_demo(out, wanted, progress=progress)
    else:
        render_model(Path(parsed.model), out, wanted, up=parsed.up, progress=progress)
    counts = ", ".join(f"{count} {split}" for split, count in wanted.splits.items())
    print(f"{shown(out)}: {counts} views of {parsed.size} x {parsed.size}, geometry.ply")


def lens(text: str) -> Lens:
    """A lens by its name or its numbers."""
    if text in LENSES:
        return LENSES[text]
    try:
        k1, k2, p1, p2 = map(float, text.split(","))
        if not all(abs(value) < 10 for value in (k1, k2, p1, p2)):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be {either(LENSES)}, or k1,k2,p1,p2, such as -0.1,0.01,0,0, got {text!r}"
        ) from None
    made = Perspective((k1, k2, 0.0, 0.0), (p1, p2))
    if made.farthest < _CORNER:
        raise argparse.ArgumentTypeError(
            f"folds the picture: a lens of {text} shows nothing beyond {made.farthest:.2f} of the"
            f" focal length, and the corners are at {_CORNER:.2f}; take less of k1 and k2"
        )
    return made
