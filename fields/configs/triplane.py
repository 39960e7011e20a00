"""Configuration of planes over pairs of axes with an MLP behind them."""

import itertools
from dataclasses import dataclass
from typing import Any

from fields.configs.base import SHAPES, Config, TooSmall, setting
from fields.errors import SettingError

PLANES = {2: 1, 3: 3, 4: 6}


@dataclass(frozen=True)
class TriPlaneConfig(Config):
    """Features interpolated on planes over every pair of axes, combined, then a small MLP."""

    resolution: int = setting(128, help="texels along an axis of a plane", low=2, high=8192)
    features: int = setting(16, help="features of a texel", low=1, high=256)
    combine: str = setting(
        "sum", help="of the planes' features", choices=("sum", "product", "concatenation")
    )
    width: int = setting(64, help="neurons of a hidden layer", low=1, high=1024)
    depth: int = setting(2, help="hidden layers", low=0, high=16)
    activation: str = setting("relu", help="between layers", choices=("relu", "sine"))

    def __post_init__(self):
        super().__post_init__()
        if self.dim not in PLANES:
            raise SettingError(f"triplane needs 2 to 4 coordinates, not {self.dim}")

    @property
    def inputs(self) -> int:
        """Numbers that the MLP takes."""
        return self.features * (PLANES[self.dim] if self.combine == "concatenation" else 1)

    @property
    def _sizes(self) -> list[int]:
        return [self.inputs, *[self.width] * self.depth, self.channels]

    @property
    def parameters(self) -> int:
        planes = PLANES[self.dim] * self.resolution**2 * self.features
        return planes + sum((n + 1) * m for n, m in itertools.pairwise(self._sizes))

    @property
    def multiply_adds(self) -> int:
        joined = 0 if self.combine == "concatenation" else PLANES[self.dim] - 1
        planes = (4 * PLANES[self.dim] + joined) * self.features
        return planes + sum(n * m for n, m in itertools.pairwise(self._sizes))

    @classmethod
    def defaults(
        cls, kind: str, cells: int, sized: bool, seconds: float | None = None
    ) -> dict[str, Any]:
        # Texels that few samples reach stay as they were, a rough field away from the surface: with
        # 200 along an axis the IoU of a small statue is 0.72 after 6 s, with 64 it is 0.995.
        return {"resolution": 64} if kind in SHAPES and not sized else {}

    @classmethod
    def for_signal(
        cls,
        channels: int,
        shape: tuple[int, ...],
        *,
        max_parameters: int | None = None,
        **options: Any,
    ) -> "TriPlaneConfig":
        """As many texels as samples along the longest axis, up to 256; fewer, then fewer features
        and neurons, where a size is asked for."""
        dim = len(shape)
        most = min(max(max(shape), 2), 256 if dim > 2 else 8192)
        if max_parameters is None:
            return cls(channels, dim, **{"resolution": most, **options})
        ladder = [
            {"resolution": resolution, "features": features, "width": width}
            for features, width in ((16, 64), (4, 16), (1, 4), (1, 1))
            for resolution in sorted({*range(2, 64), *range(64, 1025, 8), most})
        ]
        configs = [cls(channels, dim, **{**step, **options}) for step in ladder]
        fitting = [config for config in configs if config.parameters <= max_parameters]
        if not fitting:
            raise TooSmall(min(config.parameters for config in configs))
        return max(fitting, key=lambda c: (c.features, c.parameters))
