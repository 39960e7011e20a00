"""Makes the pictures of the README with the command `fields` alone.

python benchmarks/readme_picture.py astronaut [options of `fields fit`]   original, fit, enlargement
python benchmarks/readme_picture.py demo-scene [options]        a view, the field, its depth, a mesh
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import trimesh
from PIL import Image, ImageDraw, ImageFont

from fields.pictures import read_picture

IMAGES = Path(__file__).parent.parent / "docs" / "images"
SIDE = 512  # of a panel, and of the source
SMALL = 400  # of a panel of the scene, and of its views
VIEW = "r_3.png"
ENLARGED = 4
CROP = (165, 30)  # left upper corner of the enlarged part, in pixels of the source
MARGIN, CAPTION = 8, 34


def fields(*arguments: str) -> str:
    command = [sys.executable, "-m", "fields", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


Panel = tuple[Image.Image, str]


def astronaut(folder: Path, options: list[str]) -> list[Panel]:
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


def demo_scene(folder: Path, options: list[str]) -> list[Panel]:
    """A view that was kept for the score, with what made the pictures beside it."""
    run, shape, views = folder / "run", folder / "shape", folder / "views"
    fields("fit", "demo-scene", "--out", str(run), *options)
    fields("render", str(run), "--split", "test", "-o", str(views))
    source = Path(json.loads((run / "metrics.json").read_text())["source"])
    trimesh.load(source / "geometry.ply").export(folder / "solids.stl")  # of STL, z is up
    fields("fit", str(folder / "solids.stl"), "--out", str(shape), "--steps", "2000")
    size = f"{SMALL}x{SMALL}"
    fields("render", str(run), "--shading", "depth", "--size", size, "-o", str(folder / "d.png"))
    fields("render", str(shape), "--size", size, "-o", str(folder / "shape.png"))
    photo = Image.open(source / "test" / VIEW).convert("RGBA")
    white = Image.new("RGBA", photo.size, "white")
    return [
        (Image.alpha_composite(white, photo).convert("RGB"), "a view kept for the score"),
        (Image.open(views / VIEW), "fields fit demo-scene"),
        (Image.open(folder / "d.png"), "fields render --shading depth"),
        (Image.open(folder / "shape.png"), "fields fit solids.stl"),
    ]


def framed(picture: Image.Image) -> Image.Image:
    """With a frame around the part that is enlarged."""
    x, y = CROP
    side = SIDE // ENLARGED
    ImageDraw.Draw(picture).rectangle((x - 2, y - 2, x + side + 1, y + side + 1), None, "white", 2)
    return picture


def row(parts: list[Panel]) -> Image.Image:
    """Side by side, a caption under each."""
    side = parts[0][0].width
    width = len(parts) * (side + MARGIN) - MARGIN
    sheet = Image.new("RGB", (width, side + CAPTION), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(19)
    for index, (picture, caption) in enumerate(parts):
        left = index * (side + MARGIN)
        sheet.paste(picture, (left, 0))
        middle = (left + side // 2, side + CAPTION // 2)
        draw.text(middle, caption, "#444444", font, anchor="mm")
    return sheet


SHEETS = {"astronaut": astronaut, "demo-scene": demo_scene}


def main() -> None:
    name, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        sheet = row(SHEETS[name](Path(folder), options))
    IMAGES.mkdir(parents=True, exist_ok=True)
    out = IMAGES / f"{name}.jpg"
    sheet.save(out, quality=88, optimize=True)
    print(f"{out.name}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
