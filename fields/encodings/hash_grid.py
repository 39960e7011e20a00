"""The multiresolution hash grid as an encoding of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import ops
from fields.points import as_matrix


def init_table(rows: int, features: int, generator: torch.Generator) -> Tensor:
    """[rows, features] uniform in [-1e-4, 1e-4] (Mueller et al. 2022, section 4)."""
    return (torch.rand(rows, features, generator=generator) * 2 - 1) * 1e-4


class HashGridEncoding(nn.Module):
    """Features interpolated from tables on grids that grow finer (Mueller et al. 2022, section 3).

    Args:
        dim: coordinates of a point, 1 to 4.
        num_levels: grids, 1 to 32.
        features_per_level: 1, 2, 4 or 8.
        log2_table_size: at most 2^this rows a level; levels that fit are dense, others hashed.
        base_resolution: cells along an axis of the coarsest grid.
        growth: resolution from one level to the next.
        interpolation: "linear" or "smoothstep".
        seed: of the initial table.

    Parameter `table` [P, F] has tiny-cuda-nn's order. Twice differentiable.
    """

    def __init__(
        self,
        dim: int = 2,
        *,
        num_levels: int = 16,
        features_per_level: int = 2,
        log2_table_size: int = 15,
        base_resolution: int = 16,
        growth: float = 1.5,
        interpolation: str = "linear",
        seed: int = 0,
    ):
        super().__init__()
        if dim not in (1, 2, 3, 4):
            raise ValueError(f"dim must be from 1 to 4, got {dim}")
        if features_per_level not in (1, 2, 4, 8):
            raise ValueError(f"features_per_level must be 1, 2, 4 or 8, got {features_per_level}")
        if interpolation not in ("linear", "smoothstep"):
            raise ValueError(f"interpolation must be linear or smoothstep, got {interpolation!r}")
        self.dim = dim
        self.spec = ops.GridSpec(
            num_levels, base_resolution, growth, log2_table_size, interpolation == "smoothstep"
        )
        generator = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(
            init_table(sum(self.spec.rows(dim)), features_per_level, generator)
        )

    @property
    def features(self) -> int:
        """Length of a point's encoding."""
        return self.spec.num_levels * self.table.shape[1]

    def forward(self, coords: Tensor) -> Tensor:
        """coords [..., dim] in [0, 1] -> features [..., features], level major."""
        flat = ops.hash_grid(self._points(coords), self.table, self.spec)
        return flat.reshape(*coords.shape[:-1], self.features)

    def with_grad(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Features [..., features] and their jacobian [..., features, dim], once differentiable."""
        features, jacobian = ops.hash_grid_with_grad(self._points(coords), self.table, self.spec)
        shape = coords.shape[:-1]
        return (
            features.reshape(*shape, self.features),
            jacobian.reshape(*shape, self.features, self.dim),
        )

    def _points(self, coords: Tensor) -> Tensor:
        return as_matrix("coords", coords, self.dim, self.table)
