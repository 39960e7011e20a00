"""Meshes an unsigned distance field, whose surface may end: dual contouring of its gradients.

Between two grid points lies the surface where the slopes there point apart and the two distances
make up no more than the edge and a quarter of it, and what a learned field keeps of a distance at
the surface. Each cell that such edges pass gets a vertex, the mean of where they are crossed; each
crossed edge a quadrilateral of the four cells around it.
Nothing has to be closed, and no cell needs to know which side is inside (after Guillard et al.
2022, MeshUDF, whose test on slopes this is, and Ju et al. 2002, whose dual mesh).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fields.errors import NoSurface
from fields.shapes.asking import Asking
from fields.shapes.limits import check_resolution
from fields.shapes.orient import make_consistent
from fields.shapes.refine import SIDE, refine, slope_bound

_SLACK = 1.25  # of the length of an edge, that the distances at its ends may make up
# Places that are led to the surface, to see what the field is there: the nearest of so many.
_PROBES, _NEAREST, _MOVES = 1 << 14, 0.05, 3
_FLAT = 0.25  # of a slope squared: no step is longer than twice the distance
# The cells around an edge, in the order of a walk around it, as steps along the other two axes.
_AROUND = ((0, 0), (-1, 0), (-1, -1), (0, -1))


def extract_open(
    values: Callable[[Tensor], Tensor], resolution: int, *, cancel: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The surface at which an unsigned distance field is 0, as an open mesh.

    Args:
        values: the field, coords [N, 3] float32 in the unit cube -> [N], distances >= 0.
        resolution: cells along each axis of the unit cube, 8 to 1024.
        cancel: [1]; Cancelled is raised once it is not zero.

    Returns vertices [V, 3] float64 in the unit cube, faces [F, 3] int64, turned alike where they
    meet, and unit normals [V, 3] of the faces around each vertex.
    Raises FieldsError where the field comes near 0 nowhere.
    """
    check_resolution(resolution)
    field = Asking(values, 0.0, cancel)
    size = resolution + 1
    blocks = refine(field, resolution, slope_bound(field))
    if blocks is None:
        raise NoSurface(
            "the field is too rough for a mesh: it may be 0 nearly everywhere; fit for longer"
        )
    cells = _cells(blocks, resolution)
    corners = cells[:, None] + np.array(list(np.ndindex(2, 2, 2)))
    points = np.unique(_index(corners.reshape(-1, 3), size))
    distances, slopes = _asked(field, points, size)
    longest = _SLACK / resolution + 2 * _floor(field)
    quads, edges, shares = _crossings(points, distances, slopes, size, longest)
    if not len(quads):
        raise NoSurface(
            f"there is no surface: the field is nowhere below {field.seen[0]:.3g}; fit for longer"
        )
    vertices, faces = _dual(quads, edges, shares, resolution)
    make_consistent(faces, [])
    return vertices / resolution, faces, _normals(vertices, faces)


def _cells(blocks: np.ndarray, resolution: int) -> np.ndarray:
    """[M, 3]: the grid cells in blocks of SIDE cells."""
    offsets = np.array(list(np.ndindex(SIDE, SIDE, SIDE)))
    cells = (blocks[:, None] * SIDE + offsets).reshape(-1, 3)
    return cells[(cells < resolution).all(1)]


def _index(points: np.ndarray, size: int) -> np.ndarray:
    """Grid points [N, 3] as one number each."""
    return (points[:, 0] * size + points[:, 1]) * size + points[:, 2]


def _places(index: np.ndarray, size: int) -> np.ndarray:
    x, rest = np.divmod(index, size * size)
    return np.stack([x, *np.divmod(rest, size)], axis=1)


def _asked(field: Asking, points: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances [N] and slopes [N, 3] at grid points.

    Slopes are quotients over a whole cell: close to the surface, where a learned distance is
    rounded off, they still point away from it.
    """
    cell = 1 / (size - 1)
    coords = torch.from_numpy((_places(points, size) * cell).astype(np.float32))
    steps = 0.5 * cell * torch.eye(3)
    slopes = [field(coords + step) - field(coords - step) for step in steps]
    return field(coords).numpy(), torch.stack(slopes, 1).numpy()


def _floor(field: Asking) -> float:
    """What the field is at its surface: a learned distance is rounded off before it is 0, which
    counts where cells are small. The median at points that were led to it."""
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(_PROBES, 3, generator=generator)
    values = field(coords)
    coords = coords[values <= values.quantile(_NEAREST)]
    for _ in range(_MOVES):
        values, slopes = field.with_slope(coords)
        step = values / slopes.square().sum(1).clamp(min=_FLAT)
        coords = (coords - step[:, None] * slopes).clamp(0, 1)
    return float(field(coords).clamp(min=0).median())


def _crossings(
    points: np.ndarray, distances: np.ndarray, slopes: np.ndarray, size: int, longest: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The edges that the surface crosses: (axis, x, y, z) of the first end [E, 4], whether slopes
    at it point backwards [E], and how far along the edge the surface lies [E].

    `longest`: what the distances at the ends of an edge may make up.
    """
    found, turned, shares = [], [], []
    for axis, stride in enumerate((size * size, size, 1)):
        at = np.searchsorted(points, points + stride)
        at[at == len(points)] = 0
        # Behind the last point of an axis the number is that of one at the other end.
        ahead = (points[at] == points + stride) & (points // stride % size != size - 1)
        first, second = np.flatnonzero(ahead), at[ahead]
        apart = (slopes[first] * slopes[second]).sum(1) < 0
        near = distances[first] + distances[second] < longest
        first, second = first[apart & near], second[apart & near]
        places = _places(points[first], size)
        inside = ((places > 0) & (places < size - 1))[:, [d for d in range(3) if d != axis]].all(1)
        first, second, places = first[inside], second[inside], places[inside]
        a, b = np.abs(distances[first]), np.abs(distances[second])
        found.append(np.column_stack([np.full(len(first), axis), places]))
        turned.append(slopes[first][:, axis] > 0)
        shares.append(a / np.maximum(a + b, 1e-12))
    return np.concatenate(found), np.concatenate(turned), np.concatenate(shares)


def _dual(
    edges: np.ndarray, turned: np.ndarray, shares: np.ndarray, resolution: int
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V, 3] in cells and faces [F, 3] of the dual mesh of crossed edges."""
    axis, places = edges[:, 0], edges[:, 1:]
    u, v = (axis + 1) % 3, (axis + 2) % 3
    rows = np.arange(len(edges))
    crossed = places.astype(np.float64)
    crossed[rows, axis] += shares
    around = np.repeat(places[:, None], 4, axis=1)
    for i, (step_u, step_v) in enumerate(_AROUND):
        around[rows, i, u] += step_u
        around[rows, i, v] += step_v
    names, quads = np.unique(_index(around.reshape(-1, 3), resolution), return_inverse=True)
    quads = quads.reshape(-1, 4)
    count = np.bincount(quads.reshape(-1), minlength=len(names))
    four = np.repeat(crossed, 4, axis=0)
    sums = [np.bincount(quads.reshape(-1), four[:, d], len(names)) for d in range(3)]
    quads[turned] = quads[turned][:, ::-1]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return np.stack(sums, 1) / count[:, None], faces.astype(np.int64)


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, faces[:, i], across)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
