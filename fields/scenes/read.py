"""What a scene is and how it is read, whatever its format; every failure is one line."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.scenes.blender import read_blender
from fields.scenes.colmap import made_smaller, model_folder, read_colmap
from fields.scenes.files import SUFFIXES
from fields.scenes.scene import Frame, Scene
from fields.scenes.transforms import read_transforms
from fields.scenes.views import one_place

TRANSFORMS = "transforms.json"
BLENDER = ("transforms_train.json", "transforms_val.json", "transforms_test.json")

Format = Literal["blender", "transforms", "colmap", "photos"]


def read_scene(path, *, downscale: int = 1, mask_of: str = "keep") -> Scene:
    """Read a scene: its frames and cameras; images are found and measured but not read.

    Args:
        path: a folder in Blender's format (transforms_train.json), with a transforms.json, or with
            COLMAP's sparse/0 beside images; or such a JSON file.
        downscale: images will be read that many times smaller.
        mask_of: what white in a mask says of a pixel: "keep" (nerfstudio) or "drop".

    Raises FieldsError, one line that names the file and the frame, for whatever is wrong.
    """
    scene = _read(Path(os.fsdecode(path)), downscale, mask_of)
    notes = [*scene.notes]
    if one_place([frame.camera for frame in scene.splits["train"]]):
        notes.append(
            "all cameras stand in one place, from where nothing tells how far away things are"
        )
    dark = sum(not frame.camera.shows_all for frame in scene.frames)
    if dark:
        notes.append(f"the lens shows nothing at the border of {dark} views; it is left out there")
    return replace(scene, notes=tuple(notes))


def _read(path: Path, downscale: int, mask_of: str) -> Scene:
    if mask_of not in ("keep", "drop"):
        raise FieldsError(f"--mask-of must be keep or drop, got {mask_of!r}")
    drops = mask_of == "drop"
    format_ = require_scene(path)
    folder = path if path.is_dir() else path.parent
    if format_ == "blender":
        return _smaller(read_blender(folder, mask_drops=drops), downscale)
    if format_ == "transforms":
        file = folder / TRANSFORMS if path.is_dir() else path
        return _smaller(read_transforms(file, mask_drops=drops), downscale)
    _require_factor(downscale)
    scene = read_colmap(folder, downscale=downscale, mask_drops=drops)
    return _smaller(scene, downscale // made_smaller(folder, downscale))


def require_scene(path) -> Format:
    """The format of the scene at a path, cheaply; FieldsError where there is none."""
    path = Path(os.fsdecode(path))
    format_ = find_scene(path)
    if format_ == "photos":
        raise FieldsError(
            f"{shown(path)} holds photos and no poses; COLMAP finds them (pip install pycolmap) and"
            " writes sparse/0 beside images: docs/a-scene.md shows the lines"
        )
    if format_ is None:
        what = "is no scene" if path.exists() else "does not exist"
        if (path / BLENDER[-1]).is_file() or (path / BLENDER[1]).is_file():
            what = f"has no {BLENDER[0]}, the views that are trained on"
        raise FieldsError(
            f"{shown(path)} {what}; a scene is a folder with transforms_train.json, {TRANSFORMS} or"
            " COLMAP's sparse/0"
        )
    return format_


def is_meant(path) -> bool:
    """Whether a scene is named: its file, or any folder, of which `require_scene` says what it
    lacks."""
    if not os.fspath(path):  # which a Path takes for this folder
        return False
    return Path(os.fsdecode(path)).is_dir() or find_scene(path) is not None


def find_scene(path) -> Format | None:
    """What kind of scene is at a path, cheaply; None if there is none.

    It may still turn out to be damaged. "photos" are images without poses, which no scene is made
    of; a folder with two or more counts.
    """
    path = Path(os.fsdecode(path))
    try:
        if path.is_file() and path.suffix.lower() == ".json":
            return "blender" if path.name in BLENDER else "transforms"
        if not path.is_dir():
            return None
        if (path / BLENDER[0]).is_file():
            return "blender"
        if (path / TRANSFORMS).is_file():
            return "transforms"
        if model_folder(path) is not None:
            return "colmap"
        for folder in (path, path / "images"):
            if folder.is_dir() and sum(p.suffix.lower() in SUFFIXES for p in folder.iterdir()) > 1:
                return "photos"
    except (OSError, ValueError):
        return None
    return None


def _require_factor(factor: int, most: int | None = None) -> None:
    if not 1 <= factor <= (most or factor):
        above = f"from 1 to {most} here" if most else "at least 1"
        raise FieldsError(f"--downscale must be {above}, got {factor}")


def _smaller(scene: Scene, factor: int) -> Scene:
    """The scene with its cameras for smaller images. An incomplete block of pixels at the right or
    lower border is left out, so that what remains is `factor` times smaller to the last digit."""
    if factor == 1:
        return scene
    least = min(min(f.camera.width, f.camera.height) for f in scene.frames)
    _require_factor(factor, least)

    def smaller(frame: Frame) -> Frame:
        camera = frame.camera
        width, height = camera.width // factor, camera.height // factor
        return replace(frame, camera=camera.resized(width, height, 1 / factor, 1 / factor))

    splits = {split: tuple(map(smaller, frames)) for split, frames in scene.splits.items()}
    by = {"downscale": scene.downscale * factor, "shrink": scene.shrink * factor}
    return replace(scene, splits=splits, **by)
