"""How much of a box a field and a shape agree on: intersection over union, from random points."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

SAMPLED, ALL = 1 << 15, 1 << 18
_MARGIN = 2.0  # standard deviations that a sampled score is taken lower
_CHUNK = 1 << 16
_SEED = 2**31 - 2


class InsideTest:
    """Points in the box of a shape, with what lies inside; made when first asked.

    Args:
        low, high: [3], corners of the box in the unit cube.
        signed: points [N, 3] -> distance [N], negative inside.
        inside: values of a field [N] -> which are inside.
    """

    def __init__(
        self,
        low: Tensor,
        high: Tensor,
        signed: Callable[[Tensor], Tensor],
        inside: Callable[[Tensor], Tensor],
    ):
        generator = torch.Generator().manual_seed(_SEED)
        unit = torch.rand(ALL, 3, generator=generator).to(low.device)
        self.points = low + (high - low) * unit
        self.inside = inside
        self._signed = signed
        self._truth = torch.zeros(0, dtype=torch.bool, device=low.device)

    def truth(self, count: int) -> Tensor:
        """[count], of the first points; asked of the shape once."""
        known = len(self._truth)
        if known < count:
            more = self._signed(self.points[known:count]) < 0
            self._truth = torch.cat([self._truth, more])
        return self._truth[:count]

    def iou(self, field: nn.Module, count: int = ALL) -> float:
        """Of the first `count` points; 1 where neither has an inside."""
        true = self.truth(count)
        with torch.inference_mode():
            parts = [self.inside(field(part)[:, 0]) for part in self.points[:count].split(_CHUNK)]
        ours = torch.cat(parts)
        union = int((ours | true).sum())
        return int((ours & true).sum()) / union if union else 1.0

    def sampled_iou(self, field: nn.Module) -> float:
        """Of few points, less what their choice may be off by."""
        iou = self.iou(field, SAMPLED)
        union = max(int(self.truth(SAMPLED).sum()), 1)
        return iou - _MARGIN * (max(iou * (1 - iou), 0.0) / union) ** 0.5
