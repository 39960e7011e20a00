"""The density of a radiance field as surfaces ask for it: its logarithm, and where it is none."""

from __future__ import annotations

import torch
from torch import Tensor

from fields.models.radiance import Radiance
from fields.occupancy import cells
from fields.render import device_of

LEAST = 1e-3  # density over the unit cube's length: what is empty has no less
_CHUNK = 1 << 19  # points at once


class Density:
    """Asks a field for its density, as it is at one time.

    Points are in the coordinates of the unit cube that holds the scene's box; of a scene without an
    end they may lie outside. Where the occupancy is empty, nothing was trained, and the density is
    LEAST.

    Args:
        field: of the scene.
        time: from 0 to 1, where it moves.

    Raises FieldsError where places alone have no density.
    """

    def __init__(self, field: Radiance, time: float | None = None):
        field.require_places()
        self.field, self.time = field, time
        self.where = device_of(field)
        self.occupied = cells(field.occupancy.bits[-1], field.march.resolution)

    @torch.no_grad()
    def log(self, points: Tensor) -> Tensor:
        """[N, 3] -> [N], the natural logarithm of the density over the unit cube's length."""
        low = torch.tensor(LEAST).log().item()
        result = torch.full((len(points),), low)
        for at in torch.arange(len(points)).split(_CHUNK):
            coords = self._coords(points[at])
            some = at[self._is_occupied(coords).cpu()]
            if len(some):
                density, _ = self.field.density(*self._asked(self._coords(points[some])))
                result[some] = density.clamp(min=LEAST).log().float().cpu()
        return result

    @torch.no_grad()
    def colours(self, points: Tensor, directions: Tensor) -> Tensor:
        """[N, 3] RGB in [0, 1] of points that are seen along directions [N, 3]."""
        parts = []
        for at in torch.arange(len(points)).split(_CHUNK):
            _, features = self.field.density(*self._asked(self._coords(points[at])))
            parts.append(self.field.colour(features, directions[at].to(self.where)).cpu())
        return torch.cat(parts) if parts else points.new_zeros(0, 3)

    def _asked(self, coords: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.field.dim == 3:
            return coords, None
        return coords, torch.full((len(coords),), self.time or 0.0, device=self.where)

    def _coords(self, points: Tensor) -> Tensor:
        """Of the field: in its cube."""
        points = points.to(self.where)
        return contracted(points) if self.field.march.contract else points.clamp(0, 1)

    def _is_occupied(self, coords: Tensor) -> Tensor:
        n = self.field.march.resolution
        x, y, z = (coords * n).long().clamp(0, n - 1).unbind(1)
        return self.occupied[z, y, x]


def contracted(points: Tensor) -> Tensor:
    """All of space in the unit cube, see csrc/maths/contraction.h: [N, 3] -> [N, 3]."""
    y = 2 * points - 1
    r = y.abs().amax(1, keepdim=True).clamp(min=1)
    return 0.5 + y * (2 - 1 / r) / r / 4
