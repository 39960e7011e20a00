"""Periodic grids scaled by coefficients, and encodings side by side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from fields.encodings.hash_grid import HashGridEncoding


class Encoding(Protocol):
    """Coordinates [..., D] to features [..., F]; `with_grad` adds their jacobian [..., F, D]."""

    def __call__(self, coords: Tensor) -> Tensor: ...

    def with_grad(self, coords: Tensor) -> tuple[Tensor, Tensor]: ...


class SideBySide(nn.Module):
    """The features of several encodings, one after the other."""

    def __init__(self, parts: Iterable[nn.Module]):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, coords: Tensor) -> Tensor:
        """coords [..., D] -> [..., the sum of all features]."""
        return torch.cat([part(coords) for part in self.parts], -1)

    def with_grad(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Features and their jacobian [..., features, D]."""
        parts: list[Encoding] = list(self.parts)  # type: ignore[arg-type]
        features, jacobians = zip(*[part.with_grad(coords) for part in parts], strict=True)
        return torch.cat(features, -1), torch.cat(jacobians, -2)


class PeriodicGrid(nn.Module):
    """A grid that repeats over the domain, times coefficients on a coarser grid that does not.

    One level of a DiF grid (Chen et al. 2023, Factor Fields, section 3.3): c(x) b(saw(frequency x))
    with a sawtooth that runs from 0 to 1, jumps included.

    Args:
        dim: coordinates of a point, 1 to 4.
        resolution: vertices along an axis of the repeated grid.
        features: 1, 2, 4 or 8.
        frequency: how often it repeats along each axis.
        coefficient_resolution: vertices along an axis of the coefficients; None leaves them out.
        log2_table_size: at most 2^this rows of either; hashed beyond.
        interpolation: "linear" or "smoothstep".
        seed: of the repeated grid, before training normal with standard deviation 0.01;
            coefficients are 1.

    The authors begin with 1 for 0.01: there is then noise to be unlearned, and behind Gaussians a
    fit of 300 steps ends 6 dB lower (photograph, 256 x 256).
    """

    def __init__(
        self,
        dim: int,
        resolution: int,
        features: int,
        frequency: float,
        *,
        coefficient_resolution: int | None = None,
        log2_table_size: int = 22,
        interpolation: str = "linear",
        seed: int = 0,
    ):
        super().__init__()
        self.frequency = frequency

        def grid(vertices: int) -> HashGridEncoding:
            return HashGridEncoding(
                dim,
                num_levels=1,
                features_per_level=features,
                log2_table_size=log2_table_size,
                base_resolution=vertices,
                growth=1.0,
                interpolation=interpolation,
            )

        self.basis = grid(resolution)
        generator = torch.Generator().manual_seed(seed)
        self.basis.table.data.normal_(std=0.01, generator=generator)
        self.coefficients = None
        if coefficient_resolution is not None:
            self.coefficients = grid(coefficient_resolution)
            self.coefficients.table.data.fill_(1)

    def forward(self, coords: Tensor) -> Tensor:
        """coords [..., dim] in [0, 1] -> [..., features]."""
        basis = self.basis(self._repeated(coords))
        return basis if self.coefficients is None else basis * self.coefficients(coords)

    def with_grad(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Features and their jacobian [..., features, dim], that of the jumps left out."""
        basis, slopes = self.basis.with_grad(self._repeated(coords))
        slopes = slopes * self.frequency
        if self.coefficients is None:
            return basis, slopes
        scale, scale_slopes = self.coefficients.with_grad(coords)
        return basis * scale, slopes * scale[..., None] + scale_slopes * basis[..., None]

    def _repeated(self, coords: Tensor) -> Tensor:
        return torch.frac(coords.clamp(0, 1) * self.frequency)
