"""PointNet on points of the surface (Qi et al. 2017), without its two spatial transformers: the
explicit baseline."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.readers.reader import Reader

_AXES = (2 / 3, 3 / 2)
_JITTER = 0.01  # lengths of the unit cube


class PointNet(Reader):
    """An MLP over each point and a maximum over all; points [B, N, 3] in the unit cube.

    Training shows some of the points, scaled along the axes and jittered.

    Args:
        classes, dropout: as those of a Reader.
        shown: points at a time in training.
    """

    def __init__(self, classes: int, dropout: float = 0.3, shown: int = 256):
        super().__init__(128, classes, dropout)
        self.shown = shown
        self.each = nn.Sequential(*_layer(3, 64), *_layer(64, 64), *_layer(64, 128),
                                  *_layer(128, 256))  # fmt: skip
        self.all = nn.Sequential(
            nn.Linear(256, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(dropout)
        )

    def augmented(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        count, shown = len(inputs), min(self.shown, inputs.shape[1])
        kept = torch.rand(inputs.shape[:2], generator=generator).topk(shown, 1).indices
        points = inputs.gather(1, kept[..., None].expand(-1, -1, 3))
        low, high = _AXES
        scales = low + (high - low) * torch.rand(count, 1, 3, generator=generator)
        points = unit((points - 0.5) * scales)
        return points + _JITTER * torch.randn(points.shape, generator=generator)

    def features(self, inputs: Tensor) -> Tensor:
        return self.all(self.each(2 * inputs.transpose(1, 2) - 1).amax(2))


def unit(points: Tensor) -> Tensor:
    """Points [B, N, 3] moved and scaled, so that the longest side of their box is 0.9 and lies in
    the middle of the cube."""
    low, high = points.amin(1, keepdim=True), points.amax(1, keepdim=True)
    longest = (high - low).amax(2, keepdim=True).clamp_min(1e-8)
    return 0.5 + (points - (low + high) / 2) * (0.9 / longest)


def _layer(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv1d(inputs, outputs, 1, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
