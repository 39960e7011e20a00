"""Views of a scene that `fields render` draws: one, a path, or a split beside its photos."""

from __future__ import annotations

import argparse
import sys
import time as clock
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fields.errors import FieldsError, either, flag

if TYPE_CHECKING:
    from fields.camera_paths import Shot
    from fields.runs import SceneRun

BACKGROUNDS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}
_NUMBERS = (".npy", ".exr", ".tif", ".tiff")  # which hold depths and normals as they are


def scene(run: SceneRun, parsed: argparse.Namespace, beside: Path) -> None:
    """Draw what the arguments ask for, into --out or a file `beside`; FieldsError before that for
    what does not fit the scene."""
    from fields.pictures.replacing import require_place

    out = Path(parsed.out) if parsed.out else None
    if parsed.time is not None and not run.moves:
        raise FieldsError("--time is for scenes that move, and this one stands still")
    if isinstance(parsed.size, float):
        raise FieldsError(
            f"--size of a scene is WIDTHxHEIGHT, such as 800x800, got {parsed.size:g}x"
        )
    if parsed.split:
        return split(run, parsed, out or beside / "views")
    shots, fps = _shots(run, parsed)
    path = out or beside / f"render.{'png' if len(shots) == 1 else 'mp4'}"
    require_place(path)
    check_fps(parsed, path)
    shading = parsed.shading or "colour"
    if path.suffix.lower() == ".npy" or (
        shading in ("depth", "normals", "opacity") and path.suffix.lower() in _NUMBERS
    ):
        return _numbers(run, shots, shading, path, parsed)
    _pictures(run, shots, shading, path, parsed, fps)


def split(run: SceneRun, parsed: argparse.Namespace, folder: Path) -> None:
    """Every view of a split as NAME.png and, in colour, NAME-beside.png: photo, field, error."""
    from fields.pictures import write_picture
    from fields.pictures.naming import shown
    from fields.runs.scene_pictures import as_bytes, error_picture, picture_of, side_by_side

    if folder.is_file():
        raise FieldsError(f"{shown(folder)} is a file; --split writes a folder")
    shading = parsed.shading or "colour"
    if parsed.background:
        run.background = BACKGROUNDS[parsed.background]
    source = run.source()
    views = run.views(source, parsed.split)
    names = file_names([frame.name for frame in source.splits.get(parsed.split, ())])
    told = Told(len(names))
    for name, (frame, traced, photo, mask) in zip(names, views, strict=False):
        folder.mkdir(parents=True, exist_ok=True)
        values = run.values(frame.camera, traced, shading)
        write_picture(folder / f"{name}.png", picture_of(values, shading))
        if shading == "colour":
            parts = [photo, values, error_picture(values, photo, mask)]
            write_picture(
                folder / f"{name}-beside.png", side_by_side([as_bytes(part) for part in parts])
            )
        told.one()
    told.close()
    also = "" if shading != "colour" else ", each also beside its photo and its error"
    print(f"{shown(folder)}: {counted(names)}{also}")


def counted(views: Sequence) -> str:
    return f"{len(views)} view{'s' if len(views) != 1 else ''}"


def file_names(names: list[str]) -> list[str]:
    """Of frames, without their folders where that leaves them different."""
    short = [name.rpartition("/")[2] for name in names]
    if len(set(short)) == len(short):
        return short
    return [name.strip("./").replace("/", "-") for name in names]


def _shots(run: SceneRun, parsed: argparse.Namespace) -> tuple[list[Shot], float]:
    """The views, their times told, and how many a second."""
    from fields.camera_paths import FPS, Shot, read

    size, fps = parsed.size, FPS
    if parsed.camera:
        path = read(Path(parsed.camera), size, run.usual_size)
        shots, fps = path.shots, path.fps
    elif parsed.orbit or parsed.spiral:
        way = run.orbit(parsed.orbit, size) if parsed.orbit else run.spiral(parsed.spiral, size)
        last = max(len(way) - 1, 1)
        shots = [Shot(camera, i / last) for i, camera in enumerate(way)]
    else:
        shots = [Shot(run.view(size))]
    if not run.moves or parsed.time is not None:
        shots = [Shot(shot.camera, parsed.time) for shot in shots]
    return shots, parsed.fps or fps


def _pictures(
    run: SceneRun,
    shots: list[Shot],
    shading: str,
    path: Path,
    parsed: argparse.Namespace,
    fps: float,
) -> None:
    from fields.films import write_film
    from fields.pictures import write_picture
    from fields.pictures.naming import shown

    behind = BACKGROUNDS.get(parsed.background)
    span = run.depth_span(shots) if shading == "depth" and len(shots) > 1 else None
    told = Told(len(shots))

    def drawn() -> Iterator[np.ndarray]:
        for shot in shots:
            yield run.render(
                camera=shot.camera, shading=shading, background=behind, time=shot.time, span=span
            )
            told.one()

    width, height = shots[0].camera.width, shots[0].camera.height
    if path.suffix.lower() == ".mp4":
        write_film(path, drawn(), (width, height), fps)
        told.close()
        print(f"{shown(path)}: {counted(shots)} of {width} x {height} pixels")
        return
    paths = numbered(path, len(shots))
    for name, pixels in zip(paths, drawn(), strict=True):
        write_picture(name, pixels)
    told.close()
    views_of = f", the last of {len(shots)}" if len(shots) > 1 else ""
    print(f"{shown(paths[-1])}: {width} x {height} pixels{views_of}")


def _numbers(
    run: SceneRun, shots: list[Shot], shading: str, path: Path, parsed: argparse.Namespace
) -> None:
    """Depths, normals and so on as they are."""
    from fields.pictures import write_picture
    from fields.pictures.naming import shown
    from fields.pictures.replacing import replacing

    behind = BACKGROUNDS.get(parsed.background)
    paths = numbered(path, len(shots))
    for name, shot in zip(paths, shots, strict=True):
        values = run.numbers(shot.camera, shading, background=behind, time=shot.time)
        if name.suffix.lower() == ".npy":
            with replacing(name) as file:
                np.save(file, values)
        else:
            write_picture(name, values)
    shape = " x ".join(map(str, values.shape))
    views_of = f", the last of {len(shots)}" if len(shots) > 1 else ""
    print(f"{shown(paths[-1])}: {shape} numbers, {_MEANING[shading]}{views_of}")


_MEANING = {
    "colour": "colour from 0 to 1",
    "opacity": "opacity from 0 to 1",
    "depth": "depth along the camera's axis in units of the source, 0 for nothing",
    "normals": "normals in axes of the source, 0 for nothing",
}


def numbered(path: Path, count: int) -> list[Path]:
    """path-001.png and on; the path itself where there is one."""
    if count == 1:
        return [path]
    digits = len(str(count))
    return [path.with_name(f"{path.stem}-{i:0{digits}}{path.suffix}") for i in range(1, count + 1)]


def check(parsed: argparse.Namespace, splits: tuple[str, ...] = ("train", "val", "test")) -> None:
    """FieldsError for words and numbers of no use."""
    if parsed.background not in (None, *BACKGROUNDS):
        raise FieldsError(f"--background must be {either(BACKGROUNDS)}, got {parsed.background!r}")
    if parsed.time is not None and not 0 <= parsed.time <= 1:
        raise FieldsError(f"--time must be from 0 to 1, got {parsed.time:g}")
    if parsed.split not in (None, *splits):
        raise FieldsError(f"--split must be {either(splits)}, got {parsed.split!r}")
    if parsed.spiral is not None and not 1 <= parsed.spiral <= 10_000:
        raise FieldsError(f"--spiral must be from 1 to 10,000, got {parsed.spiral}")
    of_photos = {"size": "the size of the photos", "time": "the times of the photos"}
    of_photos["fps"] = "files of their own"
    for name, why in of_photos.items():
        if parsed.split and getattr(parsed, name) is not None:
            raise FieldsError(f"{flag(name)} does not go with --split, whose views have {why}")
    if parsed.background and parsed.shading not in (None, "colour"):
        raise FieldsError(
            f"--background is behind colours and does not go with --shading {parsed.shading}"
        )


def check_fps(parsed: argparse.Namespace, out: Path) -> None:
    """FieldsError for a rate of what is no film."""
    from fields.pictures.naming import shown

    if parsed.fps is not None and out.suffix.lower() != ".mp4":
        raise FieldsError(f"--fps is of films (.mp4), and {shown(out)} is none; leave it away")


class Told:
    """Tells the reader how many views are done, where there are many."""

    def __init__(self, total: int):
        from fields.progress import Bar, Lines, Silent

        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        some = Bar if on_terminal else Lines
        self.progress = Silent() if total < 2 or sys.stderr is None else some()
        self.total, self.number, self.begin = total, 0, clock.perf_counter()

    def one(self) -> None:
        from fields.progress import Counted

        self.number += 1
        seconds = clock.perf_counter() - self.begin
        self.progress.advance(Counted(self.number, self.total, seconds, "views"))

    def close(self) -> None:
        self.progress.close()
