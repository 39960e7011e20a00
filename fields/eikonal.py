"""Training steps with |gradient| = 1, by which a field becomes a distance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import steps
from fields.plan import Plan
from fields.signals.points import PointSignal
from fields.signals.shape import ShapeSignal
from fields.twice import values_and_gradient

# Of the terms for points with normals: values on the surface (in unit cubes), directions there,
# lengths of the gradient everywhere, and what was guessed of distances. Of 20,000 points of a
# statue, after 6 s: IoU 0.993; three times more or less of each moves that by 0.001.
ON_SURFACE, DIRECTION, LENGTH, GUESSED = 60.0, 1.0, 1.0, 1.0
FIRST = 200  # steps that learn the guess alone
REACH = 1e-3  # of differences, in unit cubes
# Four directions in which a difference of values gives the gradient (a tetrahedron).
_CORNERS = ((1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0))


def eikonal(gradient: Tensor) -> Tensor:
    """Mean of (|gradient| - 1)^2 over [N, D] (Gropp et al. 2020, eq. 1)."""
    return (gradient.norm(dim=1) - 1).square().mean()


class EikonalStep(steps.AutogradStep):
    """A loss of distances, and `weight` times the eikonal term on the same samples."""

    def __init__(
        self,
        field: nn.Module,
        signal: ShapeSignal,
        plan: Plan,
        loss: str | steps.Loss,
        weight: float,
    ):
        super().__init__(field, signal, plan, loss)
        self.weight = weight

    def value(self, coords: Tensor, targets: Tensor) -> Tensor:
        values, gradient = values_and_gradient(self.field, coords)
        return self.loss(values[:, None], targets) + self.weight * eikonal(gradient)


class PointsStep(steps.AutogradStep):
    """From points with normals alone: no distance is known but 0 on the surface.

    The first steps learn a guess (see fields.signals.points.Guess), which gives the field an inside
    and takes the fused step of the model. Then follow the terms of Gropp et al. 2020 (values and
    directions on the surface, |gradient| = 1), with the guess away from the surface, where Sitzmann
    et al. 2020 only ask for values that are not 0. The gradient is taken by differences (Li et al.
    2023, Neuralangelo, section 3.2): a term then moves all the cells of a grid that its ends lie
    in, and the field need be differentiable once. Of the hash grid that is 21 ms a step against
    37, and ends higher.
    """

    def __init__(self, field: nn.Module, signal: PointSignal, plan: Plan):
        super().__init__(field, signal, plan, steps.l1)
        self.first = steps.choose(field, signal.guess, plan, "relative")
        self.first.moments = self.moments

    def __call__(self, step: int, factor: float) -> Tensor:
        return self.first(step, factor) if step <= FIRST else super().__call__(step, factor)

    def value(self, coords: Tensor, targets: Tensor) -> Tensor:
        on = len(coords) // 2
        values, gradient = values_and_difference(self.field, coords)
        direction = 1 - nn.functional.cosine_similarity(gradient[:on], targets[:on, :3], dim=1)
        return (
            ON_SURFACE * values[:on].abs().mean()
            + DIRECTION * direction.mean()
            + LENGTH * eikonal(gradient)
            + GUESSED * steps.relative(values[on:], targets[on:, 3])
        )


def values_and_difference(field: nn.Module, coords: Tensor) -> tuple[Tensor, Tensor]:
    """Values [N] of a field of one channel at coords [N, 3], and their gradient [N, 3] by
    differences over REACH; exact for a plane. Differentiable in the parameters."""
    corners = REACH * coords.new_tensor(_CORNERS)
    around = (coords[None] + corners[:, None]).reshape(-1, 3)
    values, moved = field(torch.cat([coords, around]))[:, 0].split([len(coords), len(around)])
    return values, moved.view(4, -1).T @ corners / (4 * REACH**2)
