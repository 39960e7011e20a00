"""Meshes the level set of a field: coarse to fine, slab by slab, in bounded memory."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fields.errors import NoSurface
from fields.shapes.asking import Asking
from fields.shapes.edges import find_edges, is_closed
from fields.shapes.limits import check_resolution
from fields.shapes.march import Marched, march
from fields.shapes.polish import polish
from fields.shapes.refine import SIDE, refine, slope_bound

SLAB = 64  # cells along x that are in memory at once
# Edges of the grid that the surface crosses, for each cell that covers a face of the cube: one as
# large as all its faces crosses about 9. The mesh of a field that has learned little would take
# minutes.
_MOST_CROSSINGS = 40

# How many cells of `refine` further the surface is followed where it leaves them, time after time.
_REACHES = (1, 2, 4)

Values = Callable[[Tensor], Tensor]


def extract(
    values: Values,
    resolution: int,
    *,
    level: float = 0.0,
    is_distance: bool = True,
    gradient_bound: float | None = None,
    cancel: Tensor | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The surface where a field is at a level, as a mesh.

    Args:
        values: the field, coords [N, 3] float32 in the unit cube on the CPU -> [N] or [N, 1],
            below the level inside. Called with gradients on where it is differentiable to coords.
        resolution: cells along each axis of the unit cube, 8 to 1024.
        level: of the surface, in the field's values.
        is_distance: the field's slope is bounded: cells are refined where |f - level| at their
            centre is less than the bound times half their diagonal; others cannot hold the
            surface. Where the field is steeper than that somewhere and the mesh ends, cells beyond
            are added. A field that is no distance, such as an occupancy, is evaluated everywhere,
            and so is one so rough that nearly all cells are left.
        gradient_bound: of |df / dx|; measured at random places by default, see `slope_bound`.
        cancel: [1]; Cancelled is raised once it is not zero.

    Returns vertices [V, 3] float64 in the unit cube, on the level set to a hundredth of a cell,
    and faces [F, 3] int64, normals to where the field rises. What is inside at the border of the
    cube is closed there: the mesh is watertight.

    Cells are those of marching cubes with the ambiguous cases told apart (Lewiner et al. 2003).
    Raises FieldsError if the field has no such surface, or one that is nearly everywhere, or is NaN
    or infinite somewhere.
    """
    check_resolution(resolution)
    field = Asking(values, level, cancel)
    bound = slope_bound(field) if gradient_bound is None else gradient_bound
    cells = None
    if is_distance:
        bound = max(1.0, bound)
        cells = refine(field, resolution, bound)
    vertices, faces = _marched(field, resolution, bound, cells)
    for reach in _REACHES:
        if cells is None or not len(faces) or is_closed(faces):
            break
        more = _beside_open_edges(vertices, faces, cells, reach, resolution)
        if len(more) == len(cells):
            break
        cells = more
        vertices, faces = _marched(field, resolution, bound, cells)
    low, high = field.seen
    if not (len(faces) and low < level <= high):
        raise NoSurface(
            f"there is no surface at level {level:g}: the field goes from {low:.3g} to {high:.3g}",
            low,
            high,
        )
    return polish(field, vertices / resolution, 1 / resolution), faces


def _marched(
    field: Asking, resolution: int, bound: float, cells: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V, 3] in grid cells and faces [F, 3] of the surface in `cells`, by default all."""
    marched = Marched()
    crossings = 0
    size = resolution + 1
    memory = np.empty((min(SLAB, resolution) + 1, size, size), np.float32)
    last = np.full((size, size), np.nan, np.float32)
    for start in range(0, resolution, SLAB):
        count = min(SLAB, resolution - start)
        active = None if cells is None else _active(cells, start, count, resolution)
        if active is not None and not active.any():
            last[:] = np.nan
            continue
        slab = memory[: count + 1]
        _fill(slab, field, start, active, last)
        crossings += _crossings(slab)
        if crossings > _MOST_CROSSINGS * resolution**2:
            raise NoSurface(
                "the field is too rough for a mesh: its surface would be nearly everywhere; fit for"
                " longer"
            )
        march(slab, start, resolution, bound / resolution, active, marched)
        last = slab[-1].copy()
    return marched.welded()


def _beside_open_edges(
    vertices: np.ndarray, faces: np.ndarray, cells: np.ndarray, reach: int, resolution: int
) -> np.ndarray:
    """`cells` [M, 3], `SIDE` wide, and those up to `reach` of them from an open edge of the mesh:
    there the surface goes on into one that was left out."""
    edges = find_edges(faces)
    alone = edges.halves[edges.starts[edges.counts == 1]]
    if not len(alone):
        return cells
    ends = faces.reshape(-1)[alone], np.roll(faces, -1, axis=1).reshape(-1)[alone]
    middle = (vertices[ends[0]] + vertices[ends[1]]) / 2
    near = np.unique((middle // SIDE).astype(cells.dtype), axis=0)
    around = np.array(list(np.ndindex((2 * reach + 1,) * 3)), cells.dtype) - reach
    more = (near[:, None] + around).reshape(-1, 3)
    more = more[((more >= 0) & (more * SIDE < resolution)).all(1)]
    return np.unique(np.concatenate([cells, more]), axis=0)


def _active(cells: np.ndarray, start: int, count: int, resolution: int) -> np.ndarray:
    """[count, R, R]: which cells of a slab those of `cells` [M, 3], `SIDE` wide, cover."""
    result = np.zeros((count, resolution, resolution), bool)
    inside = cells[(cells[:, 0] * SIDE >= start) & (cells[:, 0] * SIDE < start + count)]
    corner = inside * SIDE - [start, 0, 0]
    for offset in np.ndindex(SIDE, SIDE, SIDE):
        x, y, z = (corner + offset).T
        here = (x < count) & (y < resolution) & (z < resolution)
        result[x[here], y[here], z[here]] = True
    return result


def _fill(
    slab: np.ndarray, field: Asking, start: int, active: np.ndarray | None, last: np.ndarray
) -> None:
    """Fill a slab [count + 1, R + 1, R + 1] with the values at the corners of its active cells.

    The others are NaN. A point is asked once: what the slab before knew of the first plane is in
    `last`, so that both have the same signs there whatever the field's rounding.
    """
    size = slab.shape[1]
    slab.fill(np.nan)
    wanted = np.ones(slab.shape, bool) if active is None else _corners(active)
    slab[0] = last
    wanted[0] &= np.isnan(last)
    flat, at = slab.reshape(-1), np.flatnonzero(wanted)
    for top in range(0, len(at), field.chunk):
        part = at[top : top + field.chunk]
        x, rest = np.divmod(part, size * size)
        y, z = np.divmod(rest, size)
        points = np.stack([x + start, y, z], axis=1) / (size - 1)
        flat[part] = field(torch.from_numpy(points.astype(np.float32))).numpy()


def _crossings(slab: np.ndarray) -> int:
    """Edges whose ends the surface parts, of those whose ends are both known."""
    sign = np.sign(slab)  # NaN remains
    return sum(int(np.count_nonzero(np.abs(np.diff(sign, axis=axis)) > 1)) for axis in range(3))


def _corners(active: np.ndarray) -> np.ndarray:
    """[X + 1, Y + 1, Z + 1]: which points are corners of active cells [X, Y, Z]."""
    result = np.pad(active, ((0, 1), (0, 1), (0, 1)))
    for axis in range(3):
        ahead = [slice(None)] * 3
        behind = [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        result[tuple(ahead)] |= result[tuple(behind)].copy()
    return result
