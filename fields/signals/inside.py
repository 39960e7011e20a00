"""How much of a box a field and a shape agree on: intersection over union, from random points."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

_SIDE, _BLOCK = 64, 4  # cells along an axis of the box, with a point in each; of them in a block
SAMPLED, ALL = 1 << 15, _SIDE**3
_MARGIN = 2.5  # standard deviations that a score is taken lower, so that other points confirm it
_CHUNK = 1 << 16
_SEED = 2**31 - 2


class InsideTest:
    """Points in the box of a shape, one in each of its cells, with what lies inside; made when
    first asked. They are in the order of blocks of cells: their distances take two thirds of the
    time.

    Args:
        low, high: [3], corners of the box in the unit cube.
        signed: points [N, 3] -> distance [N], negative inside.
        inside: values of a field [N] -> which are inside.
        side: cells along an axis, a multiple of 4; 64, of which scores for targets make use.
    """

    def __init__(
        self,
        low: Tensor,
        high: Tensor,
        signed: Callable[[Tensor], Tensor],
        inside: Callable[[Tensor], Tensor],
        side: int = _SIDE,
    ):
        generator = torch.Generator().manual_seed(_SEED)
        cells = torch.cartesian_prod(*[torch.arange(side)] * 3).view(
            *[side // _BLOCK, _BLOCK] * 3, 3
        )
        unit = cells.permute(0, 2, 4, 1, 3, 5, 6).reshape(side**3, 3)
        unit = (unit + torch.rand(side**3, 3, generator=generator)) / side
        self.points = low + (high - low) * unit.to(low.device)
        self.inside = inside
        self._signed = signed

    @cached_property
    def _distance(self) -> Tensor:
        """Of the shape, at all points."""
        return self._signed(self.points)

    @cached_property
    def _near(self) -> Tensor:
        """About SAMPLED of the points, those nearest to the surface, in their order."""
        distance = self._distance.abs()
        few = distance[:: ALL // SAMPLED]
        return (distance <= few.kthvalue(SAMPLED * len(few) // ALL).values).nonzero()[:, 0]

    def prepare(self) -> None:
        """Look the shape up now, so that the first score costs no more than others."""
        _ = self._near

    def iou(self, field: nn.Module) -> float:
        """Of all points; 1 where neither has an inside."""
        both, either = self._compared(field, self.points, self._distance < 0)
        return both / either if either else 1.0

    def sure_iou(self, field: nn.Module) -> float:
        """The same, less what the choice of points may be off by."""
        return self._lowered(self.iou(field))

    def sampled_iou(self, field: nn.Module) -> float:
        """The same by the points near the surface alone, as if the others were right."""
        near, inside = self._near, self._distance < 0
        both, either = self._compared(field, self.points[near], inside[near])
        deep = int(inside.sum()) - int(inside[near].sum())
        return self._lowered((deep + both) / (deep + either) if deep + either else 1.0)

    def _compared(self, field: nn.Module, points: Tensor, true: Tensor) -> tuple[int, int]:
        """Points that both hold, and that either does."""
        with torch.inference_mode():
            parts = [self.inside(field(part)[:, 0]) for part in points.split(_CHUNK)]
        ours = torch.cat(parts)
        return int((ours & true).sum()), int((ours | true).sum())

    def _lowered(self, iou: float) -> float:
        union = max(int((self._distance < 0).sum()), 1)
        return iou - _MARGIN * (max(iou * (1 - iou), 0.0) / union) ** 0.5
