"""`fields render RUN`: draw a fitted field, at any size."""

from collections.abc import Sequence
from pathlib import Path

from fields.cli.notes import say_fallback
from fields.cli.parser import Parser, box, size


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
    from fields.pictures import output_format, write_picture
    from fields.pictures.naming import shown

    if parsed.out:
        output_format(parsed.out)  # before anything is drawn
    from fields.device import threads
    from fields.runs import displayed, load

    run = load(parsed.run)
    say_fallback(run)
    suffix = "exr" if run.space.is_hdr else "png"
    beside = run.path if run.path.is_dir() else run.path.parent
    out = Path(parsed.out) if parsed.out else beside / f"render.{suffix}"
    with threads():
        pixels = run.render(parsed.size, parsed.crop)
    if output_format(out) not in ("exr", "hdr", "tiff"):
        pixels = displayed(pixels, run.space)
    write_picture(out, pixels, run.icc)
    print(f"{shown(out)}: {pixels.shape[1]} x {pixels.shape[0]} pixels")
