"""Configuration of the multiresolution hash grid with an MLP behind it."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

from fields import grid_levels
from fields.configs.base import SHAPES, Config, TooSmall, setting
from fields.errors import SettingError


def shape_grid(cells: int) -> dict[str, Any]:
    """The grid of a shape: eight levels, from 16 to `cells` along an axis."""
    return {
        "num_levels": 8,
        "features_per_level": 4,
        "log2_table_size": 17,
        "base_resolution": 16,
        "growth": (cells / 16) ** (1 / 7),
    }


# Of the colours of a shape: 3.2 MB. Half the table costs 1 dB of a texture, one hidden layer less
# 1.5; without biases what has one colour is 1.8 levels of 255 off, not 1.2 (median).
COLOUR_GRID = {
    "num_levels": 8,
    "features_per_level": 2,
    "log2_table_size": 16,
    "base_resolution": 16,
    "growth": (256 / 16) ** (1 / 7),
    "depth": 2,
    "bias": True,
}


@dataclass(frozen=True)
class HashGridConfig(Config):
    """Tables of features on grids that grow finer, interpolated, then a small MLP."""

    num_levels: int = setting(8, help="grids, coarse to fine", low=1, high=32)
    features_per_level: int = setting(2, help="features at a vertex", choices=(1, 2, 4, 8))
    log2_table_size: int = setting(17, help="log2 of the largest rows of a level", low=3, high=24)
    base_resolution: int = setting(16, help="cells of the coarsest grid", low=1, high=4096)
    growth: float = setting(1.7, help="resolution from one level to the next", low=1.0, high=4.0)
    width: int = setting(64, help="neurons of a hidden layer", low=1, high=1024)
    depth: int = setting(1, help="hidden layers", low=0, high=16)
    bias: bool = setting(False, help="biases in the MLP")
    activation: str = setting("relu", help="between layers", choices=("relu", "sine"))
    output_activation: str = setting(
        "none", help="after the last layer", choices=("none", "sigmoid", "softplus", "exp")
    )
    precision: str = setting(
        "float32", help="arithmetic of the MLP", choices=("float32", "bf16", "fp16")
    )
    interpolation: str = setting(
        "linear", help="between vertices", choices=("linear", "smoothstep")
    )

    def __post_init__(self):
        super().__post_init__()
        wrong = grid_levels.too_fine(self.num_levels, self.base_resolution, self.growth)
        if wrong:
            raise SettingError(wrong, "num_levels", "growth", "base_resolution")

    @property
    def features(self) -> int:
        """Numbers that the MLP takes."""
        return self.num_levels * self.features_per_level

    @property
    def _layers(self) -> int:
        """Weights of the MLP."""
        sizes = [self.features, *[self.width] * self.depth, self.channels]
        return sum(n * m for n, m in itertools.pairwise(sizes))

    @property
    def parameters(self) -> int:
        resolutions = grid_levels.resolutions(self.num_levels, self.base_resolution, self.growth)
        rows = sum(grid_levels.rows(r, self.dim, self.log2_table_size) for r in resolutions)
        biases = self.depth * self.width + self.channels if self.bias else 0
        return rows * self.features_per_level + self._layers + biases

    @property
    def multiply_adds(self) -> int:
        return 2**self.dim * self.features + self._layers

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
    ) -> "HashGridConfig":
        dim = len(shape)
        if max_parameters is None:
            return cls(
                channels, dim, **_fill(options, shape, {"log2_table_size": table_size(shape)})
            )
        candidates = [
            cls(channels, dim, **_fill(options, shape, chosen))
            for chosen in _ladder(shape, options)
        ]
        fitting = [config for config in candidates if config.parameters <= max_parameters]
        if not fitting:
            raise TooSmall(min(config.parameters for config in candidates))
        return max(fitting, key=lambda config: (config.parameters, -config.num_levels))


def table_size(shape: tuple[int, ...]) -> int:
    """log2 of the rows of a level for a signal of so many samples: about a row for two of them."""
    return min(max(round(math.log2(max(math.prod(shape), 1))) - 1, 8), 20)


def num_levels(shape: tuple[int, ...]) -> int:
    """Levels from 16 cells to one cell for each sample along the longest side, each about 1.7 times
    finer than the last, and no more than nine: measured on photographs, more levels cost more time
    than they bring."""
    return min(max(round(math.log(max(shape) / 16, 1.7)) + 1, 2), 9) if max(shape) > 16 else 2


def _fill(
    options: dict[str, Any], shape: tuple[int, ...], chosen: dict[str, Any]
) -> dict[str, Any]:
    """Options, then what was chosen, then what follows from both.

    The finest grid has one cell for each sample along the longest side. Twice as many fit a little
    better (1 to 2 dB after a second), but leave vertices between the samples that nothing trains,
    which an enlargement shows as grain.
    """
    filled = {"num_levels": num_levels(shape), **chosen, **options}
    base = filled.setdefault("base_resolution", min(16, max(max(shape) // 2, 1)))
    steps = max(filled["num_levels"] - 1, 1)
    growth = ((max(shape) + 1) / base) ** (1 / steps)
    filled.setdefault("growth", min(max(growth, 1.0), 4.0))
    return filled


def _ladder(shape: tuple[int, ...], options: dict[str, Any]) -> list[dict[str, Any]]:
    """Sizes to choose from: tables of every size with few to many levels, and for the smallest a
    narrower MLP as well."""
    levels = num_levels(shape)
    ladder = [
        (table, n, 64) for table in range(8, 25) for n in range(max(levels - 1, 2), levels + 9)
    ]
    ladder += [(table, n, 16) for table in range(3, 9) for n in (1, 2, 4, 8)]
    names = ("log2_table_size", "num_levels", "width")
    return [
        {name: value for name, value in zip(names, step, strict=True) if name not in options}
        for step in ladder
    ]
