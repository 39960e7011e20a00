"""SIREN: a network of sines."""

from __future__ import annotations

import torch

from fields import ops
from fields.configs import SirenConfig
from fields.mlp import init_periodic
from fields.models.network import Network


class Siren(Network):
    """sin(omega W x + b), layer after layer, on coordinates in [-1, 1] (Sitzmann et al. 2020).

    As in the image experiments of Kania et al. 2024 (FreSh, arXiv 2410.05050) the frequency does
    not multiply the biases, and the linear layer at the end has it too. So values begin in [-1, 1],
    which is right for those that stand for that range (`signed`); others, as distances are, begin
    near 0: after half a minute a statue has chamfer 8e-4 so, and stray parts of surface otherwise.
    Takes the settings of `SirenConfig`; see there for their meaning and range.
    """

    def __init__(self, channels: int, dim: int = 2, **settings):
        config = SirenConfig(channels, dim, **settings)
        mlp = ops.MlpSpec(
            config.width,
            config.depth,
            channels,
            True,
            "sine",
            first_omega=config.omega,
            omega=config.hidden_omega,
        )
        generator = torch.Generator().manual_seed(config.seed)
        last = 1.0 if config.signed else 1 / config.hidden_omega
        super().__init__(config, mlp, init_periodic(dim, mlp, generator, last=last))
