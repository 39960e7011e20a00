"""Configuration of Gaussian kernels in feature space behind a small encoding."""

import math
from dataclasses import dataclass
from typing import Any

from fields import grid_levels
from fields.configs.base import SHAPES, Config, TooSmall, setting
from fields.configs.hashgrid import shape_grid, table_size
from fields.errors import SettingError

KERNELS = (
    *("gaussian", "inverse_multiquadric", "multiquadric"),
    *("cubic", "thin_plate", "wendland"),
)
_PLANES = {2: 1, 3: 3, 4: 6}
_MOST_ROWS = 22  # log2, of a level of dif that is chosen for a signal


@dataclass(frozen=True)
class RbfConfig(Config):
    """Features of a multi-scale grid, a layer of radial kernels on them, and a linear layer.

    Levels of the encoder `grid` are those of a hash grid. Those of `dif` repeat over the domain, 2
    to 8 times, at resolutions from `base_resolution` to four times that in equal steps; levels of
    the second half have half the features. Those of `triplane` are planes over pairs of axes, each
    `growth` times finer than the last.

    Centres are spread as the features are. The authors' code has them flat, at one place; at the
    rate that is best for each, spread ones end higher: 49.4 against 47.3 dB and 48.6 against 46.5
    after 2,500 steps of 8,192 samples (two Kodak pictures at 256 x 256, rates 3e-2 and 1e-2), and
    behind the other encoders flat ones hardly learn. An affine part took up to 2 dB.
    """

    encoder: str = setting("grid", help="what gives features", choices=("grid", "dif", "triplane"))
    num_levels: int = setting(8, help="grids, coarse to fine", low=1, high=32)
    features_per_level: int = setting(2, help="features at a vertex", choices=(1, 2, 4, 8))
    log2_table_size: int = setting(17, help="log2 of the largest rows of a level", low=3, high=24)
    base_resolution: int = setting(16, help="cells of the coarsest grid", low=1, high=4096)
    growth: float = setting(1.5, help="resolution from one level to the next", low=1.0, high=4.0)
    interpolation: str = setting(
        "linear", help="between vertices, not of triplane", choices=("linear", "smoothstep"),
        only=("encoder", ("grid", "dif")),
    )  # fmt: skip
    coefficients: bool = setting(
        True, help="of dif: levels are scaled by a grid of their own", only=("encoder", ("dif",))
    )
    kernels: int = setting(64, help="radial functions", low=1, high=1024)
    kernel: str = setting("gaussian", help="the radial function", choices=KERNELS)
    factor: float = setting(
        0.5, help="of the distance in a Gaussian", low=0.01, high=100.0,
        only=("kernel", ("gaussian",)),
    )  # fmt: skip
    centres: str = setting("spread", help="before training", choices=("flat", "spread"))
    affine: bool = setting(False, help="adds a linear function of the features")
    output_activation: str = setting(
        "none", help="after the last layer", choices=("none", "tanh", "sigmoid", "softplus", "exp")
    )

    def __post_init__(self):
        super().__post_init__()
        if self.encoder == "triplane" and self.dim == 1:
            raise SettingError(
                "encoder triplane needs 2 to 4 coordinates, not 1; take grid or dif", "encoder"
            )
        most = 16 if self.encoder == "triplane" else grid_levels.FINEST_LOG2
        wrong = grid_levels.too_fine(self.num_levels, self.base_resolution, self.growth, most)
        if wrong and self.encoder != "dif":
            raise SettingError(wrong, "num_levels", "growth", "base_resolution")

    @property
    def levels(self) -> list[tuple[int, int]]:
        """(resolution, features) of each level."""
        count, base, features = self.num_levels, self.base_resolution, self.features_per_level
        if self.encoder == "grid":
            return [(r, features) for r in grid_levels.resolutions(count, base, self.growth)]
        if self.encoder == "triplane":
            return [(round(base * self.growth**level), features) for level in range(count)]
        return [
            (base + 3 * base * level // max(count - 1, 1),
             features if 2 * level < count else max(features // 2, 1))
            for level in range(count)
        ]  # fmt: skip

    @property
    def frequencies(self) -> list[float]:
        """How often each level of `dif` repeats along an axis."""
        return [2 + 6 * level / max(self.num_levels - 1, 1) for level in range(self.num_levels)]

    @property
    def features(self) -> int:
        """Length of a point's encoding."""
        return sum(features for _, features in self.levels)

    @property
    def parameters(self) -> int:
        size = self.kernels * (2 * self.features + self.channels) + self.channels
        size += self.channels * self.features if self.affine else 0
        for resolution, features in self.levels:
            size += self._rows(resolution) * features
            if self.encoder == "dif" and self.coefficients:
                size += self._rows(self.base_resolution) * features
        return size

    @property
    def multiply_adds(self) -> int:
        count = self.kernels * (2 * self.features + self.channels)
        count += self.channels * self.features if self.affine else 0
        if self.encoder == "triplane":  # bilinear, and the product of planes
            return count + (5 * _PLANES[self.dim] - 1) * self.features
        grids = 2 if self.encoder == "dif" and self.coefficients else 1
        return count + (grids * 2**self.dim + grids - 1) * self.features

    def _rows(self, resolution: int) -> int:
        if self.encoder == "triplane":
            return _PLANES[self.dim] * resolution**2
        return grid_levels.rows(resolution, self.dim, self.log2_table_size)

    @classmethod
    def defaults(
        cls, kind: str, cells: int, sized: bool, seconds: float | None = None
    ) -> dict[str, Any]:
        return shape_grid(cells) if kind in SHAPES and not sized else {}

    @classmethod
    def for_signal(
        cls,
        channels: int,
        shape: tuple[int, ...],
        *,
        max_parameters: int | None = None,
        **options: Any,
    ) -> "RbfConfig":
        dim = len(shape)
        fill = {"dif": _dif, "triplane": _triplane}.get(options.get("encoder", "grid"), _grid)
        if max_parameters is None:
            return cls(channels, dim, **{**fill(shape, 1.0, options), **options})
        # From small to large: finer grids, and fewer kernels for the smallest.
        sizes = [(2.0 ** (step / 4), 64) for step in range(-96, 25)]
        sizes += [(2.0**step, kernels) for step in range(-24, 0) for kernels in (1, 4, 16)]
        given = [options]
        if fill is _grid and "num_levels" not in options:
            # Tables are powers of two: levels fill what is left.
            sizes = [(size, kernels) for size, kernels in sizes if math.log2(size).is_integer()]
            given += [{**options, "num_levels": levels} for levels in range(4, 13)]
        candidates = [
            cls(channels, dim, **{**fill(shape, size, asked), "kernels": kernels, **asked})
            for size, kernels in sizes
            for asked in given
        ]
        fitting = [config for config in candidates if config.parameters <= max_parameters]
        if not fitting:
            raise TooSmall(min(config.parameters for config in candidates))
        # Kernels are given up only where half of the size would lie idle otherwise.
        full = [c for c in fitting if c.kernels >= 64 and 2 * c.parameters > max_parameters]
        return max(full or fitting, key=lambda config: (config.parameters, -config.num_levels))


def _clamped(value: float, low: int, high: int) -> int:
    return int(min(max(round(value), low), high))


def _grid(shape: tuple[int, ...], size: float, options: dict[str, Any]) -> dict[str, Any]:
    """Eight levels, from 16 cells to one for each sample along the longest side, with the tables of
    a hash grid where `size` is 1."""
    longest = max(shape)
    count = options.get("num_levels", 8 if longest > 64 else 4)
    base = options.get("base_resolution", _clamped(longest / 2, 1, 16))
    growth = ((longest + 1) / base) ** (1 / max(count - 1, 1))
    return {
        "num_levels": count,
        "base_resolution": base,
        "log2_table_size": _clamped(table_size(shape) + math.log2(size), 3, 24),
        "growth": min(max(growth, 1.0), 4.0),
    }


def _dif(shape: tuple[int, ...], size: float, options: dict[str, Any]) -> dict[str, Any]:
    """The published six levels; about 0.4 parameters a sample where `size` is 1."""
    side = (size * math.prod(shape)) ** (1 / len(shape))
    return {
        "num_levels": 6,
        "features_per_level": 4,
        "base_resolution": _clamped(side / 16, 4 if size >= 1 else 1, 1024),
        "log2_table_size": _MOST_ROWS,
    }


def _triplane(shape: tuple[int, ...], size: float, options: dict[str, Any]) -> dict[str, Any]:
    """K-Planes' three resolutions, the finest with half a texel for each sample of an axis."""
    side = (size * math.prod(shape)) ** (1 / len(shape))
    return {
        "num_levels": 3,
        "features_per_level": 8,
        "base_resolution": _clamped(side / 16, 4 if size >= 1 else 1, 4096),
        "growth": 2.0,
    }
