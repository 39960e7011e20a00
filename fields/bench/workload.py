"""The hash grid that engines are compared at: its shape, its first weights, how it is trained."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fields import ops
from fields.bench.samples import Samples
from fields.encodings.hash_grid import init_table
from fields.mlp import init_params
from fields.plan import Training

RATE, BETAS, EPS = 1e-2, (0.9, 0.99), 1e-15  # of Adam, as in instant-ngp


@dataclass(frozen=True)
class Workload(Samples):
    """A hash grid with an MLP behind it, trained with L2 and Adam.

    Args:
        log2_table_size, growth: of the grid.
    """

    log2_table_size: int = 15
    growth: float = 1.26
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

    @property
    def training(self) -> Training:
        return Training(self.batch, RATE, RATE, *BETAS, EPS, touched_only=False)

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
