"""Cameras: where a shape is seen from. OpenGL axes: x right, y up, looking along -z."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fields.errors import FieldsError
from fields.lens import STRAIGHT, Lens

FIELD_OF_VIEW = 35.0  # degrees, of the shorter side
AZIMUTH = -30.0  # degrees beside the front, as glTF and Blender have it
MOST_PIXELS = 1 << 26  # of a picture whose rays are in memory at once
UPS = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
# Where the front of things is, by what points up.
FRONTS = {"x": (0.0, 1.0, 0.0), "y": (0.0, 0.0, 1.0), "z": (0.0, -1.0, 0.0)}


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera: where it stands, how large its picture is, what its lens does.

    Args:
        cam_to_world: [4, 4] float64, in units of the source; the upper left 3 x 3 is a rotation.
        width, height: pixels; the centre of the first pixel is at (0.5, 0.5).
        fl_x, fl_y: focal lengths in pixels.
        cx, cy: the principal point in pixels, from the upper left corner.
        lens: its distortion.
    """

    cam_to_world: np.ndarray
    width: int
    height: int
    fl_x: float
    fl_y: float
    cx: float
    cy: float
    lens: Lens = STRAIGHT

    @classmethod
    def simple(cls, cam_to_world: np.ndarray, width: int, height: int, focal: float) -> Camera:
        """Without distortion, its focal length alike along both axes, looking at the middle."""
        return cls(cam_to_world, width, height, focal, focal, width / 2, height / 2)

    @property
    def focal(self) -> float:
        """The focal length along x, in pixels."""
        return self.fl_x

    @property
    def position(self) -> np.ndarray:
        """[3] in units of the source."""
        return self.cam_to_world[:3, 3].copy()

    @property
    def forward(self) -> np.ndarray:
        """The direction [3] in which it looks, of unit length."""
        return -self.cam_to_world[:3, 2]

    @property
    def intrinsics(self) -> tuple:
        """All that says where its rays go, but for its pose and its size."""
        return (self.fl_x, self.fl_y, self.cx, self.cy, self.lens)

    @property
    def shows_all(self) -> bool:
        """Its lens shows something at every pixel: at those in the corners."""
        x = max(abs(0.5 - self.cx), abs(self.width - 0.5 - self.cx)) / self.fl_x
        y = max(abs(0.5 - self.cy), abs(self.height - 0.5 - self.cy)) / self.fl_y
        return math.hypot(x, y) <= self.lens.farthest

    @property
    def shown(self) -> np.ndarray:
        """[height, width] bool: pixels at which its lens shows something."""
        x = (np.arange(self.width) + 0.5 - self.cx) / self.fl_x
        y = (np.arange(self.height) + 0.5 - self.cy) / self.fl_y
        return np.hypot(x, y[:, None]) <= self.lens.farthest

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """Origin [3] and directions [height * width, 3] of unit length, row by row, float64."""
        x, y = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        pixels = np.stack([x.ravel(), y.ravel()], axis=1)
        return self.position, self.rays_of(pixels)[1]

    def rays_of(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rays of places in the picture.

        Args:
            pixels: [N, 2] x and y in pixels, at any fraction.

        Returns origins [N, 3] (one camera, so all the same; not to be written to) and directions
        [N, 3] of unit length, float64, in units and axes of the source.
        """
        directions = self.local_rays_of(pixels) @ self.cam_to_world[:3, :3].T
        return np.broadcast_to(self.cam_to_world[:3, 3], directions.shape), directions

    def local_rays_of(self, pixels: np.ndarray) -> np.ndarray:
        """As the directions of `rays_of`, in the camera's own axes: x right, y up, z backward."""
        pixels = np.asarray(pixels, np.float64)
        places = (pixels - (self.cx, self.cy)) / (self.fl_x, self.fl_y)
        return self.lens.rays_of(places) * (1.0, -1.0, -1.0)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where points are seen.

        Args:
            points: [N, 3] in units of the source.

        Returns pixels [N, 2], which may lie beside the picture and are NaN for a point that the
        lens does not show, and depths [N] along the camera's axis, negative behind it.
        """
        local = (np.asarray(points, np.float64) - self.position) @ self.cam_to_world[:3, :3]
        places = self.lens.places_of(local * (1.0, -1.0, -1.0))
        return places * (self.fl_x, self.fl_y) + (self.cx, self.cy), -local[:, 2]

    def resized(self, width: int, height: int, across: float, down: float) -> Camera:
        """The same view on `width` x `height` pixels, `across` by `down` times as many."""
        return replace(
            self,
            width=width,
            height=height,
            fl_x=self.fl_x * across,
            fl_y=self.fl_y * down,
            cx=self.cx * across,
            cy=self.cy * down,
        )

    def cropped(self, x0: int, y0: int, x1: int, y1: int) -> Camera:
        """What it sees of these of its pixels, x1 and y1 not included."""
        return replace(self, width=x1 - x0, height=y1 - y0, cx=self.cx - x0, cy=self.cy - y0)

    def enlarged(self, factor: int) -> Camera:
        """The same view with `factor` times the pixels along each axis."""
        return self.resized(self.width * factor, self.height * factor, factor, factor)


def check_size(width: int, height: int) -> None:
    """FieldsError for a picture without pixels, or with more than can be drawn."""
    if min(width, height) < 1:
        raise FieldsError(f"--size must be at least 1x1, got {width}x{height}")
    if width * height > MOST_PIXELS:
        raise FieldsError(f"--size must be at most {MOST_PIXELS:,} pixels, got {width}x{height}")


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


def turned(level: np.ndarray, up: np.ndarray, azimuth: float) -> np.ndarray:
    """A direction [3] turned by degrees around `up`, on which it stands upright."""
    a = math.radians(azimuth)
    return math.cos(a) * level + math.sin(a) * np.cross(up, level)


def around(
    centre: np.ndarray,
    radius: float,
    size: tuple[int, int],
    *,
    azimuth: float = AZIMUTH,
    elevation: float = 20.0,
    up: str = "y",
) -> Camera:
    """A camera that sees all of a ball.

    Args:
        centre, radius: of the ball.
        size: (width, height) in pixels.
        azimuth, elevation: degrees, around `up` and above the horizon; azimuth 0 looks along the
            axis before `up` in the order x, y, z, against it: from +z where y is up, from -y where
            z is; elevations are from -90 to 90.
        up: x, y or z.

    Raises FieldsError for other angles.
    """
    if not math.isfinite(azimuth):
        raise FieldsError(f"--azimuth must be a finite number, got {azimuth}")
    if not -90 <= elevation <= 90:  # nor NaN
        raise FieldsError(f"--elevation must be from -90 to 90 degrees, got {elevation:g}")
    axis = np.asarray(UPS[up])
    e = math.radians(elevation)
    level = turned(np.asarray(FRONTS[up]), axis, azimuth)
    direction = math.cos(e) * level + math.sin(e) * axis
    half = math.radians(FIELD_OF_VIEW) / 2
    eye = np.asarray(centre) + radius / math.sin(half) * direction
    focal = min(size) / 2 / math.tan(half)
    return Camera.simple(look_at(eye, np.asarray(centre), axis), size[0], size[1], focal)


def orbit(count: int, *ball: Any, elevation: float = 20.0, up: str = "y") -> list[Camera]:
    """`count` cameras once around; `ball` is (centre, radius, size) as `around` takes them."""
    step = 360.0 / count
    return [
        around(*ball, azimuth=AZIMUTH + i * step, elevation=elevation, up=up) for i in range(count)
    ]
