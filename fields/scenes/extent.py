"""Where a scene ends, told by its cameras or by points, where its files do not say."""

from collections.abc import Sequence

import numpy as np

from fields.cameras import Camera
from fields.scenes.views import corners, focus, seen_box, standing_box

_FEWEST = 32  # points that say anything
_ALL, _INNER = (0.5, 99.5), (10.0, 90.0)  # percentiles
_AROUND = {_ALL: 1.1, _INNER: 1.25}  # how much larger the box is than what lies between them


def extent(
    cameras: Sequence[Camera], alpha: bool, notes: list[str], points: np.ndarray | None = None
) -> tuple[np.ndarray, bool]:
    """The box [2, 3] of a scene and whether what lies beyond is seen as well.

    Args:
        cameras: of all views.
        alpha: opacity is known: there is nothing behind what the images show.
        notes: gets a line that says what was assumed.
        points: [N, 3] on surfaces, if there are any.

    With alpha, the box is that of the points, or what the cameras look at. Without, the world goes
    on behind, and the box is the part that deserves most detail: where most points are, or where
    the cameras are.
    """
    middle = focus(cameras)
    told = points is not None and len(points) >= _FEWEST
    unbounded = not alpha or middle is None
    if points is not None and told:
        box, by = _of_points(points, _INNER if unbounded else _ALL), "points"
    elif unbounded or middle is None:
        box, by = standing_box(cameras, middle), "where the cameras stand"
    else:
        box, by = seen_box(cameras, middle), "what the cameras look at"
    beyond = "; what lies beyond is drawn together towards it" if unbounded else ""
    notes.append(f"the box of the scene is taken from {by}, {corners(box)}{beyond}")
    return box, unbounded


def _of_points(points: np.ndarray, between: tuple[float, float]) -> np.ndarray:
    low, high = np.percentile(points, between, axis=0)
    # A side of no length, of points in a plane, would make no box.
    half = np.maximum((high - low) / 2, 0.05 * float((high - low).max()) + 1e-9) * _AROUND[between]
    return np.stack([(low + high) / 2 - half, (low + high) / 2 + half])
