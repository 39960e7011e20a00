"""Cameras: where a shape is seen from. OpenGL axes: x right, y up, looking along -z."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fields.errors import FieldsError
from fields.pictures.naming import shown

FIELD_OF_VIEW = 35.0  # degrees, of the shorter side
UPS = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera without distortion.

    Args:
        cam_to_world: [4, 4] float64, in units of the source.
        width, height: pixels.
        focal: in pixels, alike along both axes; the principal point is the middle.
    """

    cam_to_world: np.ndarray
    width: int
    height: int
    focal: float

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """Origin [3] and directions [height * width, 3] of unit length, row by row, float64."""
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal
        y = (self.height / 2 - np.arange(self.height) - 0.5) / self.focal
        inside = np.empty((self.height, self.width, 3))
        inside[..., 0], inside[..., 1], inside[..., 2] = x, y[:, None], -1
        inside /= np.linalg.norm(inside, axis=-1, keepdims=True)
        directions = inside.reshape(-1, 3) @ self.cam_to_world[:3, :3].T
        return self.cam_to_world[:3, 3].copy(), directions

    def enlarged(self, factor: int) -> Camera:
        """The same view with `factor` times the pixels along each axis."""
        return replace(
            self,
            width=self.width * factor,
            height=self.height * factor,
            focal=self.focal * factor,
        )


def look_at(eye: np.ndarray, centre: np.ndarray, up: np.ndarray) -> np.ndarray:
    """cam_to_world [4, 4] of a camera at `eye` that sees `centre` in its middle."""
    back = (eye - centre) / np.linalg.norm(eye - centre)
    right = np.cross(up, back)
    if np.linalg.norm(right) < 1e-6:  # straight from above
        right = np.cross(np.roll(up, 1), back)
    right /= np.linalg.norm(right)
    result = np.eye(4)
    result[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    result[:3, 3] = eye
    return result


def around(
    centre: np.ndarray,
    radius: float,
    size: tuple[int, int],
    *,
    azimuth: float = 30.0,
    elevation: float = 20.0,
    up: str = "y",
) -> Camera:
    """A camera that sees all of a ball.

    Args:
        centre, radius: of the ball.
        size: (width, height) in pixels.
        azimuth, elevation: degrees, around `up` and above the horizon; azimuth 0 looks along the
            axis before `up` in the order x, y, z, against it: from +z where y is up, from -y where
            z is.
        up: x, y or z.
    """
    axis = np.asarray(UPS[up])
    front = {"y": (0.0, 0.0, 1.0), "z": (0.0, -1.0, 0.0), "x": (0.0, 1.0, 0.0)}[up]
    side = np.cross(axis, front)
    a, e = math.radians(azimuth), math.radians(elevation)
    level = math.cos(a) * np.asarray(front) + math.sin(a) * side
    direction = math.cos(e) * level + math.sin(e) * axis
    half = math.radians(FIELD_OF_VIEW) / 2
    eye = np.asarray(centre) + radius / math.sin(half) * direction
    focal = min(size) / 2 / math.tan(half)
    return Camera(look_at(eye, np.asarray(centre), axis), size[0], size[1], focal)


def orbit(count: int, *ball: Any, elevation: float = 20.0, up: str = "y") -> list[Camera]:
    """`count` cameras once around; `ball` is (centre, radius, size) as `around` takes them."""
    step = 360.0 / count
    return [around(*ball, azimuth=30 + i * step, elevation=elevation, up=up) for i in range(count)]


def read(path: Path, size: tuple[int, int]) -> list[Camera]:
    """The cameras of a JSON file: a path as nerfstudio's viewer saves it, or `frames` as in
    transforms.json, each with a 4 x 4 matrix from camera to world.

    Args:
        path: the file.
        size: (width, height) of the pictures; the field of view is that of the file.

    Raises FieldsError for what is no such file.
    """
    name = shown(path)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FieldsError(f"{name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise FieldsError(f"{name} is no JSON; name a camera path") from None
    try:
        if "camera_path" in content:
            return [
                _camera(p["camera_to_world"], p.get("fov"), size) for p in content["camera_path"]
            ]
        angle = content.get("camera_angle_x")
        fov = None if angle is None else math.degrees(_across(angle, size))
        return [_camera(p["transform_matrix"], fov, size) for p in content["frames"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FieldsError(
            f"{name} holds no cameras; it needs camera_path or frames, each with a 4 x 4 matrix"
        ) from None


def _across(angle: float, size: tuple[int, int]) -> float:
    """The vertical field of view that belongs to a horizontal one, in radians."""
    return 2 * math.atan(math.tan(float(angle) / 2) * size[1] / size[0])


def _camera(matrix: Any, fov: float | None, size: tuple[int, int]) -> Camera:
    """`fov` is the vertical field of view in degrees."""
    pose = np.asarray(matrix, np.float64)
    if pose.size != 16 or not np.isfinite(pose).all():
        raise ValueError
    half = math.radians(FIELD_OF_VIEW if fov is None else float(fov)) / 2
    return Camera(pose.reshape(4, 4), size[0], size[1], size[1] / 2 / math.tan(half))
