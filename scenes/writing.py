"""A made scene on the disk: Blender's format, depths and geometry beside it."""

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

DEPTH_SCALE = 1e-4  # units of the scene that a whole number of a depth map stands for


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


def write_view(folder: Path, name: str, view: View) -> None:
    """NAME.png and NAME_depth.png, of 16 bits."""
    path = folder / name
    path.with_suffix(".png").write_bytes(png.encode(view.pixels, None))
    depths = np.rint(view.depths / DEPTH_SCALE).clip(0, 65535).astype(np.uint16)
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
