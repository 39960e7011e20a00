"""Fourier features with a ReLU network."""

from __future__ import annotations

import torch
from torch import Tensor

from fields import ops
from fields.configs import FourierConfig
from fields.encodings.fourier import gaussian_frequencies, positional_frequencies
from fields.mlp import init_params
from fields.models.network import Network


class Fourier(Network):
    """cos and sin of 2 pi b x for fixed frequencies b, x in [-1, 1], then a ReLU network.

    Gaussian frequencies: Tancik et al. 2020, section 6; positional ones: Mildenhall et al. 2020,
    eq. 4. They are the buffer `frequencies` [M, dim].
    Takes the settings of `FourierConfig`; see there for their meaning and range.
    """

    frequencies: Tensor

    def __init__(self, channels: int, dim: int = 2, **settings):
        config = FourierConfig(channels, dim, **settings)
        mlp = ops.MlpSpec(config.width, config.depth, channels, True, precision=config.precision)
        generator = torch.Generator().manual_seed(config.seed)
        if config.encoding == "gaussian":
            frequencies = gaussian_frequencies(config.frequencies, dim, config.sigma, generator)
        else:
            frequencies = positional_frequencies(config.octaves, dim)
        super().__init__(config, mlp, init_params(config.inputs, mlp, generator))
        self.register_buffer("frequencies", frequencies)

    def inputs(self, coords: Tensor) -> Tensor:
        return ops.fourier(coords * 2 - 1, self.frequencies)
