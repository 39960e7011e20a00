"""Configuration of a radiance field: density and colour in space, as seen from any direction."""

import math
from dataclasses import dataclass
from typing import Any

from fields import grid_levels
from fields.configs.base import TooSmall, setting
from fields.configs.marched import MarchedConfig
from fields.errors import SettingError

_BASE = 16
# Views are few along time and each shows all of space: a grid as fine there learns them by heart.
_CELLS_PER_FRAME = 0.5
_LEVELS, _SOME_LEVELS = 8, range(6, 13)  # usual, and among which a size is found
_TABLES = range(8, 25)  # log2 of the rows of a level, among which a size is found


def time_setting(**more: Any) -> Any:
    """How fine a grid is along time."""
    told = "cells of the finest grid along time, of a moving scene; 0: as along space"
    return setting(0, help=told, low=0, high=8192, **more)


@dataclass(frozen=True)
class RadianceConfig(MarchedConfig):
    """A hash grid, an MLP to density, and an MLP from that and the direction to colour."""

    num_levels: int = setting(_LEVELS, help="grids, coarse to fine", low=1, high=32)
    features_per_level: int = setting(4, help="features at a vertex", choices=(1, 2, 4, 8))
    log2_table_size: int = setting(17, help="log2 of the largest rows of a level", low=3, high=24)
    base_resolution: int = setting(16, help="cells of the coarsest grid", low=1, high=4096)
    growth: float = setting(
        64 ** (1 / 7), help="resolution from one level to the next", low=1.0, high=4.0
    )
    time_cells: int = time_setting()
    interpolation: str = setting(
        "linear", help="between vertices", choices=("linear", "smoothstep")
    )
    density_width: int = setting(64, help="neurons of a layer to density", low=1, high=1024)
    density_depth: int = setting(1, help="hidden layers to density", low=0, high=16)
    colour_width: int = setting(64, help="neurons of a layer to colour", low=1, high=1024)
    colour_depth: int = setting(1, help="hidden layers to colour", low=0, high=16)
    precision: str = setting("float32", help="arithmetic of the MLPs", choices=("float32", "bf16"))

    def __post_init__(self):
        super().__post_init__()
        wrong = grid_levels.too_fine(self.num_levels, self.base_resolution, self.growth)
        if wrong:
            raise SettingError(wrong, "num_levels", "growth", "base_resolution")

    @classmethod
    def defaults(
        cls, kind: str, cells: int, sized: bool, seconds: float | None = None
    ) -> dict[str, Any]:
        return {} if sized else {"log2_table_size": grid_for(seconds)}

    @classmethod
    def for_signal(
        cls,
        channels: int,
        shape: tuple[int, ...],
        *,
        max_parameters: int | None = None,
        **options: Any,
    ) -> "RadianceConfig":
        base, dim = options.get("base_resolution", _BASE), len(shape)

        def of(levels: int, **more: Any) -> "RadianceConfig":
            growth = growth_to(finest_of(shape), base, levels)
            return cls(channels, dim, **{"num_levels": levels, "growth": growth, **more, **filled})

        filled = dict(options)
        if dim == 4:
            filled.setdefault("time_cells", time_cells(shape))
        usual = filled.pop("num_levels", None)
        if max_parameters is None:
            return of(usual or _LEVELS)
        # Tables are powers of two: levels fill what is left.
        tables = [filled["log2_table_size"]] if "log2_table_size" in filled else list(_TABLES)
        configs = [
            of(levels, log2_table_size=size)
            for size in tables
            for levels in ([usual] if usual else _SOME_LEVELS)
        ]
        # A word of the occupancy takes the bytes of two parameters.
        sizes = [config.parameters + 2 * config.bits for config in configs]
        fitting = [c for c, size in zip(configs, sizes, strict=True) if size <= max_parameters]
        if not fitting:
            raise TooSmall(min(sizes))
        return max(fitting, key=lambda c: (c.parameters, -abs(c.num_levels - _LEVELS)))

    @property
    def _resolutions(self) -> list[int]:
        return grid_levels.resolutions(self.num_levels, self.base_resolution, self.growth)

    @property
    def finest(self) -> int:
        """Cells of the last grid along an axis."""
        return self._resolutions[-1]

    @property
    def features(self) -> int:
        """Numbers that the MLP to density takes."""
        return self.num_levels * self.features_per_level

    @property
    def _layers(self) -> int:
        """Weights of both MLPs."""
        density = _weights(self.features, self.density_width, self.density_depth, 16)
        inputs = 16 + self.degree**2
        return density + _weights(inputs, self.colour_width, self.colour_depth, self.channels)

    @property
    def parameters(self) -> int:
        rows = sum(grid_levels.rows(r, self.dim, self.log2_table_size) for r in self._resolutions)
        return rows * self.features_per_level + self._layers

    @property
    def multiply_adds(self) -> int:
        return 2**self.dim * self.features + self._layers


def grid_for(seconds: float | None) -> int:
    """log2 of the rows of a level. Tables grow with the time there is: small ones stay in the cache
    and are learned sooner, large ones hold more."""
    doublings = math.log2((seconds or 60.0) / 60.0)
    return min(max(round(17 + 0.6 * doublings), 14), 20)


def finest_of(shape: tuple[int, ...]) -> int:
    """Cells of the finest grid in space, for images whose longest side is that of the shape."""
    return min(max(2 ** round(math.log2(2.56 * max(shape[:3]))), 64), 8192)


def time_cells(shape: tuple[int, ...]) -> int:
    """Of the finest grid along time, for so many views of a scene that moves."""
    return max(round(_CELLS_PER_FRAME * shape[3]), 2)


def growth_to(finest: int, base: int, levels: int) -> float:
    """From one level to the next, from `base` cells to the finest."""
    return min(max((finest / base) ** (1 / max(levels - 1, 1)), 1.0), 4.0)


def _weights(inputs: int, width: int, depth: int, outputs: int) -> int:
    """Of an MLP without biases."""
    if depth == 0:
        return inputs * outputs
    return (inputs + outputs + (depth - 1) * width) * width
