"""Configuration of the multiresolution hash grid with an MLP behind it."""

import itertools
import math
import struct
from dataclasses import dataclass
from typing import Any

from fields.configs.base import Config, TooSmall, setting


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

    @property
    def parameters(self) -> int:
        rows = sum(
            level_rows(
                self.dim, self.num_levels, self.base_resolution, self.growth, self.log2_table_size
            )
        )
        sizes = [self.num_levels * self.features_per_level, *[self.width] * self.depth]
        sizes.append(self.channels)
        layers = sum(n * m for n, m in itertools.pairwise(sizes))
        biases = sum(sizes[1:]) if self.bias else 0
        return rows * self.features_per_level + layers + biases

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
    finer than the last: measured on photographs, more levels cost more time than they bring."""
    return min(max(round(math.log(max(shape) / 16, 1.7)) + 1, 2), 16) if max(shape) > 16 else 2


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


def level_rows(
    dim: int, num_levels: int, base_resolution: int, growth: float, log2_table_size: int
) -> list[int]:
    """Rows of each level's table, by the rule of csrc/maths/hash_grid.h, in its float32 steps."""
    log2_growth = _float32(math.log2(_float32(growth)))
    limit = 1 << log2_table_size
    rows = []
    for level in range(num_levels):
        power = _float32(2.0 ** _float32(level * log2_growth)) if growth > 1 else 1.0
        scale = _float32(_float32(power * base_resolution) - 1.0)
        resolution = math.ceil(scale) + 1
        rows.append(min((resolution**dim + 7) // 8 * 8, limit))
    return rows


def _float32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]
