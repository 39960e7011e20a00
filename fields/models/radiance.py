"""Radiance fields: density in space, and its colour from a direction."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from fields import ops
from fields.configs.marched import MarchedConfig
from fields.configs.radiance import RadianceConfig
from fields.encodings.hash_grid import init_table
from fields.errors import FieldsError
from fields.march import march
from fields.mlp import init_params
from fields.occupancy import THRESHOLD, Occupancy
from fields.ops.radiance import LARGEST_LOG_DENSITY
from fields.points import as_matrix

_RAYS = 1 << 14  # drawn at a time


class Limits(NamedTuple):
    """Samples of less weight count as empty; rays end where they let pass less; and the arithmetic
    of MLPs, where the machine has it, in place of that of the field."""

    weight: float
    transmittance: float
    precision: str | None = None


EXACT = Limits(1e-4, 1e-3)
# 52 dB or more from EXACT in pictures of scenes, in three quarters of the time.
QUICK = Limits(2e-3, 2e-2, "bf16")


class Radiance(nn.Module):
    """What radiance fields have in common.

    Attributes:
        dim: 3, or 4 with a time.
        occupancy: where it is empty.
        march: how rays are walked.
        time_scale: what times are multiplied by before a field looks them up.
        of_rays: it is asked by whole rays: a place alone has no density, and none is empty.
    """

    time_scale: float = 1.0
    of_rays: bool = False

    def __init__(self, config: MarchedConfig):
        super().__init__()
        self.dim = config.dim
        # A threshold is of steps in the smallest cube.
        self.occupancy = Occupancy(config.occupancy, config.cascades, THRESHOLD * config.zoom)
        is_large = config.contract or config.cascades > 1
        self.march = ops.MarchSpec(
            config.occupancy,
            step=math.sqrt(3) / config.march_steps / config.zoom,
            near=config.near,
            growth=1 / 256 if is_large else 0.0,  # Mueller et al. 2022, appendix E.1
            contract=config.contract,
        )

    def places(self, coords: Tensor, times: Tensor | None) -> Tensor:
        """coords [..., 3], with times [...] as the fourth axis where the field has one."""
        if (times is not None) != (self.dim == 4):
            raise ValueError(f"a field of {self.dim} coordinates takes times if they are 4")
        scaled = self.scaled(times)
        return coords if scaled is None else torch.cat([coords, scaled[..., None].to(coords)], -1)

    def scaled(self, times: Tensor | None) -> Tensor | None:
        """Times as the fourth coordinate of the field."""
        return None if times is None else self.time_scale * times

    def require_places(self) -> None:
        """FieldsError where places alone have no density."""
        if self.of_rays:
            raise FieldsError(
                "the density of this field depends on who looks at it: it has no mesh, no points"
                " and no empty space; fields render and fields view draw it"
            )

    def density(self, coords: Tensor, times: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """coords [..., 3] in [0, 1] and, of a scene that moves, times [...] in [0, 1] -> density
        [...] over the unit cube's length, and features [..., F] for `colour`."""
        raise NotImplementedError

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """features [..., F] and directions [..., 3] of unit length -> RGB [..., 3] in (0, 1)."""
        raise NotImplementedError

    def forward(
        self, coords: Tensor, directions: Tensor, times: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Density [...] and RGB [..., 3] of coords seen along directions."""
        density, features = self.density(coords, times)
        return density, self.colour(features, directions)

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
        """What is seen along rays, without gradients.

        Args:
            origins, directions: [R, 3] in the unit cube's coordinates, of unit length.
            times: [R] in [0, 1], where it moves.
            width: of the picture whose rays these are, row by row.
            limits: what is left out.
            cancel: uint8 [1]; once it is set, RuntimeError("cancelled") is raised.

        Returns colours [R, 3] without what is behind, opacity [R], and depth [R], which is the sum
        of weights times distances.
        """
        parts = []
        with torch.no_grad():
            for at in torch.arange(len(origins), device=origins.device).split(_RAYS):
                if cancel is not None and cancel.item():
                    raise RuntimeError("cancelled")
                seen = march(
                    self,
                    origins[at],
                    directions[at],
                    self.occupancy.bits,
                    self.march,
                    times=None if times is None else times[at],
                    density=lambda *where: self.density(*where)[0],
                    min_weight=limits.weight,
                )
                parts.append((seen.colour, seen.opacity, seen.depth))
        colours, opacity, depth = (torch.cat(part) for part in zip(*parts, strict=True))
        return colours, opacity, depth

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
        """As `trace`, along the rays of a pinhole (see ops.radiance_in_bricks), and sooner, since
        `bricks`, which were baked from the field as it is now, say where to ask it. None of a field
        that has no kernel for that."""
        return None


class GridOverTime(Protocol):
    """Settings of a grid, one of whose axes may be time."""

    @property
    def time_cells(self) -> int: ...
    @property
    def finest(self) -> int: ...


def time_scale(dim: int, config: GridOverTime) -> float:
    """What times are multiplied by, so that a grid has so many cells along them."""
    coarser = dim == 4 and config.time_cells
    return min(config.time_cells / config.finest, 1.0) if coarser else 1.0


class RadianceField(Radiance):
    """A hash grid with a small MLP to density, and one from that and the direction to colour
    (Mueller et al. 2022, section 5.4).

    Takes the settings of `RadianceConfig`; see there for their meaning and range. Parameters:
    `table` [P, F], and the flat vectors of the two MLPs, `density_params` and `colour_params`.
    `occupancy` says where it is empty. Once differentiable in coordinates, directions and
    parameters.
    """

    def __init__(self, channels: int = 3, dim: int = 3, **settings):
        config = RadianceConfig(channels, dim, **settings)
        super().__init__(config)
        self.config = config
        grid = ops.GridSpec(
            config.num_levels,
            config.base_resolution,
            config.growth,
            config.log2_table_size,
            config.interpolation == "smoothstep",
        )
        self.spec = ops.RadianceSpec(
            grid,
            config.density_width,
            config.density_depth,
            config.colour_width,
            config.colour_depth,
            config.degree,
            config.precision,
        )
        self.time_scale = time_scale(config.dim, config)
        generator = torch.Generator().manual_seed(config.seed)
        rows = sum(grid.rows(config.dim))
        self.table = nn.Parameter(init_table(rows, config.features_per_level, generator))
        self.density_params = nn.Parameter(
            init_params(config.features, self.spec.density, generator)
        )
        self.colour_params = nn.Parameter(
            init_params(self.spec.colour_inputs, self.spec.colour, generator)
        )

    def density(self, coords: Tensor, times: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """coords [..., 3] in [0, 1] and, with a fourth axis, times [...] in [0, 1] -> density [...]
        over the unit cube's length, and features [..., 16] for `colour`, of which the first is the
        log of the density; beyond e^15 the density stays."""
        points = as_matrix("coords", self.places(coords, times), self.dim, self.table)
        features = ops.grid_mlp(
            points, self.table, self.density_params, self.spec.grid, self.spec.density
        )
        features = features.reshape(*coords.shape[:-1], features.shape[1])
        return features[..., 0].clamp(max=LARGEST_LOG_DENSITY).exp(), features

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """features [..., 16] and directions [..., 3] of unit length -> RGB [..., 3] in (0, 1)."""
        flat = as_matrix("features", features, features.shape[-1], self.colour_params)
        along = as_matrix("directions", directions, 3, self.colour_params)
        inputs = torch.cat([flat, ops.spherical_harmonics(along, self.spec.degree)], 1)
        rgb = ops.mlp(inputs, self.colour_params, self.spec.colour)
        return rgb.reshape(*features.shape[:-1], 3)

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
        """See Radiance.trace; on the CPU it is one op."""
        if origins.device.type == "cpu":
            return ops.radiance_render(
                origins,
                directions,
                self.occupancy.bits,
                self.march,
                self.table,
                self.density_params,
                self.colour_params,
                self._spec(limits),
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
        if pose.device.type != "cpu" or self.dim != 3:
            return None
        return ops.radiance_in_bricks(
            bricks,
            pose,
            intrinsics,
            size,
            self.table,
            self.density_params,
            self.colour_params,
            self._spec(limits),
            step=self.march.step,
            near=self.march.near,
            min_weight=limits.weight,
            min_transmittance=limits.transmittance,
            cancel=cancel,
        )

    def _spec(self, limits: Limits) -> ops.RadianceSpec:
        if limits.precision == "bf16" and ops.ACTIVE.bf16:
            return replace(self.spec, precision="bf16")
        return self.spec
