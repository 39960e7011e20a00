"""How close a field of a set is to its shape, from few points, since there are many fields."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import ops
from fields.errors import FieldsError
from fields.shapes.extract import extract
from fields.shapes.open_surface import extract_open
from fields.signals.inside import InsideTest
from fields.signals.shape import ShapeSignal

_SIDE = 32  # cells along an axis of the box, with a point in each: IoU 0.98 to 0.002
_RESOLUTION = (
    64  # of the mesh, whose vertices lie on the level set: chords miss it by less than F sees
)
_POINTS = 8192  # on each surface
_THRESHOLD = 0.005  # of the diagonal, as elsewhere


def score_field(field: nn.Module, signal: ShapeSignal) -> dict[str, float | None]:
    """`iou` of the insides, at 32^3 points of the shape's box, None without an inside; and
    `f_score` of the surfaces, at 0.5 % of its diagonal, by a mesh of 64 cells along an axis."""
    low, high = signal.bvh.bounds[:3], signal.bvh.bounds[3:]
    iou = None
    if signal.sampled:
        test = InsideTest(low, high, signal.distance, signal.is_inside, side=_SIDE)
        iou = round(test.iou(field), 6)
    diagonal = float((high - low).norm())
    return {"iou": iou, "f_score": round(_f_score(field, signal, _THRESHOLD * diagonal), 6)}


def _f_score(field: nn.Module, signal: ShapeSignal, threshold: float) -> float:
    """The harmonic mean of the shares of both surfaces that lie near the other; 0 without one."""
    sign = -1.0 if signal.stores == "occupancy" else 1.0

    def values(coords: Tensor) -> Tensor:
        return sign * field(coords)[:, 0]

    try:
        if signal.stores == "udf":
            vertices, faces, _ = extract_open(values, _RESOLUTION)
        else:
            vertices, faces = extract(values, _RESOLUTION, is_distance=signal.stores == "sdf")
    except FieldsError:  # no surface, or one that is nearly everywhere
        return 0.0
    mesh = ops.build_bvh(torch.from_numpy(vertices).float(), torch.from_numpy(faces))
    there, back = _near(mesh, signal.bvh, threshold), _near(signal.bvh, mesh, threshold)
    return 2 * there * back / max(there + back, 1e-12)


def _near(of: ops.Bvh, other: ops.Bvh, threshold: float) -> float:
    """The share of one surface within `threshold` of another."""
    if not of.total_area > 0:
        return 0.0
    points, _ = ops.sample_shape(of, _POINTS, 1, 1, surface=1, near=0, uniform=0, jitter=0)
    distances = ops.closest_point(other, points, signed=False)[0]
    return float((distances <= threshold).float().mean())
