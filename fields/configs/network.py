"""Configuration of a field that is one multilayer perceptron."""

import itertools
from dataclasses import dataclass
from typing import Any, TypeVar

from fields.configs.base import SHAPES, Config, TooSmall, setting

N = TypeVar("N", bound="NetworkConfig")

# To choose from where a size is asked for; large ones fill the kernels' blocks of rows.
_WIDTHS = [*range(1, 64), *range(64, 1025, 8)]


@dataclass(frozen=True)
class NetworkConfig(Config):
    """A network of `depth` hidden layers, all of one width, with biases."""

    width: int = setting(256, help="neurons of a hidden layer", low=1, high=1024)
    depth: int = setting(3, help="hidden layers", low=1, high=16)

    @property
    def inputs(self) -> int:
        """Numbers that the first layer takes."""
        return self.dim

    @property
    def parameters(self) -> int:
        sizes = [self.inputs, *[self.width] * self.depth, self.channels]
        return sum((into + 1) * out for into, out in itertools.pairwise(sizes))

    @property
    def multiply_adds(self) -> int:
        sizes = [self.inputs, *[self.width] * self.depth, self.channels]
        return sum(into * out for into, out in itertools.pairwise(sizes))

    @classmethod
    def for_signal(
        cls: type[N],
        channels: int,
        shape: tuple[int, ...],
        *,
        max_parameters: int | None = None,
        **options: Any,
    ) -> N:
        options = cls.fill(len(shape), options)
        if max_parameters is None:
            return cls(channels, len(shape), **options)
        widths = [options.pop("width")] if "width" in options else _WIDTHS
        configs = [cls(channels, len(shape), **options, width=width) for width in widths]
        fitting = [config for config in configs if config.stored <= max_parameters]
        if not fitting:
            raise TooSmall(min(config.stored for config in configs))
        return fitting[-1]

    @classmethod
    def fill(cls, dim: int, options: dict[str, Any]) -> dict[str, Any]:
        """The options, with those defaults that follow from the number of coordinates."""
        return dict(options)


@dataclass(frozen=True)
class SignedConfig(NetworkConfig):
    """A network whose last layer is linear, and may be scaled."""

    signed: bool = setting(True, help="the network's values in [-1, 1] stand for [0, 1]")

    @classmethod
    def defaults(
        cls, kind: str, cells: int, sized: bool, seconds: float | None = None
    ) -> dict[str, Any]:
        if kind not in SHAPES:
            return {}
        # Half as wide is four times as many steps: 0.98 of a small statue after 10 s, and 0.48.
        return {"signed": False} | ({} if sized else {"width": 128})
