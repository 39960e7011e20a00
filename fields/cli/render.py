"""`fields render RUN`: draw a fitted field, at any size."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fields.cli import render_scene
from fields.cli.notes import say_fallback
from fields.cli.parser import Parser, box, file_name, number, size, whole
from fields.errors import FieldsError, either, flag

if TYPE_CHECKING:
    from fields.runs import PictureRun, Run, ShapeRun, VolumeRun

SHADINGS = {
    "shape": ("lit", "colour", "normals", "depth"),
    "scene": ("colour", "depth", "opacity", "normals"),
}
FILM = 120  # views of an orbit: four seconds
PATH = ("camera", "orbit", "fps", "shading")
OF_SCENES = ("spiral", "split", "background", "time")
VIEW = ("crop", "azimuth", "elevation", *PATH, *OF_SCENES, "slice")
TAKES = {
    "picture": {"crop"},
    "shape": {"azimuth", "elevation", *PATH},
    "volume": {"slice"},
    "scene": {*PATH, *OF_SCENES},
}


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("render", "Draw a fitted field, at any size.")
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, or a field.safetensors")
    add(
        "-o",
        "--out",
        type=file_name,
        metavar="FILE",
        help="the suffix says the format (RUN/render.png)",
    )
    add(
        "--size", type=size, metavar="WxH", help="of the whole picture; 4x: 4 times the source (1x)"
    )
    add(
        "--crop",
        type=box,
        metavar="X0,Y0,X1,Y1",
        help="only these pixels of a picture, of those that --size makes",
    )
    add = parser.add_argument_group("of a shape or a scene").add_argument
    add(
        "--camera",
        type=file_name,
        metavar="FILE",
        help="the cameras of a JSON file, one or a whole path",
    )
    add(
        "--orbit", type=whole, metavar="N",
        help=f"N views once around ({FILM} of a film that says no other path)",
    )  # fmt: skip
    add("--fps", type=number, metavar="N", help="of a film (that of the camera path, or 30)")
    add(
        "--shading", metavar="WORD",
        help="lit, colour, normals or depth (lit); of a scene colour, depth, opacity or normals"
        " (colour)",
    )  # fmt: skip
    add = parser.add_argument_group("of a shape").add_argument
    add("--azimuth", type=number, metavar="DEG", help="of the camera, around the shape (-30)")
    add("--elevation", type=number, metavar="DEG", help="of the camera, above the horizon (20)")
    add = parser.add_argument_group("of a scene").add_argument
    add("--spiral", type=whole, metavar="N", help="N views that sway around one")
    add(
        "--split",
        metavar="NAME",
        help="every view of train, val or test, beside its photo (-o DIR)",
    )
    add("--background", metavar="WORD", help="white or black (that of the scores)")
    add(
        "--time", type=number, metavar="T", help="from 0 to 1, where it moves (0; of a path 0 to 1)"
    )
    slices = parser.add_argument_group("of a volume")
    slices.add_argument("--slice", type=axis_at, metavar="AXIS@AT", help="such as z@0.5 (z@0.5)")
    parsed = parser.parse(arguments)
    from fields.pictures import output_format

    check(parsed)
    if parsed.out and not (is_film(parsed.out) or is_array(parsed.out) or parsed.split):
        output_format(parsed.out)  # before anything is drawn
    from fields.device import threads
    from fields.runs import PictureRun, SceneRun, ShapeRun, VolumeRun, load

    run = load(parsed.run)
    say_fallback(run)
    wanted = {name: value for name in VIEW if (value := getattr(parsed, name)) is not None}
    unknown = wanted.keys() - TAKES[run.kind]
    if unknown:
        raise FieldsError(f"{flag(min(unknown))} is not for the {run.kind} that this run stores")
    if parsed.shading not in (None, *SHADINGS.get(run.kind, ())):
        words = either(SHADINGS[run.kind])
        raise FieldsError(f"--shading must be {words}, got {parsed.shading!r}")
    if parsed.out and is_array(parsed.out) and not isinstance(run, SceneRun):
        output_format(parsed.out)
    if parsed.out and is_film(parsed.out) and isinstance(run, (ShapeRun, SceneRun)):
        _film(parsed)
    with threads():
        if isinstance(run, PictureRun):
            picture(run, parsed)
        elif isinstance(run, ShapeRun):
            shape(run, parsed)
        elif isinstance(run, VolumeRun):
            volume(run, parsed)
        elif isinstance(run, SceneRun):
            render_scene.scene(run, parsed, beside(run))


def _film(parsed: argparse.Namespace) -> None:
    """A film that says no path is an orbit."""
    for name in ("azimuth", "elevation"):
        if getattr(parsed, name) is not None:
            raise FieldsError(
                f"{flag(name)} is of a still, and a film moves; --orbit N turns around"
            )
    if not (parsed.camera or parsed.spiral or parsed.split):
        parsed.orbit = parsed.orbit or FILM


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


def shape(run: "ShapeRun", parsed: argparse.Namespace) -> None:
    from fields import camera_paths
    from fields.pictures import write_picture
    from fields.pictures.naming import shown

    if isinstance(parsed.size, float):
        raise FieldsError(
            f"--size of a shape is WIDTHxHEIGHT, such as 800x800, got {parsed.size:g}x"
        )
    size, fps = parsed.size or (800, 800), camera_paths.FPS
    angles = {n: v for n in ("azimuth", "elevation") if (v := getattr(parsed, n)) is not None}
    if parsed.camera:
        path = camera_paths.read(Path(parsed.camera), parsed.size, size)
        views, fps = [shot.camera for shot in path.shots], path.fps
        size = views[0].width, views[0].height
    elif parsed.orbit:
        views = run.orbit(parsed.orbit, size)
    else:
        views = [run.camera(size, **angles)]
    shading = parsed.shading or "lit"
    out = place(run, parsed, "png" if len(views) == 1 else "mp4")
    render_scene.check_fps(parsed, out)
    drawn = (run.render(camera=view, shading=shading) for view in views)
    if is_film(out):
        from fields.films import write_film

        write_film(out, drawn, size, parsed.fps or fps)
        print(f"{shown(out)}: {render_scene.counted(views)} of {size[0]} x {size[1]} pixels")
        return
    paths = render_scene.numbered(out, len(views))
    for name, pixels in zip(paths, drawn, strict=True):
        write_picture(name, pixels)
    views_of = f", the last of {len(views)}" if len(views) > 1 else ""
    print(f"{shown(paths[-1])}: {size[0]} x {size[1]} pixels{views_of}")


def volume(run: "VolumeRun", parsed: argparse.Namespace) -> None:
    from fields.pictures import write_picture
    from fields.pictures.naming import shown

    axis, at = parsed.slice or ("z", 0.5)
    out = place(run, parsed, "png")
    pixels = run.render(parsed.size, axis=axis, at=at)
    write_picture(out, pixels)
    print(f"{shown(out)}: {pixels.shape[1]} x {pixels.shape[0]} pixels")


def check(parsed: argparse.Namespace) -> None:
    """FieldsError for numbers and words of no use."""
    known = {word for words in SHADINGS.values() for word in words}
    if parsed.shading not in (None, *known):
        words = either(SHADINGS["shape"])
        raise FieldsError(f"--shading must be {words}, of a scene opacity; got {parsed.shading!r}")
    render_scene.check(parsed)
    if parsed.orbit is not None and not 1 <= parsed.orbit <= 10_000:
        raise FieldsError(f"--orbit must be from 1 to 10,000, got {parsed.orbit}")
    if parsed.fps is not None and not 0.01 <= parsed.fps <= 240:
        raise FieldsError(f"--fps must be from 0.01 to 240, got {parsed.fps:g}")
    ways = (
        "camera",
        "orbit",
        "spiral",
        "split",
        "azimuth" if parsed.azimuth is not None else "elevation",
    )
    given = [flag(name) for name in ways if getattr(parsed, name) is not None]
    if len(given) > 1:
        raise FieldsError(f"{given[0]} and {given[1]} both say where to look from; give one")


def is_film(path: str | Path) -> bool:
    return Path(path).suffix.lower() == ".mp4"


def is_array(path: str | Path) -> bool:
    return Path(path).suffix.lower() == ".npy"


def axis_at(text: str) -> tuple[str, float]:
    """AXIS@AT, such as z@0.5."""
    axis, _, at = text.partition("@")
    try:
        place = float(at or "0.5")
    except ValueError:
        place = -1.0
    if axis not in ("x", "y", "z") or not 0 <= place <= 1:
        raise argparse.ArgumentTypeError(f"must be x, y or z @ 0 to 1, such as z@0.5, got {text!r}")
    return axis, place


def place(run: "Run", parsed: argparse.Namespace, suffix: str) -> Path:
    """Where the drawing goes; FieldsError where it cannot."""
    from fields.pictures.replacing import require_place

    out = Path(parsed.out) if parsed.out else beside(run) / f"render.{suffix}"
    require_place(out)
    return out


def beside(run: "Run") -> Path:
    """The folder that drawings of a run go to."""
    return run.path if run.path.is_dir() else run.path.parent
