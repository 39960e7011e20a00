"""Hash grid + MLP, the fastest field to fit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fields import ops
from fields.configs import HashGridConfig
from fields.encodings.hash_grid import init_table
from fields.mlp import init_params
from fields.points import as_matrix


class HashGrid(nn.Module):
    """A hash grid with a small MLP behind it, in one kernel (Mueller et al. 2022).

    Takes the settings of `HashGridConfig`; see there for their meaning and range.
    Parameters: `table` [P, F] and `params`, the MLP's flat vector. Once differentiable in
    coordinates and parameters; for second derivatives put any network behind HashGridEncoding.
    """

    def __init__(self, channels: int, dim: int = 2, **settings):
        super().__init__()
        self.config = config = HashGridConfig(channels, dim, **settings)
        self.channels = channels
        self.dim = dim
        self.grid = ops.GridSpec(
            config.num_levels,
            config.base_resolution,
            config.growth,
            config.log2_table_size,
            config.interpolation == "smoothstep",
        )
        self.mlp = ops.MlpSpec(
            config.width,
            config.depth,
            channels,
            config.bias,
            config.activation,
            config.output_activation,
            config.precision,
        )
        generator = torch.Generator().manual_seed(config.seed)
        rows = sum(self.grid.rows(dim))
        self.table = nn.Parameter(init_table(rows, config.features_per_level, generator))
        inputs = config.num_levels * config.features_per_level
        self.params = nn.Parameter(init_params(inputs, self.mlp, generator))

    def forward(self, coords: Tensor, *, cancel: Tensor | None = None) -> Tensor:
        """coords [..., dim] in [0, 1] -> values [..., channels].

        bf16 and fp16 coordinates are cast up, but tell no more than 256 and 2048 points of an axis
        apart near 1; values have the type of the parameters, under autocast too.
        `cancel`: uint8 [1]; once another thread sets it, RuntimeError("cancelled") is raised.
        """
        points = as_matrix("coords", coords, self.dim, self.table)
        flat = ops.grid_mlp(points, self.table, self.params, self.grid, self.mlp, cancel)
        return flat.reshape(*coords.shape[:-1], self.channels)

    def trace(
        self, origins: Tensor, directions: Tensor, spec: ops.TraceSpec, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """Where rays meet the surface of the distance that it stores: `ops.trace_grid_mlp`."""
        tensors = (origins, directions, self.table, self.params)
        return ops.trace_grid_mlp(*tensors, self.grid, self.mlp, spec, **options)
