"""Cameras from the keys of a transforms.json, each number of them checked.

The keys are those of instant-ngp, nerfstudio and the converters from COLMAP; poses are OpenGL's:
from camera to world, x right, y up, looking along -z.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fields.cameras import Camera
from fields.lens import Fisheye, Lens, Perspective
from fields.pictures.naming import plain
from fields.scenes.scene import Broken

FOCAL = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y")
_PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")
_FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")
_ELSE = ("latlong", "equirectangular", "orthographic", "ftheta_p0")  # lenses of instant-ngp
_FARTHEST = 1e9  # units of the source
_SKEW = 0.01  # of a rotation, relative: files are rounded
_LEAST_SHOWN = 0.25  # of a picture; a round picture in a wide frame fills 0.44 of it
_ASIDE = 10.0  # sides of the picture that the principal point may lie away from its middle


def camera_of(
    file: Mapping[str, Any], frame: Mapping[str, Any], size: tuple[int, int], turned: bool
) -> Camera:
    """The camera of a frame.

    Args:
        file: keys that hold for all frames.
        frame: its own keys, which come first.
        size: (width, height) of its image as stored.
        turned: the image asks by EXIF to be shown turned.

    Raises Broken, a clause that goes after the frame's name.
    """
    if any(key in frame for key in FOCAL):
        file = {key: value for key, value in file.items() if key not in FOCAL}
    values = {**file, **frame}
    _require_size(values, size, turned)
    fl_x, fl_y = _focal(values, size)
    cx, cy = (number(values, key, side / 2) for key, side in zip(("cx", "cy"), size, strict=True))
    return checked(Camera(matrix_of(frame), *size, fl_x, fl_y, cx, cy, _lens(values)))


def checked(camera: Camera) -> Camera:
    """A camera whose principal point and lens let it see its picture; Broken if it is none. The
    principal point of a cropped picture may lie beside it."""
    size, (cx, cy) = (camera.width, camera.height), (camera.cx, camera.cy)
    if min(size) > 8 and 0 < cx <= 1 and 0 < cy <= 1:
        raise Broken(
            f"has cx {cx:g} and cy {cy:g}; they are in pixels, not in parts of the picture"
        )
    for key, value, side in zip(("cx", "cy"), (cx, cy), size, strict=True):
        if abs(value - side / 2) > _ASIDE * side:
            raise Broken(f"has {key} {value:g}, far outside of a picture of {side} pixels")
    at = (np.arange(32) + 0.5) / 32
    x = (at * camera.width - camera.cx) / camera.fl_x
    y = (at[:, None] * camera.height - camera.cy) / camera.fl_y
    if (np.hypot(x, y) <= camera.lens.farthest).mean() < _LEAST_SHOWN:
        raise Broken(
            "has a lens whose distortion folds the picture: rays reach less than a quarter of it;"
            " check k1 to k4"
        )
    return camera


def matrix_of(frame: Mapping[str, Any]) -> np.ndarray:
    """[4, 4] float64 from camera to world: a rotation and a place. Raises Broken."""
    if "transform_matrix" not in frame:
        raise Broken("has no transform_matrix")
    try:
        matrix = np.asarray(frame["transform_matrix"], np.float64)
    except (TypeError, ValueError):
        raise Broken("has a transform_matrix that is not 4 x 4 numbers") from None
    if matrix.shape == (3, 4):
        raise Broken("has a transform_matrix of 3 x 4; add the row 0 0 0 1")
    if matrix.shape != (4, 4):
        raise Broken(f"has a transform_matrix of shape {list(matrix.shape)}; it must be [4, 4]")
    return checked_pose(matrix)


def checked_pose(matrix: np.ndarray) -> np.ndarray:
    """A pose whose rotation has no scale; Broken if it is none."""
    if not np.isfinite(matrix).all():
        raise Broken("has a pose that is NaN or infinite")
    if not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-6):
        raise Broken(f"has a pose whose last row is {matrix[3].tolist()}; it must be 0 0 0 1")
    far = float(np.abs(matrix[:3, 3]).max())
    if far > _FARTHEST:
        raise Broken(f"has a pose {far:g} from the origin; a scene lies within {_FARTHEST:g}")
    turn = matrix[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):
        volume = float(np.linalg.det(turn))
        scale = float(np.cbrt(abs(volume)))
        unit = turn / scale if scale > 1e-12 else np.full((3, 3), np.nan)
        skew = float(np.abs(unit.T @ unit - np.eye(3)).max())
    if not skew <= _SKEW:
        raise Broken("has a pose whose rotation is singular or skewed; export it again")
    if volume < 0:
        raise Broken("has a pose that mirrors; axes must be right-handed, OpenGL's")
    result = matrix.copy()
    result[:3, :3] = unit
    return result


def number(values: Mapping[str, Any], key: str, default: float) -> float:
    """A finite number; Broken if it is something else."""
    value = values.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Broken(f"has {key} {plain(repr(value))[:40]}; it must be a finite number")
    return float(value)


def _focal(values: Mapping[str, Any], size: tuple[int, int]) -> tuple[float, float]:
    """Focal lengths in pixels; where only one is known, pixels are square."""
    found = []
    for axis, side in zip("xy", size, strict=True):
        length, angle = f"fl_{axis}", f"camera_angle_{axis}"
        if values.get(length) is not None:
            focal = number(values, length, 0.0)
            if not focal > 0:
                raise Broken(f"has {length} {focal:g}; a focal length is more than 0")
            found.append(focal)
        elif values.get(angle) is not None:
            radians = number(values, angle, 0.0)
            if not 0 < radians < math.pi:
                raise Broken(f"has {angle} {radians:g}; it is an angle between 0 and pi")
            found.append(side / 2 / math.tan(radians / 2))
        else:
            found.append(None)
    fl_x, fl_y = found
    fl_x, fl_y = fl_x or fl_y, fl_y or fl_x
    if fl_x is None or fl_y is None:
        raise Broken("has no focal length; fl_x or camera_angle_x says it")
    return fl_x, fl_y


def _require_size(values: Mapping[str, Any], size: tuple[int, int], turned: bool) -> None:
    width, height = (number(values, key, side) for key, side in zip("wh", size, strict=True))
    if (width, height) == size:
        return
    fits = turned and (height, width) == size
    why = "; save it turned as its EXIF asks, which is not done here" if fits else ""
    raise Broken(
        f"has an image of {size[0]} x {size[1]} pixels, where w and h say {width:g} x {height:g}"
        f"{why}"
    )


def _lens(values: Mapping[str, Any]) -> Lens:
    model = values.get("camera_model") or "OPENCV"
    other = next((key for key in _ELSE if values.get(key)), None)
    if other or str(model).upper() not in (*_PERSPECTIVE, *_FISHEYE):
        raise Broken(
            f"has a lens of the kind {plain(str(other or model))[:40]}; perspective ones (OPENCV)"
            " and fisheyes (OPENCV_FISHEYE) are read"
        )
    k1, k2, k3, k4, p1, p2 = (
        number(values, key, 0.0) for key in ("k1", "k2", "k3", "k4", "p1", "p2")
    )
    if values.get("is_fisheye") or str(model).upper() in _FISHEYE:
        return Fisheye((k1, k2, k3, k4))
    return Perspective((k1, k2, k3, k4), (p1, p2))
