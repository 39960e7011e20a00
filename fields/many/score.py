"""How close a field of a set is to its shape, from few points, since there are many fields."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import ops
from fields.errors import FieldsError
from fields.shapes.extract import extract
from fields.signals.inside import InsideTest
from fields.signals.shape import ShapeSignal

_SIDE = 32  # cells along an axis of the box, with a point in each: IoU 0.98 to 0.002
_RESOLUTION = 96  # of the mesh: with 64 it misses rods and wings that the field has
_POINTS = 8192  # on each surface
_THRESHOLD = 0.005  # of the diagonal, as elsewhere
_STARTS, _BAND, _MOVES = 1 << 16, 0.03, 4  # points that are led to the surface of an unsigned field


def score_field(field: nn.Module, signal: ShapeSignal) -> dict[str, float | None]:
    """The scores of one field, coords [N, 3] -> [N, 1].

    Returns `iou` of the insides, at 32^3 points of the shape's box, None for an unsigned distance;
    and `f_score` of the surfaces at 0.5 % of the box's diagonal, by a mesh of 96 cells along an
    axis. Of an unsigned distance it comes without a mesh: see `_of_unsigned`.
    """
    low, high = signal.bvh.bounds[:3], signal.bvh.bounds[3:]
    threshold = _THRESHOLD * float((high - low).norm())
    if signal.stores == "udf":
        return {"iou": None, "f_score": _harmonic(*_of_unsigned(field, signal, threshold))}
    test = InsideTest(low, high, signal.distance, signal.is_inside, side=_SIDE)
    iou = round(test.iou(field), 6)
    return {"iou": iou, "f_score": _harmonic(*_of_signed(field, signal, threshold))}


def _harmonic(there: float, back: float) -> float:
    return round(2 * there * back / max(there + back, 1e-12), 6)


def _of_signed(field: nn.Module, signal: ShapeSignal, threshold: float) -> tuple[float, float]:
    """The shares of the field's surface near the shape's, and of the shape's near the field's."""
    sign = -1.0 if signal.stores == "occupancy" else 1.0

    def values(coords: Tensor) -> Tensor:
        return sign * field(coords)[:, 0]

    try:
        vertices, faces = extract(values, _RESOLUTION, is_distance=signal.stores == "sdf")
    except FieldsError:  # no surface, or one that is nearly everywhere
        return 0.0, 0.0
    mesh = ops.build_bvh(torch.from_numpy(vertices).float(), torch.from_numpy(faces))
    there, back = (
        _share(ops.closest_point(other, _on_surface(of), signed=False)[0] <= threshold)
        for of, other in ((mesh, signal.bvh), (signal.bvh, mesh))
    )
    return there, back


def _of_unsigned(field: nn.Module, signal: ShapeSignal, threshold: float) -> tuple[float, float]:
    """The same where no sign changes: points near the field's surface are led to it along its slope
    (Chibane et al. 2020, NDF, section 3.3), and how far the shape's are from it the field says."""
    with torch.no_grad():
        back = _share(field(_on_surface(signal.bvh))[:, 0] <= threshold)
        points = torch.rand(_STARTS, 3, generator=torch.Generator().manual_seed(1))
        points = points[field(points)[:, 0] < _BAND]
    for _ in range(_MOVES):
        with torch.enable_grad():
            leaf = points.requires_grad_()
            values = field(leaf)
            (slope,) = torch.autograd.grad(values.sum(), leaf)
        way = values.detach() * torch.nn.functional.normalize(slope, dim=1)
        points = (points.detach() - way).clamp(0, 1)
    with torch.no_grad():
        arrived = points[field(points)[:, 0] <= threshold]
    return _share(ops.closest_point(signal.bvh, arrived, signed=False)[0] <= threshold), back


def _on_surface(bvh: ops.Bvh) -> Tensor:
    """Points on a mesh, by area."""
    return ops.sample_shape(bvh, _POINTS, 1, 1, surface=1, near=0, uniform=0, jitter=0)[0]


def _share(near: Tensor) -> float:
    return float(near.float().mean()) if len(near) else 0.0
