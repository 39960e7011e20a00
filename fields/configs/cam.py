"""Configuration of coordinate-aware modulation."""

from dataclasses import dataclass
from typing import Any, ClassVar

from fields.configs.base import SHAPES, setting
from fields.configs.network import NetworkConfig
from fields.errors import SettingError

# Knots along an axis of a grid over one, two and three coordinates.
_GRID_SIZES = {1: 64, 2: 32, 3: 12}
_MOST_NUMBERS = 2**28  # in all grids


@dataclass(frozen=True)
class CamConfig(NetworkConfig):
    """A network whose every layer is normalised, then scaled and shifted by small grids."""

    frequency: ClassVar[str | None] = "sigma"
    candidates: ClassVar[tuple[float, ...]] = tuple(2.0 * i for i in range(1, 21))

    trunk: str = setting(
        "fourier",
        help="the network that is modulated",
        choices=("fourier", "positional", "siren", "finer"),
    )
    frequencies: int = setting(
        256, help="of the fourier trunk, each a sine and a cosine", low=1, high=4096,
        only=("trunk", ("fourier",)),
    )  # fmt: skip
    sigma: float = setting(
        10.0, help="standard deviation of those, cycles across the unit cube", low=0.01, high=2000,
        only=("trunk", ("fourier",)),
    )  # fmt: skip
    octaves: int = setting(
        10, help="of the positional trunk: 1/2, 1, 2, ... cycles of an axis", low=1, high=24,
        only=("trunk", ("positional",)),
    )  # fmt: skip
    omega: float = setting(
        30.0, help="first frequency of the siren and finer trunks", low=0.01, high=1000,
        only=("trunk", ("siren", "finer")),
    )  # fmt: skip
    hidden_omega: float = setting(
        30.0, help="later frequencies of those trunks", low=0.01, high=1000,
        only=("trunk", ("siren", "finer")),
    )  # fmt: skip
    grids: bool = setting(True, help="scale and shift; without them features are normalised alone")
    grid_size: int = setting(32, help="knots of a grid along an axis", low=2, high=4096)
    over: str = setting("all", help="coordinates that the grids span: all (at most the first three)"
                        " or their numbers, as in 0,1")  # fmt: skip
    modulation: str = setting(
        "one",
        help="scales at a knot: one for all features, or one for each",
        choices=("one", "feature"),
    )
    normalise: str = setting(
        "features", help="over the features of a point, or none", choices=("features", "none")
    )
    output_activation: str = setting(
        "sigmoid", help="after the last layer", choices=("none", "sigmoid", "softplus", "exp")
    )

    def __post_init__(self):
        super().__post_init__()
        axes = self.axes  # refuses what names none
        if self.grids and 2 * self.depth * self._knot_numbers > _MOST_NUMBERS:
            raise SettingError(
                f"grid_size {self.grid_size} over {len(axes)} coordinates makes more than"
                f" {_MOST_NUMBERS:,} numbers",
                "grid_size",
            )

    @classmethod
    def defaults(
        cls, kind: str, cells: int, sized: bool, seconds: float | None = None
    ) -> dict[str, Any]:
        return {"output_activation": "none"} if kind in SHAPES else {}

    @property
    def is_tunable(self) -> bool:
        return self.trunk == "fourier"

    @property
    def axes(self) -> tuple[int, ...]:
        """The coordinates that the grids span, ascending."""
        if self.over == "all":
            return tuple(range(min(self.dim, 3)))
        parts = [part.strip() for part in self.over.split(",")]
        axes = sorted({int(part) for part in parts if part in ("0", "1", "2", "3")})
        if len(axes) != len(parts) or len(axes) > 3 or axes[-1] >= self.dim:
            raise SettingError(
                f"over must be all or up to three of {','.join(map(str, range(self.dim)))},"
                f" got {self.over!r}",
                "over",
            )
        return tuple(axes)

    @property
    def rows(self) -> int:
        """Frequencies, each a vector of `dim` numbers; 0 where the trunk takes coordinates."""
        return {"fourier": self.frequencies, "positional": self.octaves * self.dim}.get(
            self.trunk, 0
        )

    @property
    def inputs(self) -> int:
        return 2 * self.rows or self.dim

    @property
    def knots(self) -> tuple[int, ...]:
        """Those of a grid, along its axes; the least where grids only stand for 1 and 0."""
        return (self.grid_size if self.grids else 2,) * len(self.axes)

    @property
    def _knot_numbers(self) -> int:
        return self.grid_size ** len(self.axes) * (
            self.width if self.modulation == "feature" else 1
        )

    @property
    def parameters(self) -> int:
        return super().parameters + (2 * self.depth * self._knot_numbers if self.grids else 0)

    @property
    def multiply_adds(self) -> int:
        """As of every network; normalisation is counted as two a feature, scale and shift as one
        beside the interpolation of both."""
        count = super().multiply_adds + self.rows * self.dim
        if self.normalise == "features":
            periodic = self.trunk in ("siren", "finer")
            count += 2 * self.width * (self.depth - periodic)
        if self.grids:
            per_knot = self.width if self.modulation == "feature" else 1
            count += self.depth * (2 * 2 ** len(self.axes) * per_knot + self.width)
        return count

    @property
    def stored(self) -> int:
        return self.parameters + self.rows * self.dim

    @classmethod
    def for_signal(
        cls,
        channels: int,
        shape: tuple[int, ...],
        *,
        max_parameters: int | None = None,
        **options: Any,
    ) -> "CamConfig":
        """As for every network; where a size is asked for, grids take a quarter of it at most."""
        largest = cls(channels, len(shape), **options)
        size = options.get("grid_size") or _GRID_SIZES[len(largest.axes)]
        if max_parameters is not None and "grid_size" not in options:
            while size > 2:
                grids = 2 * largest.depth * size ** len(largest.axes)
                if 4 * grids <= max_parameters:
                    break
                size = max(size // 2, 2)
        filled = {**options, "grid_size": size}
        return super().for_signal(channels, shape, max_parameters=max_parameters, **filled)
