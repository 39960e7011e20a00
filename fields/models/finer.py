"""FINER: a network of sines of varying frequency."""

from __future__ import annotations

import torch

from fields import ops
from fields.configs import FinerConfig
from fields.mlp import init_periodic
from fields.models.network import Network


class Finer(Network):
    """sin(omega (|a| + 1) a), a = W x + b, on coordinates in [-1, 1] (Liu et al. 2024, eq. 4).

    The larger the biases of the first layer, the finer what the network starts from. As in the
    authors' training, gradients take |a| + 1 for a constant. The last layer is linear.
    Takes the settings of `FinerConfig`; see there for their meaning and range.
    """

    def __init__(self, channels: int, dim: int = 2, **settings):
        config = FinerConfig(channels, dim, **settings)
        mlp = ops.MlpSpec(
            config.width,
            config.depth,
            channels,
            True,
            "finer",
            first_omega=config.omega,
            omega=config.hidden_omega,
        )
        generator = torch.Generator().manual_seed(config.seed)
        super().__init__(config, mlp, init_periodic(dim, mlp, generator, config.bias_scale))
