"""What a scene is and how it is read, whatever its format; every failure is one line."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.scenes.blender import read_blender
from fields.scenes.scene import Frame, Scene

Format = Literal["blender", "transforms", "colmap", "photos"]
MaskOf = Literal["keep", "drop"]


def read_scene(path, *, downscale: int = 1, mask_of: MaskOf = "keep") -> Scene:
    """Read a scene: its frames and cameras; images are found and measured but not read.

    Args:
        path: a folder in Blender's format (transforms_train.json), with a transforms.json, or with
            COLMAP's sparse/0 beside images; or such a JSON file.
        downscale: images will be read that many times smaller.
        mask_of: what white in a mask says of a pixel: "keep" (nerfstudio) or "drop".

    Raises FieldsError, one line that names the file and the frame, for whatever is wrong.
    """
    path = Path(os.fsdecode(path))
    if mask_of not in ("keep", "drop"):
        raise FieldsError(f"--mask-of must be keep or drop, got {mask_of!r}")
    format_ = find_scene(path)
    folder = path.parent if path.suffix == ".json" else path
    if format_ == "blender":
        scene = read_blender(folder, mask_drops=mask_of == "drop")
    else:
        raise FieldsError(f"{shown(path)} is no scene")
    return _smaller(scene, downscale)


def find_scene(path) -> Format | None:
    """What kind of scene is at a path, cheaply; None if there is none."""
    path = Path(os.fsdecode(path))
    try:
        if path.is_dir() and (path / "transforms_train.json").is_file():
            return "blender"
    except (OSError, ValueError):
        return None
    return None


def _smaller(scene: Scene, factor: int) -> Scene:
    """The scene with its cameras for smaller images. An incomplete block of pixels at the right or
    lower border is left out, so that what remains is `factor` times smaller to the last digit."""
    if factor == 1:
        return scene
    least = min(min(f.camera.width, f.camera.height) for f in scene.frames)
    if not 1 <= factor <= least:
        raise FieldsError(f"--downscale must be from 1 to {least} here, got {factor}")

    def smaller(frame: Frame) -> Frame:
        camera = frame.camera
        width, height = camera.width // factor, camera.height // factor
        return replace(frame, camera=camera.resized(width, height, 1 / factor, 1 / factor))

    splits = {split: tuple(map(smaller, frames)) for split, frames in scene.splits.items()}
    return replace(scene, splits=splits, downscale=scene.downscale * factor)
