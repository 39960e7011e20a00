"""Training steps with |gradient| = 1, by which a field becomes a distance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import steps
from fields.plan import Plan
from fields.signals.points import PointSignal
from fields.signals.shape import ShapeSignal
from fields.twice import values_and_gradient

# Of the terms for points with normals (Sitzmann et al. 2020, section 4.2 and its code, where they
# are 3000, 100, 100 and 50, for distances in halves of a cube): of values on the surface, of
# directions there, of values away from it that are near 0, and of the length of the gradient.
ON_SURFACE, DIRECTION, OFF_SURFACE, LENGTH = 30.0, 1.0, 1.0, 0.5
OFF_SHARPNESS = 100.0


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

    Of a batch one half are points, the other half lies near them and anywhere in the cube; see
    PointSignal. Sitzmann et al. 2020, section 4.2, with the eikonal term squared (Gropp et al.
    2020) where theirs is not.
    """

    def __init__(self, field: nn.Module, signal: PointSignal, plan: Plan):
        super().__init__(field, signal, plan, steps.l1)

    def value(self, coords: Tensor, targets: Tensor) -> Tensor:
        values, gradient = values_and_gradient(self.field, coords)
        on = len(coords) // 2
        # Half the cube is the unit in which the published weights hold.
        near = torch.exp(-2 * OFF_SHARPNESS * values[on:].abs()).mean()
        direction = 1 - nn.functional.cosine_similarity(gradient[:on], targets[:on], dim=1)
        return (
            ON_SURFACE * 2 * values[:on].abs().mean()
            + DIRECTION * direction.mean()
            + OFF_SURFACE * near
            + LENGTH * eikonal(gradient)
        )
