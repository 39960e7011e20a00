"""What is seen along rays through any field of density and colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fields import ops
from fields.ops.checks import check

Field = Callable[..., tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Seen:
    """What R rays see, and the N samples that it is made of.

    Attributes:
        colour: [R, C], what is in front of the background.
        opacity: [R]; the background shows with 1 - opacity.
        depth: [R], sum of weights times distance; over the opacity, the mean distance of what is
            seen.
        weights: [N], share of each sample in its ray.
        t: [N], distance of each sample along its ray.
        rays: [N] int32, its ray.
        offsets: [R + 1], first sample of each ray.
    """

    colour: Tensor
    opacity: Tensor
    depth: Tensor
    weights: Tensor
    t: Tensor
    rays: Tensor
    offsets: Tensor

    def over(self, background: Tensor) -> Tensor:
        """Colour in front of a background [C] or [R, C]."""
        return self.colour + (1 - self.opacity)[:, None] * background


def march(
    field: Field,
    origins: Tensor,
    directions: Tensor,
    bits: Tensor,
    spec: ops.MarchSpec,
    *,
    times: Tensor | None = None,
    seed: int | None = None,
    step: int = 0,
    density: Callable[..., Tensor] | None = None,
    min_weight: float = 0.0,
) -> Seen:
    """March rays through a field and add up what they see.

    Args:
        field: (coords [N, 3] in [0, 1], directions [N, 3]) -> densities [N] over a unit of the
            rays' space, and colours [N, C]; takes times [N] as well where they are given.
        origins: [R, 3] float32, in the coordinates of the unit cube.
        directions: [R, 3] float32, of unit length.
        bits: of an Occupancy; `fields.occupancy` keeps them.
        spec: the steps.
        times: [R], in [0, 1], of a moving scene.
        seed, step: where rays begin within their first step; None: in its middle.
        density: coords [N, 3] (and times) -> densities [N], evaluated first and without gradients;
            samples of a weight below min_weight are left out of what follows.
        min_weight: see there.

    Differentiable in whatever the field is, not in the rays.
    """
    check(
        density is not None or min_weight == 0,
        "min_weight needs density, by which samples are chosen",
    )
    coords, t, dt, rays, offsets = ops.march_rays(
        origins, directions, bits, spec, seed=seed, step=step
    )
    if density is not None:
        with torch.no_grad():
            weights = ops.composite(
                density(coords, *_at(rays, times)), coords[:, :0], t, dt, offsets
            )[3]
        kept = weights >= min_weight
        before = torch.cat([offsets[:1], kept.cumsum(0)])
        coords, t, dt, rays = (x[kept] for x in (coords, t, dt, rays))
        offsets = before[offsets]
    sigma, colour = field(coords, *_at(rays, directions), *_at(rays, times))
    return Seen(*ops.composite(sigma, colour, t, dt, offsets), t, rays, offsets)


def _at(rays: Tensor, values: Tensor | None) -> tuple[Tensor, ...]:
    """Of each sample what its ray has; nothing where rays have none."""
    return () if values is None else (values[rays.long()],)
