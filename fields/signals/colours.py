"""The colours of a surface as a signal: what a field of colours learns, and how well it does."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor, nn

from fields.shapes import ShapeSpace
from fields.shapes.colours import Colours, Samples
from fields.signals.picture_score import MOST_PSNR

POINTS = 1 << 19  # that are learned: half of them cost 1 dB of a texture
CHECKED = 1 << 16  # that are compared, others
JITTER = 3e-3  # of the unit cube: how far points are moved off the surface along its normals


class ColourSignal:
    """Points of a surface, in the unit cube, and their sRGB from 0 to 1, on a device.

    A mesh of the field, and rays, meet it a little off the surface: points are moved as far.
    """

    channels = 3
    dim = 3

    def __init__(self, colours: Colours, space: ShapeSpace, device: torch.device):
        self._colours, self._space, self._device = colours, space, device

    @cached_property
    def _learned(self) -> tuple[Tensor, Tensor, Tensor]:
        return self._on_device(self._colours.sample(POINTS))

    def _on_device(self, samples: Samples) -> tuple[Tensor, Tensor, Tensor]:
        """Points, normals and colours [N, 3] each."""
        arrays = (self._space.to_unit(samples.points), samples.normals, samples.colours)
        points, normals, colours = (
            torch.from_numpy(array.astype("f4")).to(self._device) for array in arrays
        )
        return points, normals, colours

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates [count, 3] and colours [count, 3]; each point as often as any other."""
        points, normals, colours = self._learned
        chosen = torch.arange((step - 1) * count, step * count, device=points.device) % len(points)
        generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
        moved = JITTER * torch.randn(count, 1, generator=generator).to(points.device)
        return (points[chosen] + moved * normals[chosen]).clamp_(0, 1), colours[chosen]

    def score(self, field: nn.Module) -> float:
        """PSNR in dB at other points of the surface (of a cloud the same), clamped and rounded to
        8 bits, at most MOST_PSNR."""
        points, _, colours = self._on_device(self._colours.sample(CHECKED, seed=1))
        with torch.inference_mode():
            values = torch.cat([to_bytes(field(part)) for part in points.split(1 << 17)])
        error = (values.double() - to_bytes(colours).double()).div(255).square().mean().item()
        return min(-10 * math.log10(max(error, 1e-12)), MOST_PSNR)


def to_bytes(values: Tensor) -> Tensor:
    """What a field of colours gives -> uint8 sRGB."""
    return (values.clamp(0, 1) * 255).round().byte()
