"""`fields render RUN`: draw a fitted field, at any size."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fields.cli.notes import say_fallback
from fields.cli.parser import Parser, box, size

if TYPE_CHECKING:
    from fields.runs import PictureRun, Run


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("render", "Draw a fitted field, at any size.")
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, or a field.safetensors")
    add("-o", "--out", metavar="FILE", help="the suffix says the format (RUN/render.png)")
    add(
        "--size", type=size, metavar="WxH", help="of the whole picture; 4x: 4 times the source (1x)"
    )
    add("--crop", type=box, metavar="X0,Y0,X1,Y1", help="only these pixels of it")
    parsed = parser.parse(arguments)
    from fields.pictures import output_format

    if parsed.out:
        output_format(parsed.out)  # before anything is drawn
    from fields.device import threads
    from fields.runs import PictureRun, load

    run = load(parsed.run)
    say_fallback(run)
    with threads():
        assert isinstance(run, PictureRun)
        picture(run, parsed)


def picture(run: "PictureRun", parsed: argparse.Namespace) -> None:
    from fields.pictures import output_format, write_picture
    from fields.pictures.naming import shown
    from fields.runs import displayed

    out = place(run, parsed, "exr" if run.space.is_hdr else "png")
    pixels = run.render(parsed.size, parsed.crop)
    if output_format(out) not in ("exr", "hdr", "tiff"):
        pixels = displayed(pixels, run.space)
    write_picture(out, pixels, run.icc)
    print(f"{shown(out)}: {pixels.shape[1]} x {pixels.shape[0]} pixels")


def place(run: "Run", parsed: argparse.Namespace, suffix: str) -> Path:
    """Where the drawing goes."""
    beside = run.path if run.path.is_dir() else run.path.parent
    return Path(parsed.out) if parsed.out else beside / f"render.{suffix}"
