"""Radiance fields that are made of another model, which gives the density and what colour takes."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from fields.configs.base import Config, TooSmall, setting, settings
from fields.configs.cam import CamConfig
from fields.configs.fourier import FourierConfig
from fields.configs.marched import MarchedConfig
from fields.configs.radiance import finest_of, grid_for, growth_to, time_cells, time_setting
from fields.configs.rbf import RbfConfig
from fields.configs.triplane import TriPlaneConfig
from fields.errors import SettingError

C = TypeVar("C", bound="ComposedConfig")
_OWN = {"channels", "dim", "seed"}
_CAM_WIDTH = 64
_LEAST_KNOTS, _MOST_KNOTS = 8, 128  # of an axis of a grid, among which a size is found
_TIME = "3"  # the number of that coordinate
_OVER_PLACES = ("over", "grid_size", "modulation")  # what is said of grids that span places
VIEW_KNOTS = 10, 3  # of azimuth and elevation, as published


@dataclass(frozen=True)
class ComposedConfig(MarchedConfig):
    """The settings of a model, `base`, and those of a radiance field: `base` is asked in space, and
    its values are the log of the density and the colour's coefficients of spherical harmonics."""

    base: ClassVar[type[Config]]

    degree: int = setting(3, help="of the harmonics of the direction", low=1, high=4)

    @property
    def outputs(self) -> int:
        """Values of the model within."""
        return 1 + self.channels * self.degree**2

    @property
    def inner(self) -> Config:
        """The configuration of the model within."""
        names = {item.name for item in settings(self.base)} - _OWN
        own = {name: getattr(self, name) for name in names}
        return self.base(self.outputs, self.dim, self.seed, **own)

    @property
    def of_points(self) -> Config:
        return self.inner

    def __post_init__(self):
        super().__post_init__()
        _ = self.inner  # checked when made

    @property
    def parameters(self) -> int:
        return self.inner.parameters

    @property
    def stored(self) -> int:
        return self.inner.stored + self.bits

    @property
    def multiply_adds(self) -> int:
        return self.inner.multiply_adds + self.channels * self.degree**2

    @classmethod
    def for_signal(
        cls: type[C],
        channels: int,
        shape: tuple[int, ...],
        *,
        max_parameters: int | None = None,
        **options: Any,
    ) -> C:
        names = {item.name for item in settings(cls.base)} - _OWN
        own = {name: value for name, value in options.items() if name in names}
        others = {name: value for name, value in options.items() if name not in names}
        empty = cls(channels, len(shape), **others)
        most = None if max_parameters is None else max_parameters - 2 * empty.bits
        try:
            inner = cls.base.for_signal(empty.outputs, shape, max_parameters=most, **own)
        except TooSmall as error:
            raise TooSmall(error.least + 2 * empty.bits) from None
        chosen = {name: getattr(inner, name) for name in names}
        return cls(channels, len(shape), **{**chosen, **others})


@dataclass(frozen=True)
class RbfRadianceConfig(ComposedConfig, RbfConfig):
    """Radial kernels on the features of a grid, and one linear layer to density and colour (Bouzidi
    et al. 2025, section 4).

    The log of a density goes from far below zero to far above it, which a sum of Gaussians alone
    learns slowly: with a linear function of the features beside them a fit is 2 to 3 dB higher.
    """

    base: ClassVar[type[Config]] = RbfConfig

    features_per_level: int = setting(4, help="features at a vertex", choices=(1, 2, 4, 8))
    affine: bool = setting(True, help="adds a linear function of the features")
    time_cells: int = time_setting(only=("encoder", ("grid",)))

    @property
    def finest(self) -> int:
        """Cells of the last grid along an axis."""
        return self.levels[-1][0]

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
    ) -> "RbfRadianceConfig":
        # The grid is that of `hashgrid`.
        usual: dict[str, Any] = {"features_per_level": 4, "base_resolution": 16, "affine": True}
        levels, base = options.get("num_levels", 8), options.get("base_resolution", 16)
        if "num_levels" in options or max_parameters is None:
            usual |= {"growth": growth_to(finest_of(shape), base, levels)}
        if len(shape) == 4 and options.get("encoder", "grid") == "grid":
            usual |= {"time_cells": time_cells(shape)}
        filled = {**usual, **options}
        return super().for_signal(channels, shape, max_parameters=max_parameters, **filled)


@dataclass(frozen=True)
class TriPlaneRadianceConfig(ComposedConfig, TriPlaneConfig):
    """Planes over pairs of axes, whose features a small MLP decodes; of space and time there are
    six, multiplied (Fridovich-Keil et al. 2023, K-Planes, section 3)."""

    base: ClassVar[type[Config]] = TriPlaneConfig

    @classmethod
    def defaults(
        cls, kind: str, cells: int, sized: bool, seconds: float | None = None
    ) -> dict[str, Any]:
        return {} if sized else {"resolution": 200, "features": 16, "depth": 1}


@dataclass(frozen=True)
class FourierRadianceConfig(ComposedConfig, FourierConfig):
    """A ReLU network on sines and cosines of the place (Mildenhall et al. 2020)."""

    base: ClassVar[type[Config]] = FourierConfig

    @classmethod
    def defaults(
        cls, kind: str, cells: int, sized: bool, seconds: float | None = None
    ) -> dict[str, Any]:
        # Sixteen numbers at a corner of the cube give the network what it takes to be sharp.
        return {"signed": False, "sigma": 6.0} | ({} if sized else {"width": 128})


@dataclass(frozen=True)
class CamRadianceConfig(ComposedConfig, CamConfig):
    """A network on sines and cosines of the place, whose layers are normalised over the features
    of a sample, then scaled and shifted by small grids (Lee et al. 2024).

    The grids span space, or time where the scene moves. With `view` they span the direction of the
    view, and the norm is over all samples of a ray, as published for scenes at rest: then the
    density of a place depends on who looks at it, and neither empty space nor a mesh is defined.
    Every ray has `ray_samples` samples, evenly between where it enters and leaves the cube.

    Knowingly not as released: the azimuth, around the z axis, is periodic, so that nothing jumps at
    180 degrees; and the knots of the elevation lie at -90, 0 and 90 degrees, where the released
    ones hold looking down alone, from 0 to -90. At the poles the azimuth is that of the limit.
    """

    base: ClassVar[type[Config]] = CamConfig

    time_sigma: float = setting(
        0.0, help="as sigma, of time where the scene moves; 0 leaves time to the grids",
        low=0.0, high=1000, only=("trunk", ("fourier",)),
    )  # fmt: skip
    output_activation: str = setting(
        "none", help="after the last layer", choices=("none",), flag=False
    )
    view: bool = setting(
        False, help="as published: grids over the direction of the view, norm over the samples of a"
        " ray; then there is no empty space and no mesh",
    )  # fmt: skip
    ray_samples: int = setting(
        128, help="of a ray, whatever is empty", low=8, high=4096, only=("view", (True,))
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.view:
            return
        if self.dim == 4:
            raise SettingError("view is for scenes at rest, and this one moves", "view")
        if self.contract:
            raise SettingError("view is for scenes with an end, and this one goes on", "view")
        usual = {item.name: item.default for item in settings(self)}
        for name in _OVER_PLACES:
            if getattr(self, name) != usual[name]:
                raise SettingError(
                    f"{name} means nothing with view, whose grids have {VIEW_KNOTS[0]} x"
                    f" {VIEW_KNOTS[1]} knots of the direction; leave it away",
                    name,
                    "view",
                )

    @property
    def inner(self) -> CamConfig:
        """As of all; without grids of its own where they span the view."""
        inner = super().inner
        assert isinstance(inner, CamConfig)
        return replace(inner, grids=False) if self.view else inner

    @property
    def _of_view(self) -> int:
        """Numbers in grids over the view."""
        return 2 * self.depth * VIEW_KNOTS[0] * VIEW_KNOTS[1] if self.view and self.grids else 0

    @property
    def parameters(self) -> int:
        return super().parameters + self._of_view

    @property
    def stored(self) -> int:
        return super().stored + self._of_view

    @property
    def multiply_adds(self) -> int:
        """As of `cam`: grids are counted as if each sample read them."""
        reading = self.depth * (2 * 2 ** len(VIEW_KNOTS) + self.width) if self._of_view else 0
        return super().multiply_adds + reading

    @classmethod
    def defaults(
        cls, kind: str, cells: int, sized: bool, seconds: float | None = None
    ) -> dict[str, Any]:
        # A sample costs all of the network, so it is small and asked at fewer places than a grid.
        # Chair at 100 x 100, 30 s: 29.8 dB; with half the frequencies and a layer less 28.6.
        usual = {"sigma": 6.0, "frequencies": 64, "occupancy": 32, "march_steps": 256}
        return usual | ({} if sized else {"width": _CAM_WIDTH})

    @classmethod
    def for_signal(
        cls,
        channels: int,
        shape: tuple[int, ...],
        *,
        max_parameters: int | None = None,
        **options: Any,
    ) -> "CamRadianceConfig":
        usual = {"output_activation": "none"}
        if len(shape) == 4 and options.get("over", _TIME) == _TIME:
            usual |= {"over": _TIME, "grid_size": 16}
        filled = {**usual, **options}
        if filled.get("view"):
            return cls._for_view(channels, shape, max_parameters, filled)
        given = not {"width", "grid_size"}.isdisjoint(options)
        if max_parameters is None or given or len(shape) == 4:
            return super().for_signal(channels, shape, max_parameters=max_parameters, **filled)
        # A sample costs all of a network, and two knots an axis of a grid however fine it is: so a
        # network is no wider than without a size, and grids take the rest.
        for size in range(_MOST_KNOTS, _LEAST_KNOTS - 1, -1):
            config = super().for_signal(
                channels, shape, **{**filled, "width": _CAM_WIDTH, "grid_size": size}
            )
            if config.stored + config.bits <= max_parameters:
                return config
        filled.pop("grid_size", None)
        return super().for_signal(channels, shape, max_parameters=max_parameters, **filled)

    @classmethod
    def _for_view(
        cls, channels: int, shape: tuple[int, ...], most: int | None, options: dict[str, Any]
    ) -> "CamRadianceConfig":
        """The network takes what a size leaves beside grids over the view, which are small."""
        asked = cls(channels, len(shape), **options)  # refuses what does not go with them
        places = {"grids": False, "grid_size": asked.grid_size}
        beside = asked._of_view
        try:
            found = super().for_signal(
                channels,
                shape,
                max_parameters=None if most is None else most - beside,
                **{**options, **places},
            )
        except TooSmall as error:
            raise TooSmall(error.least + beside) from None
        return replace(found, grids=asked.grids)
