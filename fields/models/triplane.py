"""Planes over pairs of axes with a small MLP behind them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import ops
from fields.configs.triplane import TriPlaneConfig
from fields.encodings.triplane import init_planes
from fields.mlp import init_params
from fields.points import as_matrix


class TriPlane(nn.Module):
    """Features of planes over every pair of axes, and an MLP (Chan et al. 2022, section 4).

    Takes the settings of `TriPlaneConfig`; see there for their meaning and range.
    Parameters: `table` [P, R, R, F], planes in the order xy, xz, yz, their outermost texel centres
    on the faces of the unit cube; `params`, the MLP's flat vector. Once differentiable in
    coordinates and parameters.
    """

    def __init__(self, channels: int, dim: int = 3, **settings):
        super().__init__()
        self.config = config = TriPlaneConfig(channels, dim, **settings)
        self.channels = channels
        self.dim = dim
        self.planes = ops.PlaneSpec(config.combine, True, "border")
        self.mlp = ops.MlpSpec(config.width, config.depth, channels, True, config.activation)
        generator = torch.Generator().manual_seed(config.seed)
        shape = (ops.NUM_PLANES[dim], config.resolution, config.resolution, config.features)
        # A spread of 0.001 (Cardace et al. 2024) behind ReLUs learned half as fast on shapes.
        spread = 0.1 if config.combine == "product" else 0.01
        self.table = nn.Parameter(init_planes(shape, config.combine, spread, generator))
        self.params = nn.Parameter(init_params(config.inputs, self.mlp, generator))

    def features(self, points: Tensor) -> Tensor:
        """Coordinates [N, dim] in [0, 1] -> what the MLP takes, [N, inputs]; twice
        differentiable."""
        return ops.triplane(points, self.table, self.planes)

    def forward(self, coords: Tensor) -> Tensor:
        """coords [..., dim] in [0, 1] -> values [..., channels].

        bf16 and fp16 coordinates are cast up; values have the type of the parameters.
        """
        points = as_matrix("coords", coords, self.dim, self.table)
        flat = ops.mlp(self.features(points), self.params, self.mlp)
        return flat.reshape(*coords.shape[:-1], self.channels)
