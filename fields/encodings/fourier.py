"""Fourier features as an encoding of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import ops
from fields.points import as_matrix


def gaussian_frequencies(count: int, dim: int, sigma: float, generator: torch.Generator) -> Tensor:
    """[count, dim], each number normal with deviation sigma (Tancik et al. 2020, section 6.1)."""
    return torch.randn(count, dim, generator=generator) * sigma


def positional_frequencies(octaves: int, dim: int) -> Tensor:
    """[octaves * dim, dim]: 1/2, 1, 2, ... cycles a unit along each axis alone, so that the angles
    are 2^k pi x (Mildenhall et al. 2020, eq. 4)."""
    powers = 2.0 ** torch.arange(-1, octaves - 1)
    return (powers[:, None, None] * torch.eye(dim)).reshape(-1, dim)


class FourierEncoding(nn.Module):
    """cos and sin of 2 pi b x for fixed frequencies b (Tancik et al. 2020; Mildenhall et al. 2020).

    Args:
        dim: coordinates of a point, at least 1.
        kind: "gaussian" or "positional".
        frequencies: number of gaussian ones.
        sigma: their standard deviation, in cycles a unit of [-1, 1].
        octaves: positional ones of an axis.
        seed: of the gaussian ones.

    They are the buffer `frequencies` [M, dim]; nothing is trained. Twice differentiable.
    """

    frequencies: Tensor

    def __init__(
        self,
        dim: int = 2,
        *,
        kind: str = "gaussian",
        frequencies: int = 128,
        sigma: float = 1.0,
        octaves: int = 10,
        seed: int = 0,
    ):
        super().__init__()
        if kind not in ("gaussian", "positional"):
            raise ValueError(f"kind must be gaussian or positional, got {kind!r}")
        for name, value in (("dim", dim), ("frequencies", frequencies), ("octaves", octaves)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.dim = dim
        if kind == "gaussian":
            generator = torch.Generator().manual_seed(seed)
            rows = gaussian_frequencies(frequencies, dim, sigma, generator)
        else:
            rows = positional_frequencies(octaves, dim)
        self.register_buffer("frequencies", rows)

    @property
    def features(self) -> int:
        """Length of a point's encoding."""
        return 2 * len(self.frequencies)

    def forward(self, coords: Tensor) -> Tensor:
        """coords [..., dim] in [0, 1], mapped to [-1, 1] -> features [..., features]."""
        points = as_matrix("coords", coords, self.dim, self.frequencies)
        flat = ops.fourier(points * 2 - 1, self.frequencies)
        return flat.reshape(*coords.shape[:-1], self.features)
