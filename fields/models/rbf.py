"""A multi-scale grid, radial kernels in the space of its features, and a linear layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fields import ops
from fields.configs import RbfConfig
from fields.encodings.dif import PeriodicGrid, SideBySide
from fields.encodings.hash_grid import init_table
from fields.encodings.triplane import TriPlaneEncoding
from fields.points import as_matrix

_CHUNK = 8192  # samples whose differences to all kernels are in memory at once, in plain torch
_SAMPLE = 1024  # points, of whose features the spread is taken
_TINY = 1e-12  # under a root, so that its slope is finite


def _wendland(r: Tensor) -> Tensor:
    """C2 in three dimensions, of the distance sqrt(r); 0 beyond 1 (Wendland 1995)."""
    distance = (r + _TINY).sqrt()
    return (1 - distance).clamp(min=0) ** 4 * (4 * distance + 1)


# Of the squared distance r. The Gaussian is an op.
RADIAL = {
    "inverse_multiquadric": lambda r: (r + 1).rsqrt(),
    "multiquadric": lambda r: (r + 1).sqrt(),
    "cubic": lambda r: (r + _TINY) ** 1.5,
    "thin_plate": lambda r: 0.5 * r * (r + _TINY).log(),
    "wendland": _wendland,
}


def init_params(features: Tensor | int, spec: ops.RbfSpec, generator: torch.Generator) -> Tensor:
    """Flat initial parameters of the kernels.

    From a sample of features [N, inputs] centres are drawn that spread as these do, or by
    1 / sqrt(inputs) where that is more, with precisions that make distances about 1. From the
    number of inputs alone they are flat, as in the authors' code: within 1e-4 of the origin, of
    precision 1. Weights and bias are uniform within 1 / sqrt(kernels), the affine part within
    1 / sqrt(inputs).
    """

    def uniform(*shape: int, bound: float) -> Tensor:
        return ((torch.rand(shape, generator=generator) * 2 - 1) * bound).flatten()

    if isinstance(features, Tensor):
        inputs = features.shape[1]
        scale = features.std(0).clamp(min=inputs**-0.5)
        normal = torch.randn(spec.kernels, inputs, generator=generator)
        centres = (features.mean(0) + scale * normal).flatten()
        log_precisions = (-torch.log(inputs * scale**2)).repeat(spec.kernels)
    else:
        inputs = features
        centres = uniform(spec.kernels, inputs, bound=1e-4)
        log_precisions = torch.zeros(spec.kernels * inputs)
    parts = [centres, log_precisions]
    parts.append(uniform(spec.channels, spec.kernels, bound=spec.kernels**-0.5))
    parts.append(uniform(spec.channels, bound=spec.kernels**-0.5))
    if spec.affine:
        parts.append(uniform(spec.channels, inputs, bound=inputs**-0.5))
    return torch.cat(parts)


class Rbf(nn.Module):
    """Radial kernels on the features of a grid (Bouzidi et al. 2025, Gaussian RBFNet).

    Takes the settings of `RbfConfig`; see there for their meaning and range. Parameters: `params`,
    the flat vector of `ops.rbf`; `table` [P, F] of the encoder grid, which with Gaussians
    is one op, or the tables of `encoding`. Once differentiable in coordinates and parameters.
    """

    def __init__(self, channels: int, dim: int = 2, **settings):
        super().__init__()
        self.config = config = RbfConfig(channels, dim, **settings)
        self.channels = channels
        self.dim = dim
        self.rbf = ops.RbfSpec(
            config.kernels, channels, config.affine, config.factor, config.output_activation
        )
        generator = torch.Generator().manual_seed(config.seed)
        self.encoding = None
        if config.encoder == "grid":
            self.grid = ops.GridSpec(
                config.num_levels,
                config.base_resolution,
                config.growth,
                config.log2_table_size,
                config.interpolation == "smoothstep",
            )
            rows = sum(self.grid.rows(dim))
            self.table = nn.Parameter(init_table(rows, config.features_per_level, generator))
        else:
            self.encoding = _encoding(config)
        sample: Tensor | int = config.features
        if config.centres == "spread":
            with torch.no_grad():
                sample = self._features(torch.rand(_SAMPLE, dim, generator=generator))
        self.params = nn.Parameter(init_params(sample, self.rbf, generator))

    @property
    def is_fused(self) -> bool:
        """Whether values are one op of coordinates, table and params."""
        return self.encoding is None and self.config.kernel == "gaussian"

    def forward(self, coords: Tensor, *, cancel: Tensor | None = None) -> Tensor:
        """coords [..., dim] in [0, 1] -> values [..., channels].

        bf16 and fp16 coordinates are cast up; values have the type of the parameters.
        `cancel`: uint8 [1]; once another thread sets it, a fused field raises
        RuntimeError("cancelled").
        """
        points = as_matrix("coords", coords, self.dim, self.params)
        if self.is_fused:
            flat = ops.grid_rbf(points, self.table, self.params, self.grid, self.rbf, cancel)
        elif self.config.kernel == "gaussian":
            flat = ops.rbf(self._features(points), self.params, self.rbf)
        else:
            parts = self._features(points).split(_CHUNK)
            flat = torch.cat([self._radial(part) for part in parts])
        return flat.reshape(*coords.shape[:-1], self.channels)

    def trace(
        self, origins: Tensor, directions: Tensor, spec: ops.TraceSpec, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """Where rays meet the surface of the distance that a fused field stores:
        `ops.trace_grid_rbf`."""
        if not self.is_fused:
            raise ValueError("only Gaussians on a grid are traced in one op")
        tensors = (origins, directions, self.table, self.params)
        return ops.trace_grid_rbf(*tensors, self.grid, self.rbf, spec, **options)

    def with_grad(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Values [..., channels] and their jacobian [..., channels, dim], once differentiable.

        For Gaussian kernels; ValueError for others.
        """
        if self.config.kernel != "gaussian":
            raise ValueError(f"with_grad needs kernel gaussian, not {self.config.kernel}")
        points = as_matrix("coords", coords, self.dim, self.params)
        if self.encoding is None:
            features, slopes = ops.hash_grid_with_grad(points, self.table, self.grid)
        else:
            features, slopes = self.encoding.with_grad(points)
        values, outer = ops.rbf_with_grad(features, self.params, self.rbf)
        shape = coords.shape[:-1]
        jacobian = torch.einsum("ncf,nfd->ncd", outer, slopes)
        return (
            values.reshape(*shape, self.channels),
            jacobian.reshape(*shape, self.channels, self.dim),
        )

    def _features(self, points: Tensor) -> Tensor:
        if self.encoding is None:
            return ops.hash_grid(points, self.table, self.grid)
        return self.encoding(points)

    def _radial(self, features: Tensor) -> Tensor:
        """As ops.rbf, with another kernel."""
        mu, log_beta, weight, bias, *affine = self.rbf.split(self.params, features.shape[1])
        r = (log_beta.exp() * (features[:, None, :] - mu) ** 2).sum(2)
        values = nn.functional.linear(RADIAL[self.config.kernel](r), weight, bias)
        if affine:
            values = values + nn.functional.linear(features, affine[0])
        return OUTPUT[self.rbf.output_activation](values)


OUTPUT = {
    "none": nn.Identity(),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": nn.functional.softplus,
    "exp": torch.exp,
}


def _encoding(config: RbfConfig) -> SideBySide:
    if config.encoder == "triplane":
        return SideBySide(
            TriPlaneEncoding(
                config.dim,
                resolution=resolution,
                channels=features,
                combine="product",
                seed=config.seed + level,
            )
            for level, (resolution, features) in enumerate(config.levels)
        )
    return SideBySide(
        PeriodicGrid(
            config.dim,
            resolution,
            features,
            frequency,
            coefficient_resolution=config.base_resolution if config.coefficients else None,
            log2_table_size=config.log2_table_size,
            interpolation=config.interpolation,
            seed=config.seed + level,
        )
        for level, ((resolution, features), frequency) in enumerate(
            zip(config.levels, config.frequencies, strict=True)
        )
    )
