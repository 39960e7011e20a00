"""Radiance fields that are made of another model."""

from __future__ import annotations

from torch import Tensor

from fields import catalogue, ops
from fields.configs.composed import (
    ComposedConfig,
    FourierRadianceConfig,
    RbfRadianceConfig,
    TriPlaneRadianceConfig,
)
from fields.models.radiance import EXACT, Limits, Radiance, time_scale
from fields.models.rbf import Rbf
from fields.ops.radiance import LARGEST_LOG_DENSITY
from fields.points import as_matrix


class ComposedRadiance(Radiance):
    """A model that gives the log of the density, and coefficients of the colour.

    Takes the settings of its `kind`. The colour is the sigmoid of a sum of spherical harmonics of
    the direction. As often differentiable as the model within, `inner`.
    """

    kind: type[ComposedConfig]

    def __init__(self, channels: int = 3, dim: int = 3, **settings):
        config = self.kind(channels, dim, **settings)
        super().__init__(config)
        self.config = config
        self.inner = catalogue.build(config.inner)

    def density(self, coords: Tensor, times: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.split(self.inner(self.places(coords, times)))

    def split(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Values [..., outputs] of the model within -> density [...] and features for `colour`."""
        return values[..., 0].clamp(max=LARGEST_LOG_DENSITY).exp(), values[..., 1:]

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        along = as_matrix("directions", directions, 3, features)
        harmonics = ops.spherical_harmonics(along, self.config.degree)
        coefficients = features.unflatten(-1, (self.config.channels, self.config.degree**2))
        harmonics = harmonics.view(*directions.shape[:-1], 1, self.config.degree**2)
        return (coefficients * harmonics).sum(-1).sigmoid()


class RbfRadiance(ComposedRadiance):
    """See RbfRadianceConfig."""

    kind = RbfRadianceConfig
    config: RbfRadianceConfig
    inner: Rbf

    def __init__(self, channels: int = 3, dim: int = 3, **settings):
        super().__init__(channels, dim, **settings)
        self.time_scale = time_scale(dim, self.config)

    @property
    def spec(self) -> ops.RbfRadianceSpec | None:
        """As the kernels take it; None where values are no single op."""
        if not self.inner.is_fused:
            return None
        return ops.RbfRadianceSpec(self.inner.grid, self.inner.rbf, self.config.degree)

    def trace(
        self,
        origins: Tensor,
        directions: Tensor,
        times: Tensor | None = None,
        *,
        width: int | None = None,
        limits: Limits = EXACT,
        cancel: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See Radiance.trace; on the CPU it is one op, of Gaussians on a grid."""
        if origins.device.type == "cpu" and self.spec is not None:
            return ops.rbf_radiance_render(
                origins,
                directions,
                self.occupancy.bits,
                self.march,
                self.inner.table,
                self.inner.params,
                self.spec,
                times=self.scaled(times),
                min_weight=limits.weight,
                min_transmittance=limits.transmittance,
                width=width,
                cancel=cancel,
            )
        return super().trace(origins, directions, times, width=width, limits=limits, cancel=cancel)

    def look(
        self,
        bricks: ops.Bricks,
        pose: Tensor,
        intrinsics: Tensor,
        size: tuple[int, int],
        *,
        limits: Limits = EXACT,
        cancel: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """See Radiance.look."""
        if pose.device.type != "cpu" or self.dim != 3 or self.spec is None:
            return None
        return ops.rbf_radiance_in_bricks(
            bricks,
            pose,
            intrinsics,
            size,
            self.inner.table,
            self.inner.params,
            self.spec,
            step=self.march.step,
            near=self.march.near,
            min_weight=limits.weight,
            min_transmittance=limits.transmittance,
            cancel=cancel,
        )


class TriPlaneRadiance(ComposedRadiance):
    """See TriPlaneRadianceConfig."""

    kind = TriPlaneRadianceConfig


class FourierRadiance(ComposedRadiance):
    """See FourierRadianceConfig."""

    kind = FourierRadianceConfig
