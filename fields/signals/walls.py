"""Walls within the solid of a mesh that cuts itself: a distance must not stop at them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fields import ops
from fields.shapes import Shape, ShapeSpace
from fields.shapes.mend import unique_rows

_LOOKED_AT = 2048  # places: a wall of a hundredth of the surface is missed by a chance of 1e-9
_OFF = 2e-5  # of the unit cube, on either side of a face: where sheets are told apart
_COARSE, _FINE = 1 / 16, 1 / 2048  # longest sides of faces that are asked, and of those at a seam
_MOST = 100_000  # pieces that may meet a seam: of more, those of twice the size are asked once
# Places in a face: its middle, and near its corners.
_PLACES = torch.tensor(
    [[1 / 3, 1 / 3, 1 / 3], [0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]
)


def without_walls(shape: Shape, space: ShapeSpace, bvh: ops.Bvh | None = None) -> Shape:
    """A closed mesh without those of its faces that have its inside, or its outside, on both sides.

    Args:
        shape: closed; its inside is where its winding number is more than 1/2.
        space: of the shape.
        bvh: of the shape, where there is one.

    Returns the same shape if no such face is found at 2,048 random places. Otherwise one whose
    sign is "winding": faces are split at the seams, into pieces of 1/2048 of the cube, whose last
    row stands out into the solid.
    """
    unit = torch.from_numpy(space.to_unit(shape.vertices))
    triangles = unit[torch.from_numpy(shape.faces)]
    bvh = bvh or ops.build_bvh(unit.float(), torch.from_numpy(shape.faces))
    found = _share_of_walls(bvh, triangles)
    if not found:
        return shape
    kept = _bounding(bvh, triangles)
    if not len(kept):
        return shape
    first, corner = unique_rows(kept.reshape(-1, 3).numpy() + 0.0)
    vertices = space.to_source(kept.reshape(-1, 3).numpy()[first])
    note = (
        f"{found:.1%} of the surface left out: within the solid, since the mesh cuts itself; inside"
        " is what winding numbers say"
    )
    return replace(
        shape,
        vertices=vertices,
        faces=corner.reshape(-1, 3).astype(np.int64),
        sign="winding",
        notes=(*shape.notes, note),
    )


def _share_of_walls(bvh: ops.Bvh, triangles: Tensor) -> float:
    """How much of the surface bounds nothing, by a look at random places."""
    a, b, c = triangles.unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1)
    generator = torch.Generator().manual_seed(0)
    ends = area.cumsum(0)
    at = torch.rand(_LOOKED_AT, dtype=torch.float64, generator=generator) * ends[-1]
    chosen = triangles[torch.searchsorted(ends, at).clamp(max=len(area) - 1)]
    u, v = torch.rand(2, _LOOKED_AT, 1, dtype=torch.float64, generator=generator)
    root = u.sqrt()
    places = torch.cat([1 - root, root * (1 - v), root * v], 1)
    return 1 - float(_bounds(bvh, chosen, places[:, None]).double().mean())


def _bounds(bvh: ops.Bvh, triangles: Tensor, places: Tensor) -> Tensor:
    """[N, P]: whether there is an outside before and an inside behind triangles [N, 3, 3] at
    places [P, 3] or [N, P, 3] within them."""
    points = places.to(triangles) @ triangles
    a, b, c = triangles.unbind(1)
    normals = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1, eps=1e-30)
    before, behind = (
        ops.winding_number(bvh, side.reshape(-1, 3).float().to(bvh.device)).view(side.shape[:-1])
        for side in (points + _OFF * normals[:, None], points - _OFF * normals[:, None])
    )
    return ((before <= 0.5) & (behind > 0.5)).cpu()


def _bounding(bvh: ops.Bvh, triangles: Tensor) -> Tensor:
    """[K, 3, 3]: what bounds the solid, split where it meets what does not."""
    kept, side = [], _COARSE
    triangles = _split(triangles, side)
    while side > _FINE and len(triangles) < _MOST:
        bounds = _bounds(bvh, triangles, _PLACES)
        kept.append(triangles[bounds.all(1)])
        side /= 2
        triangles = _split(triangles[bounds.any(1) & ~bounds.all(1)], side)
    kept.append(triangles[_bounds(bvh, triangles, _PLACES)[:, 0]])
    return torch.cat(kept)


def _split(triangles: Tensor, side: float) -> Tensor:
    """Triangles [N, 3, 3], those whose longest side is more than `side` split in four till none."""
    done = []
    while len(triangles):
        a, b, c = triangles.unbind(1)
        long = torch.stack([a - b, b - c, c - a]).norm(dim=2).amax(0) > side
        done.append(triangles[~long])
        a, b, c = triangles[long].unbind(1)
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        pieces = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        triangles = torch.cat([torch.stack(piece, 1) for piece in pieces])
    return torch.cat(done) if done else triangles
