"""Coordinate-aware modulation as a radiance field: by places, or by whole rays as published."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from fields import ops
from fields.configs.composed import VIEW_KNOTS, CamRadianceConfig
from fields.models.cam import Cam
from fields.models.composed import ComposedRadiance
from fields.models.radiance import EXACT, Limits
from fields.occupancy import open_at

_SAMPLES = 1 << 18  # drawn at a time


class CamRadiance(ComposedRadiance):
    """See CamRadianceConfig.

    With `view` the grids are `table` [depth, 2, 10, 3, 1], over azimuth and elevation, and `along`
    takes the place of `density` and `colour`.
    """

    kind = CamRadianceConfig
    config: CamRadianceConfig
    inner: Cam
    table: Tensor

    def __init__(self, channels: int = 3, dim: int = 3, **settings):
        super().__init__(channels, dim, **settings)
        if dim == 4 and self.config.trunk == "fourier":
            # A view a moment says little of what lies between moments.
            self.inner.frequencies[:, 3] *= self.config.time_sigma / self.config.sigma
        self.of_rays = self.config.view
        if self.of_rays:
            table = torch.zeros(self.config.depth, 2, *VIEW_KNOTS, 1)
            table[:, 0] = 1
            if self.config.grids:
                self.table = nn.Parameter(table)
            else:
                self.register_buffer("table", table, persistent=False)

    def density(self, coords: Tensor, times: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See Radiance.density; FieldsError with `view`."""
        self.require_places()
        return super().density(coords, times)

    def along(
        self, origins: Tensor, directions: Tensor, *, seed: int | None = None, step: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What whole rays see, with `view`.

        Args:
            origins, directions: [R, 3] in the unit cube's coordinates, of unit length.
            seed, step: where each sample lies within its part of the ray; None: in its middle.

        Returns colours [R, 3], opacity [R] and depth [R] as `trace`. Once differentiable in the
        parameters. Mildenhall et al. 2020, eq. 2 and 3; Lee et al. 2024, section 3.
        """
        origins, directions = origins.to(self.inner.params), directions.to(self.inner.params)
        count, samples = len(origins), self.config.ray_samples
        near, far = chord(origins, directions, self.march.near)
        within = torch.full((count, samples), 0.5).to(origins)
        if seed is not None:
            generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
            within = torch.rand(count, samples, generator=generator).to(origins)
        dt = ((far - near) / samples)[:, None].expand(count, samples)
        t = near[:, None] + dt * (within + torch.arange(samples).to(origins))
        coords = (origins[:, None] + t[..., None] * directions[:, None]).clamp(0, 1).flatten(0, 1)
        positions = azimuth_and_elevation(directions).repeat_interleave(samples, 0)
        periodic = torch.cat([self.table, self.table[:, :, :1]], 2)
        sigma, features = self.split(self.inner.modulated(coords, positions, periodic, samples))
        if (self.occupancy.bits != -1).any():  # as where something is cut away
            sigma = sigma * open_at(self.occupancy.bits, self.march.resolution, coords)
        colours = self.colour(features, directions.repeat_interleave(samples, 0))
        offsets = torch.arange(count + 1, device=t.device) * samples
        seen = ops.composite(sigma, colours, t.flatten(), dt.flatten(), offsets)
        return seen[0], seen[1], seen[2]

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
        """See Radiance.trace; with `view` of whole rays, of which nothing is left out."""
        if not self.of_rays:
            how: dict[str, Any] = {"width": width, "limits": limits, "cancel": cancel}
            return super().trace(origins, directions, times, **how)
        parts = []
        with torch.no_grad():
            for at in torch.arange(len(origins), device=origins.device).split(
                max(_SAMPLES // self.config.ray_samples, 1)
            ):
                if cancel is not None and cancel.item():
                    raise RuntimeError("cancelled")
                parts.append(self.along(origins[at], directions[at]))
        colours, opacity, depth = (torch.cat(part) for part in zip(*parts, strict=True))
        return colours, opacity, depth


def chord(origins: Tensor, directions: Tensor, near: float) -> tuple[Tensor, Tensor]:
    """Where rays [R, 3] enter and leave the unit cube, no sooner than `near`: [R] each, the same
    where they miss it."""
    inverse = 1 / torch.where(directions == 0, 1e-12, directions)
    a, b = -origins * inverse, (1 - origins) * inverse
    first = torch.minimum(a, b).amax(1).clamp(min=near)
    return first, torch.maximum(torch.maximum(a, b).amin(1), first)


def azimuth_and_elevation(directions: Tensor) -> Tensor:
    """[R, 3] -> [R, 2] in [0, 1]: once around the z axis, beginning at that of x, and from straight
    down to straight up."""
    x, y, z = directions.unbind(1)
    around = torch.atan2(y, x) / (2 * math.pi)
    return torch.stack([around % 1, torch.atan2(z, torch.hypot(x, y)) / math.pi + 0.5], 1)
