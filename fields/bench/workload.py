"""What all engines of a benchmark share: the model, its first weights, the samples."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fields import ops
from fields.encodings.hash_grid import init_table
from fields.mlp import init_params

NUM_BATCHES = 16
RATE, BETAS, EPS = 1e-2, (0.9, 0.99), 1e-15  # of Adam, as in instant-ngp


@dataclass(frozen=True)
class Workload:
    """A hash grid with an MLP behind it, trained with L2 and Adam.

    Args:
        dim, channels: of the coordinates and of the values.
        log2_table_size, growth: of the grid.
        batch: samples of a training step.
        points: samples of an inference.
    """

    dim: int = 2
    channels: int = 3
    log2_table_size: int = 15
    growth: float = 1.26
    batch: int = 16384
    points: int = 512 * 512
    num_levels: int = 16
    features_per_level: int = 2
    base_resolution: int = 16
    width: int = 64
    depth: int = 2

    @property
    def grid(self) -> ops.GridSpec:
        return ops.GridSpec(
            self.num_levels, self.base_resolution, self.growth, self.log2_table_size
        )

    def mlp(self, precision: str = "float32") -> ops.MlpSpec:
        return ops.MlpSpec(self.width, self.depth, self.channels, precision=precision)

    @property
    def inputs(self) -> int:
        """Features that the MLP takes."""
        return self.num_levels * self.features_per_level

    @property
    def multiply_adds(self) -> int:
        """Of the MLP's forward pass, for one sample. The grid's are not counted anywhere."""
        return sum(out * into for out, into in self.mlp().layer_shapes(self.inputs))

    def __str__(self) -> str:
        layers = [self.inputs, *[self.width] * self.depth, self.channels]
        return (
            f"{self.num_levels} levels x {self.features_per_level}, table 2^{self.log2_table_size},"
            f" growth {self.growth}, MLP {'-'.join(map(str, layers))}"
        )

    def weights(self) -> tuple[Tensor, Tensor]:
        """The table [P, F] and the flat parameters [n] that every engine begins with."""
        generator = torch.Generator().manual_seed(0)
        table = init_table(sum(self.grid.rows(self.dim)), self.features_per_level, generator)
        return table, init_params(self.inputs, self.mlp(), generator)

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
