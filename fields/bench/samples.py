"""The samples that every engine of a benchmark trains on and is asked for."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fields import ops

NUM_BATCHES = 16


@dataclass(frozen=True)
class Samples:
    """
    Args:
        dim, channels: of the coordinates and of the values.
        batch: samples of a training step.
        points: samples of an inference.
    """

    dim: int = 2
    channels: int = 3
    batch: int = 16384
    points: int = 512 * 512

    @cached_property
    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """Coordinates [batch, dim] and targets [batch, channels] of some steps.

        Pixels as `fields fit` draws them, in 2D; otherwise points drawn uniformly.
        """
        if (self.dim, self.channels) == (2, 3):
            from fields.pictures import read_picture

            pixels = torch.from_numpy(read_picture("astronaut").pixels)
            return [ops.sample_pixels(pixels, self.batch, 0, i + 1) for i in range(NUM_BATCHES)]
        generator = torch.Generator().manual_seed(1)
        return [
            (
                torch.rand(self.batch, self.dim, generator=generator),
                torch.rand(self.batch, self.channels, generator=generator),
            )
            for _ in range(NUM_BATCHES)
        ]

    @cached_property
    def coords(self) -> Tensor:
        """[points, dim]: in 2D the pixel centres of a square picture, row by row; else random."""
        if self.dim == 2:
            side = round(self.points**0.5)
            centres = (torch.arange(side) + 0.5) / side
            y, x = torch.meshgrid(centres, centres, indexing="ij")
            return torch.stack([x, y], -1).reshape(-1, 2)
        return torch.rand(self.points, self.dim, generator=torch.Generator().manual_seed(2))
