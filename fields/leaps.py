"""How far a ray through an occupancy may leap: to where an inside is near, from a coarse grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Values = Callable[[Tensor], Tensor]

SIDE = 128  # cells of the grid along an axis
_CHUNK = 1 << 18


def leaps_of(values: Values, device: torch.device) -> Values | None:
    """Points [N, 3] in the unit cube -> lengths [N] that are free of any inside around them.

    Args:
        values: the field, points [N, 3] -> [N], negative inside; asked at the vertices of a grid.
        device: of the points.

    A vertex counts as inside where the values sink so fast on the way to it, or from it, that they
    would be below 0 one cell on: what is thinner than a cell may lie there. Distances are those of
    a chessboard, which are no longer than true ones, less two cells for what lies between vertices.
    None where no vertex is inside.
    """
    from scipy.ndimage import distance_transform_cdt

    count = SIDE + 1
    at = torch.linspace(0, 1, count)
    asked = torch.empty(count, count * count)
    plane = torch.cartesian_prod(at, at)
    for i, x in enumerate(at):
        points = torch.cat([x.expand(len(plane), 1), plane], 1).to(device)
        asked[i] = torch.cat([values(part) for part in points.split(_CHUNK)]).cpu()
    grid = asked.view(count, count, count).numpy()
    outside = grid >= _changes(grid)
    if outside.all():
        return None
    cells = np.asarray(distance_transform_cdt(outside, metric="chessboard"), np.float32)
    free = torch.from_numpy((cells - 2) / SIDE).to(device).reshape(-1)

    def leaps(points: Tensor) -> Tensor:
        x, y, z = (points * SIDE).round().long().clamp(0, SIDE).unbind(1)
        return free[(x * count + y) * count + z]

    return leaps


def _changes(grid: np.ndarray) -> np.ndarray:
    """How much the values [X, Y, Z] change to a neighbour along an axis, at most."""
    result = np.zeros_like(grid)
    for axis in range(3):
        steps = np.moveaxis(np.abs(np.diff(grid, axis=axis)), axis, 0)
        along = np.moveaxis(result, axis, 0)
        np.maximum(along[1:], steps, out=along[1:])
        np.maximum(along[:-1], steps, out=along[:-1])
    return result
