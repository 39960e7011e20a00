"""Makes docs/images/astronaut.jpg with the command `fields` alone: original, fit, enlargement.

python benchmarks/readme_picture.py [options of `fields fit`]
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from fields.pictures import read_picture

OUT = Path(__file__).parent.parent / "docs" / "images" / "astronaut.jpg"
SIDE = 512  # of a panel, and of the source
ENLARGED = 4
CROP = (165, 30)  # left upper corner of the enlarged part, in pixels of the source
MARGIN, CAPTION = 8, 34


def fields(*arguments: str) -> str:
    command = [sys.executable, "-m", "fields", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def panels(folder: Path, options: list[str]) -> list[tuple[Image.Image, str]]:
    """The three pictures with what made them."""
    run, fitted, part = folder / "run", folder / "fitted.png", folder / "part.png"
    metrics = json.loads(fields("fit", "astronaut", "--out", str(run), "--json", *options))
    fields("render", str(run), "-o", str(fitted))
    x, y = (ENLARGED * corner for corner in CROP)
    size, crop = f"{ENLARGED * SIDE}x{ENLARGED * SIDE}", f"{x},{y},{x + SIDE},{y + SIDE}"
    fields("render", str(run), "--size", size, "--crop", crop, "-o", str(part))
    command = " ".join(["fields fit astronaut", *options])
    return [
        (Image.fromarray(read_picture("astronaut").pixels), f"original, {SIDE} x {SIDE} pixels"),
        (framed(Image.open(fitted)), f"{command}: {metrics['psnr']:.1f} dB"),
        (Image.open(part), f"fields render --size {size} --crop {crop}"),
    ]


def framed(picture: Image.Image) -> Image.Image:
    """With a frame around the part that is enlarged."""
    x, y = CROP
    side = SIDE // ENLARGED
    ImageDraw.Draw(picture).rectangle((x - 2, y - 2, x + side + 1, y + side + 1), None, "white", 2)
    return picture


def row(parts: list[tuple[Image.Image, str]]) -> Image.Image:
    """Side by side, a caption under each."""
    width = len(parts) * (SIDE + MARGIN) - MARGIN
    sheet = Image.new("RGB", (width, SIDE + CAPTION), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(19)
    for index, (picture, caption) in enumerate(parts):
        left = index * (SIDE + MARGIN)
        sheet.paste(picture, (left, 0))
        middle = (left + SIDE // 2, SIDE + CAPTION // 2)
        draw.text(middle, caption, "#444444", font, anchor="mm")
    return sheet


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sheet = row(panels(Path(folder), sys.argv[1:]))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(OUT, quality=88, optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
