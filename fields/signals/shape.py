"""A mesh as a signal: distances from its surface, and how well a field tells its inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import ops
from fields.configs.shape import ShapeOptions
from fields.errors import FieldsError
from fields.shapes import Shape
from fields.signals.inside import SAMPLED, InsideTest
from fields.signals.of_shape import ShapeSource
from fields.signals.walls import without_walls

LOSSES = {"sdf": "relative", "udf": "relative", "occupancy": "binary"}


class ShapeSignal(ShapeSource):
    """Distances from a mesh on a device.

    Coordinates are those of the unit cube (ShapeSpace); values are signed distances in its lengths,
    negative inside, or unsigned ones, or 1 inside and 0 outside, whose field gives a logit.
    """

    def __init__(self, shape: Shape, options: ShapeOptions, device: torch.device):
        """Raises FieldsError where the options want a sign that the mesh does not give."""
        super().__init__(shape, options, device)
        self.stores, self.sign = _resolved(shape, options)
        self.loss = LOSSES[self.stores]
        self.bvh = self._hierarchy(shape)
        if shape.is_closed and self.sign != "none" and options.sign != "pseudonormal":
            self.source = without_walls(shape, self.space, self.bvh)
            if self.source is not shape:
                self.sign, self.bvh = self.source.sign, self._hierarchy(self.source)
        low, high = self.bvh.bounds[:3], self.bvh.bounds[3:]
        self._test = InsideTest(low, high, self.distance, self.is_inside)

    def _hierarchy(self, shape: Shape) -> ops.Bvh:
        vertices = torch.from_numpy(self.space.to_unit(shape.vertices)).float()
        return ops.build_bvh(vertices.to(self.device), torch.from_numpy(shape.faces))

    def prepare_scores(self) -> None:
        """Ask the shape now what scores compare with."""
        if self.sampled:
            self._test.prepare()

    @property
    def sampled(self) -> int:
        """Points of `sampled_score`; 0 where there is no inside to score."""
        return 0 if self.stores == "udf" else SAMPLED

    def __str__(self) -> str:
        return self._as(NAMES[self.stores])

    def distance(self, points: Tensor) -> Tensor:
        """Distances [N] of points [N, 3] in the unit cube from the mesh, signed where it is."""
        distances = ops.closest_point(self.bvh, points, signed=self.sign == "pseudonormal")[0]
        if self.sign != "winding":
            return distances
        inside = ops.winding_number(self.bvh, points) > 0.5
        return torch.where(inside, -distances, distances)

    def is_inside(self, values: Tensor) -> Tensor:
        """Which values [N] of a field are inside."""
        return values > 0 if self.stores == "occupancy" else values < 0

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates [count, 3] and values [count, 1]; the same for the same seed and step."""
        options = self.options
        coords, distances = ops.sample_shape(
            self.bvh,
            count,
            seed,
            step,
            surface=options.surface,
            near=options.near,
            uniform=options.uniform,
            jitter=options.jitter,
            sigma=options.spread,
            truncation=options.truncation or None,
            sign=self.sign,
        )
        return coords, (distances < 0).float() if self.stores == "occupancy" else distances

    def sampled_score(self, field: nn.Module) -> float:
        return self._test.sampled_iou(field)

    def score(self, field: nn.Module) -> float:
        """Intersection over union of the insides, in the box of the mesh; rather too low than too
        high, so that other points confirm a target."""
        return self._test.sure_iou(field)

    def iou(self, field: nn.Module) -> float:
        """The same, as it is."""
        return self._test.iou(field)


NAMES = {"sdf": "signed distance", "udf": "unsigned distance", "occupancy": "occupancy"}


def _resolved(shape: Shape, options: ShapeOptions) -> tuple[str, str]:
    """What is stored, and the sign that the kernels take; FieldsError where there is none."""
    sign = shape.sign if options.sign == "auto" else options.sign
    if options.stores == "udf":
        return "udf", "none"
    if sign == "none":
        if options.stores == "auto":
            return "udf", "none"
        raise FieldsError(
            f"{shape.name} is open: nothing says what is inside; give --sign winding for a guess by"
            " winding numbers, or --stores udf for its distance without a sign"
        )
    if options.sign == "pseudonormal" and not shape.is_closed:
        raise FieldsError(
            f"{shape.name} is open, and --sign pseudonormal would be wrong behind its edges; give"
            " --sign winding, or --stores udf"
        )
    return "sdf" if options.stores == "auto" else options.stores, sign
