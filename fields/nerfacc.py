"""Exchange with nerfacc: radiance fields for its estimator and renderer, and what is empty.

    from nerfacc import OccGridEstimator, rendering

    estimator = OccGridEstimator(roi_of(field), field.march.resolution, field.occupancy.cascades)
    fill_estimator(estimator, field.occupancy)
    see = Along(field, origins, directions)
    ray_indices, t_starts, t_ends = estimator.sampling(
        origins, directions, sigma_fn=see.sigma_fn, render_step_size=field.march.step,
        cone_angle=field.march.growth,
    )
    rgb, opacity, depth, _ = rendering(
        t_starts, t_ends, ray_indices, len(origins), rgb_sigma_fn=see.rgb_sigma_fn
    )

Rays are in the coordinates of the unit cube, as those of `fields.march`. nerfacc's levels grow by
two from the region of interest outwards, as cascades do from the smallest cube; its cells lie in
the order x, y, z where ours lie z, y, x. Nothing here needs nerfacc to be installed.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from fields import ops
from fields.errors import FieldsError
from fields.models.radiance import Radiance
from fields.occupancy import Occupancy


class Estimator(Protocol):
    """What is used of nerfacc's OccGridEstimator: `binaries` bool [levels, x, y, z], and `occs`
    [levels * x * y * z], from 0 up."""

    binaries: Any
    occs: Any


def roi_of(field: Radiance) -> list[float]:
    """The six numbers of `roi_aabb`: the smallest cube of the occupancy.

    Raises FieldsError for contracted space, which nerfacc's grid does not have, and for a field
    whose places alone have no density.
    """
    field.require_places()
    if field.march.contract:
        raise FieldsError("nerfacc's grid has no contraction; a scene without an end stays here")
    half = 0.5**field.occupancy.cascades
    return [0.5 - half] * 3 + [0.5 + half] * 3


class Along:
    """A field along rays, as the callables that nerfacc takes.

    Args:
        field: of the scene.
        origins, directions: [R, 3] in the unit cube's coordinates, of unit length.
        times: [R] in [0, 1], of a scene that moves.

    Both callables take t_starts and t_ends [N] and ray_indices [N], and look at the middle between
    the two. Differentiable in the field's parameters.
    """

    def __init__(
        self, field: Radiance, origins: Tensor, directions: Tensor, times: Tensor | None = None
    ):
        self.field, self.origins, self.directions = field, origins, directions
        self.times = times

    def sigma_fn(self, t_starts: Tensor, t_ends: Tensor, ray_indices: Tensor) -> Tensor:
        """Densities [N] over a unit of the cube."""
        return self.field.density(*self._at(t_starts, t_ends, ray_indices))[0]

    def rgb_sigma_fn(
        self, t_starts: Tensor, t_ends: Tensor, ray_indices: Tensor
    ) -> tuple[Tensor, Tensor]:
        """RGB [N, 3] and densities [N]."""
        density, features = self.field.density(*self._at(t_starts, t_ends, ray_indices))
        return self.field.colour(features, self.directions[ray_indices]), density

    def _at(
        self, t_starts: Tensor, t_ends: Tensor, ray_indices: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        middle = ((t_starts + t_ends) / 2)[:, None]
        coords = self.origins[ray_indices] + middle * self.directions[ray_indices]
        times = None if self.times is None else self.times[ray_indices]
        return coords.clamp(0, 1), times


@torch.no_grad()
def fill_estimator(estimator: Estimator, occupancy: Occupancy) -> None:
    """An estimator of the same resolution and levels gets the cells of an occupancy: `binaries`
    from its bits, `occs` from its densities, which a field read from a file has not."""
    _check_alike(estimator, occupancy)
    estimator.binaries.copy_(_turned(occupancy.cells()))
    estimator.occs.copy_(_turned(occupancy.density).clamp(min=0).reshape(-1))


@torch.no_grad()
def fill_occupancy(occupancy: Occupancy, estimator: Estimator) -> None:
    """The inverse: cells that the estimator has empty are empty from now on, and its `occs` are the
    densities that training goes on from."""
    _check_alike(estimator, occupancy)
    cells = _turned(estimator.binaries).to(occupancy.density.device)
    none = torch.zeros(0, dtype=torch.int64, device=cells.device)
    occupancy.bits = ops.occupancy_update(
        cells.float().contiguous(), none, none.float(), decay=1.0, threshold=0.5
    )
    occupancy.density.copy_(_turned(estimator.occs.reshape(cells.shape)))


def _turned(cells: Tensor) -> Tensor:
    """[levels, z, y, x] to [levels, x, y, z], and back."""
    return cells.permute(0, 3, 2, 1)


def _check_alike(estimator: Estimator, occupancy: Occupancy) -> None:
    theirs, ours = tuple(estimator.binaries.shape), tuple(occupancy.density.shape)
    if theirs != ours:
        raise FieldsError(
            f"the estimator has cells {list(theirs)}, the occupancy {list(ours)}; make it with"
            f" resolution {ours[1]} and {ours[0]} levels"
        )
