"""Marching cubes, brick by brick, and the bricks welded to one mesh."""

import numpy as np

BRICK = 64  # cells; a multiple of it begins a slab
_ON_EDGE = 0.01  # of a cell: no vertex is nearer to a corner, so its edge can be told


class Marched:
    """Vertices and faces of bricks as they come, in units of cells."""

    def __init__(self):
        self._vertices: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._count = 0

    def add(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        """Vertices [V, 3] float64 and faces [F, 3] of one brick."""
        self._vertices.append(vertices)
        self._faces.append(faces.astype(np.int64) + self._count)
        self._count += len(vertices)

    def welded(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices [V, 3] float64 and faces [F, 3] int64; those that bricks share are one.

        A vertex on the border of a brick lies on an edge of the grid, which names it, whatever
        the last bits of its place.
        """
        if not self._vertices:
            return np.empty((0, 3)), np.empty((0, 3), np.int64)
        vertices, faces = np.concatenate(self._vertices), np.concatenate(self._faces)
        whole = np.round(vertices)
        on_corner = np.abs(vertices - whole) < _ON_EDGE
        shared = np.flatnonzero((on_corner & (whole % BRICK == 0)).any(1))
        half = np.where(on_corner, 2 * whole, 2 * np.floor(vertices) + 1)[shared].astype(np.int64)
        key = (half[:, 0] << 42) | (half[:, 1] << 21) | half[:, 2]
        _, first, kind = np.unique(key, return_index=True, return_inverse=True)
        target = np.arange(len(vertices))
        target[shared] = shared[first][kind]
        kept = target == np.arange(len(vertices))
        number = np.cumsum(kept) - 1
        return vertices[kept], number[target[faces]]


def march(
    slab: np.ndarray,
    start: int,
    resolution: int,
    steep: float,
    active: np.ndarray | None,
    marched: Marched,
) -> None:
    """Add the surface in a slab.

    Args:
        slab: [X + 1, R + 1, R + 1] float32 values at corners of cells, negative inside.
        start: the x of its first corner, a multiple of `BRICK`.
        resolution: R.
        steep: how much the values change along an edge of a cell at most. Where they change more
            the vertex is not in its right place, but on its right edge.
        active: [X, R, R] the cells whose corners are known; by default all.
    """
    for y in range(0, resolution, BRICK):
        for z in range(0, resolution, BRICK):
            low = (slice(None), slice(y, y + BRICK), slice(z, z + BRICK))
            high = (slice(None), slice(y, y + BRICK + 1), slice(z, z + BRICK + 1))
            mask = None if active is None else active[low]
            if mask is not None and not mask.any():
                continue
            brick = _closed(slab[high], (start, y, z), resolution)
            found = _marching_cubes(brick, steep, mask)
            if found is not None:
                marched.add(found[0] + (start, y, z), found[1])


def _closed(brick: np.ndarray, corner: tuple[int, int, int], resolution: int) -> np.ndarray:
    """A copy in which the border of the cube is outside; NaN, of cells not looked at, as well."""
    brick = np.nan_to_num(brick, nan=1.0)
    for axis in range(3):
        planes = np.moveaxis(brick, axis, 0)
        if corner[axis] == 0:
            planes[0] = np.abs(planes[0])
        if corner[axis] + len(planes) - 1 == resolution:
            planes[-1] = np.abs(planes[-1])
    return brick


def _marching_cubes(brick, steep, mask) -> tuple[np.ndarray, np.ndarray] | None:
    """Vertices [V, 3] float64 from the brick's corner and faces, or None."""
    from skimage.measure import marching_cubes

    brick = _off_corners(brick, steep)
    if not brick.min() < 0 < brick.max():
        return None
    if mask is not None:
        mask = np.pad(mask, ((1, 0), (1, 0), (1, 0)))  # a cell is masked at its last corner
    try:
        vertices, faces, _, _ = marching_cubes(
            brick, 0.0, mask=mask, gradient_direction="descent", allow_degenerate=True
        )
    except RuntimeError:  # no surface
        return None
    return vertices.astype(np.float64), faces


def _off_corners(brick: np.ndarray, steep: float) -> np.ndarray:
    """The values within a range in which no vertex falls on a corner: what is nearer to 0 or
    further from it is as near or far as allowed, in every brick alike."""
    size = np.clip(np.abs(brick), 2 * _ON_EDGE * steep, steep)
    return np.where(brick < 0, -size, size).astype(np.float32)
