"""A made scene on the disk: Blender's format or one transforms.json, depths beside it."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fields.cameras import Camera
from fields.errors import FieldsError
from fields.lens import Fisheye
from fields.pictures import png
from fields.pictures.naming import shown
from fields_scenes.drawing import View
from fields_scenes.standing import ANGLE_X

# Units of the scene that a whole number of a depth map stands for: of a thing alone, and out of
# doors, where depths go to the sky.
DEPTH_SCALE, FAR_SCALE = 1e-4, 1e-3


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A hidden folder that takes the name `path` once the block has ended well, or goes."""
    require_free(path)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
        try:
            yield hidden
            if path.is_dir():
                path.rmdir()  # it is empty
            os.rename(hidden, path)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise FieldsError(f"{shown(path)} cannot be written: {error.strerror or error}") from None


def require_free(path: Path) -> None:
    """FieldsError unless a scene can be written there: nothing is, or an empty folder."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if os.path.lexists(path):
        raise FieldsError(f"{shown(path)} exists; name another -o, or remove it first")


def write_view(folder: Path, name: str, view: View, *, opaque: bool = False) -> None:
    """NAME.png and NAME_depth.png, of 16 bits; `opaque`: out of doors, without alpha."""
    path = folder / name
    pixels = np.ascontiguousarray(view.pixels[..., :3]) if opaque else view.pixels
    path.with_suffix(".png").write_bytes(png.encode(pixels, None))
    scale = FAR_SCALE if opaque else DEPTH_SCALE
    depths = np.rint(view.depths / scale).clip(0, 65535).astype(np.uint16)
    path.with_name(f"{path.name}_depth.png").write_bytes(png.encode(depths[:, :, None], None))


def frame(name: str, camera: Camera, time: float | None, *, own: bool) -> dict[str, Any]:
    """The entry of a view; `own`: it has intrinsics of its own."""
    entry: dict[str, Any] = {
        "file_path": f"./{name}",
        "depth_file_path": f"./{name}_depth.png",
        "transform_matrix": camera.cam_to_world.tolist(),
    }
    if time is not None:
        entry["time"] = time
    return entry | (_intrinsics(camera) if own else {})


def write_split(
    folder: Path, split: str, camera: Camera, frames: list[dict[str, Any]], *, own: bool
) -> None:
    """transforms_SPLIT.json; `own`: its frames have intrinsics of their own."""
    content: dict[str, Any] = {"integer_depth_scale": DEPTH_SCALE}
    if own or not camera.lens.is_straight:
        content |= _lens(camera)
        content |= {} if own else _intrinsics(camera)
    else:
        content["camera_angle_x"] = ANGLE_X
    text = json.dumps(content | {"frames": frames}, indent=1)
    (folder / f"transforms_{split}.json").write_text(text, encoding="utf-8")


def write_one(folder: Path, camera: Camera, splits: dict[str, list[dict[str, Any]]]) -> None:
    """transforms.json, which names the frames of each split; they have intrinsics of their own."""
    content: dict[str, Any] = {"integer_depth_scale": FAR_SCALE, **_lens(camera)}
    for split, frames in splits.items():
        content[f"{split}_filenames"] = [entry["file_path"] for entry in frames]
    content["frames"] = [entry for frames in splits.values() for entry in frames]
    (folder / "transforms.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def _intrinsics(camera: Camera) -> dict[str, float]:
    return {
        "fl_x": camera.fl_x,
        "fl_y": camera.fl_y,
        "cx": camera.cx,
        "cy": camera.cy,
        "w": camera.width,
        "h": camera.height,
    }


def _lens(camera: Camera) -> dict[str, Any]:
    lens = camera.lens
    radial = dict(zip(("k1", "k2", "k3", "k4"), lens.radial, strict=True))
    if isinstance(lens, Fisheye):
        return {"camera_model": "OPENCV_FISHEYE", **radial}
    p1, p2 = lens.tangential
    return {"camera_model": "OPENCV", **radial, "p1": p1, "p2": p2}
