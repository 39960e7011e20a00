"""Finds the cells that a distance field's surface can pass, from coarse to fine."""

import math

import numpy as np
import torch
from torch import Tensor

from fields.shapes.asking import Asking

SIDE = 2  # cells of the grid along a side of the smallest cell that is looked at
# Cells that are kept for each that covers a face of the cube: a surface as large as all its faces
# keeps about 20; of a field that is rough away from its surface nearly all would be.
_MOST_CELLS = 30
_COARSEST = 32  # cells along an axis at first, at least
# So many are looked at whatever they tell: near the first level a field whose distances end, as
# those of a set do at 0.05, can rule out nothing.
_FEW = 64**3
_PROBES = 1 << 14
_TAIL = 0.002  # of the probes may be steeper than the bound is taken from
_MARGIN = 1.25


def slope_bound(field: Asking) -> float:
    """A bound on how fast a field changes, measured: the slope at random places and near the
    level, but for the steepest 0.2 %, and a quarter more; > 0."""
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(_PROBES, 3, generator=generator)
    values, slopes = field.with_slope(coords)
    steepness = slopes.norm(dim=1)
    # Again, moved to the level: what is refined is near it.
    step = values / steepness.square().clamp(min=1e-6)
    near = (coords - step[:, None] * slopes).clamp(0, 1)
    steepness = torch.cat([steepness, field.with_slope(near)[1].norm(dim=1)])
    return max(1e-6, _MARGIN * float(steepness.quantile(1 - _TAIL)))


def refine(field: Asking, resolution: int, bound: float) -> np.ndarray | None:
    """Cells [M, 3] int32, `SIDE` grid cells wide, that may hold the surface, or None where they are
    so many that all cells may as well be looked at.

    A cell is left out if the value at its centre is further from the level than the bound lets it
    change on the way to a corner. One at the border of the cube is kept where it is inside: the
    mesh is closed there.
    """
    width = SIDE
    while resolution > _COARSEST * width:
        width *= 2
    cells = _grid(math.ceil(resolution / width))
    while True:
        kept = _may_hold(field, cells, width, resolution, bound)
        cells = cells[kept]
        if len(cells) > max(_FEW, _MOST_CELLS * (resolution / width) ** 2):
            return None
        if width == SIDE:
            return cells.numpy()
        width //= 2
        cells = (2 * cells[:, None] + _grid(2)).reshape(-1, 3)
        cells = cells[(cells * width < resolution).all(1)]


def _grid(count: int) -> Tensor:
    return torch.cartesian_prod(*[torch.arange(count, dtype=torch.int32)] * 3)


def _may_hold(field: Asking, cells: Tensor, width: int, resolution: int, bound: float) -> Tensor:
    radius = math.sqrt(3) / 2 * width / resolution
    last = math.ceil(resolution / width) - 1
    result = torch.empty(len(cells), dtype=torch.bool)
    for top in range(0, len(cells), field.chunk):
        part = cells[top : top + field.chunk]
        values = field(part.float().add_(0.5).mul_(width / resolution).clamp_(max=1))
        near = values.abs() <= bound * radius
        closes = (values < 0) & ((part == 0) | (part == last)).any(1)
        result[top : top + len(part)] = near | closes
    return result
