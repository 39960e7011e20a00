"""Depth maps of a scene's frames."""

from pathlib import Path

import numpy as np

from fields.cameras import Camera
from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.pictures.probe import probe
from fields.pictures.read import read_picture
from fields.scenes.scene import Frame


def read_depth(frame: Frame, downscale: int = 1) -> np.ndarray | None:
    """The depths of a frame.

    Args:
        frame: of a scene.
        downscale: of the scene; of each block of pixels one near its middle is taken, since the
            mean of depths at an edge lies on nothing.

    Returns [H, W] float32 along the camera's axis in units of the source, 0 where nothing is known;
    None where the frame has no depths. PNG of 16 bits and NPY are read. Raises FieldsError.
    """
    if frame.depth is None:
        return None
    stored = _npy(frame.depth) if frame.depth.suffix == ".npy" else _picture(frame.depth)
    camera = frame.camera
    _require_size(frame.depth, stored.shape, camera, downscale)
    middle = slice(downscale // 2, None, downscale)
    some = stored[middle, middle][: camera.height, : camera.width]
    return some.astype(np.float32) * np.float32(frame.depth_scale)


def require_depth(path: Path, camera: Camera) -> None:
    """FieldsError unless a file holds as many depths as a picture has pixels; only its header is
    read."""
    if path.suffix == ".npy":
        shape = _npy(path).shape
    else:
        _, width, height = probe(path)
        shape = (height, width)
    _require_size(path, shape, camera, 1)


def _require_size(path: Path, shape: tuple[int, ...], camera: Camera, downscale: int) -> None:
    height, width = shape
    if (width // downscale, height // downscale) != (camera.width, camera.height):
        raise FieldsError(
            f"{shown(path)} has {width} x {height} depths, and its view"
            f" {camera.width * downscale} x {camera.height * downscale} pixels"
        )


def _picture(path: Path) -> np.ndarray:
    return read_picture(path).pixels[:, :, 0]


def _npy(path: Path) -> np.ndarray:
    try:
        depths = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise FieldsError(f"{shown(path)} is damaged or no array of NumPy's") from None
    if depths.ndim == 3 and depths.shape[2] == 1:
        depths = depths[:, :, 0]
    if depths.ndim != 2 or depths.dtype.kind not in "fui":
        raise FieldsError(f"{shown(path)} must hold [H, W] depths, got {list(depths.shape)}")
    return depths
