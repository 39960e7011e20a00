"""What the cameras of a scene tell of it: what they look at, where it ends, which way is up."""

from collections.abc import Sequence

import numpy as np

from fields.cameras import Camera
from fields.scenes.scene import Vector

Z_UP: Vector = (0.0, 0.0, 1.0)

_PARALLEL = 1e-4  # mean squared sine between axes and the direction they share: half a degree
_MOST = 0.9  # of all cameras


def focus(cameras: Sequence[Camera]) -> np.ndarray | None:
    """The point [3] nearest to all optical axes, in the sense of squared distances.

    None where the cameras do not look at one: where axes are parallel, or it lies behind more than
    a tenth of the cameras.
    """
    origins = np.stack([camera.position for camera in cameras])
    forward = np.stack([camera.forward for camera in cameras])
    away = np.eye(3) - forward[:, :, None] * forward[:, None, :]  # from an axis to a point
    total = away.sum(0)
    if np.linalg.eigvalsh(total)[0] < _PARALLEL * len(cameras):
        return None
    point = np.linalg.solve(total, (away @ origins[:, :, None]).sum(0))[:, 0]
    before = ((point - origins) * forward).sum(1) > 0
    return point if before.mean() >= _MOST else None


def one_place(cameras: Sequence[Camera]) -> bool:
    """Whether all cameras stand in one place, from where depths cannot be told."""
    origins = np.stack([camera.position for camera in cameras])
    spread = float(np.ptp(origins, axis=0).max())
    return len(cameras) > 1 and spread <= 1e-6 * max(1.0, float(np.abs(origins).max()))


def seen_box(cameras: Sequence[Camera], point: np.ndarray) -> np.ndarray:
    """The cube [2, 3] around a point that cameras look at: what nine of ten see of it."""
    distances = [np.linalg.norm(camera.position - point) for camera in cameras]
    halves = [
        distance * max(camera.width / camera.fl_x, camera.height / camera.fl_y) / 2
        for distance, camera in zip(distances, cameras, strict=True)
    ]
    return cube(point, float(np.quantile(halves, _MOST)))


def standing_box(cameras: Sequence[Camera], point: np.ndarray | None = None) -> np.ndarray:
    """The cube [2, 3] that holds the cameras, around what they look at or in the midst of them."""
    origins = np.stack([camera.position for camera in cameras])
    middle = (origins.min(0) + origins.max(0)) / 2 if point is None else point
    half = float(np.abs(origins - middle).max())
    return cube(middle, half if half > 1e-6 else 1.0)


def cube(middle: np.ndarray, half: float) -> np.ndarray:
    """[2, 3]."""
    return np.stack([middle - half, middle + half])


def corners(box: np.ndarray) -> str:
    """A box in words."""
    return " to ".join(f"({', '.join(f'{x:.3g}' for x in corner)})" for corner in box)


def mean_up(cameras: Sequence[Camera]) -> Vector:
    """What is up in the mean of the pictures, of unit length; +z where they do not agree."""
    mean = np.mean([camera.cam_to_world[:3, 1] for camera in cameras], axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-3:
        return Z_UP
    x, y, z = (mean / length).tolist()
    return (x, y, z)


def likely_up(cameras: Sequence[Camera]) -> Vector:
    """As `mean_up`, where +z is taken if it is near: files have it so, if they were aligned."""
    up = mean_up(cameras)
    return Z_UP if up[2] > 0.9 else up
