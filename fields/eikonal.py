"""Training steps with |gradient| = 1, by which a field becomes a distance."""

from __future__ import annotations

from torch import Tensor, nn

from fields import steps
from fields.plan import Plan
from fields.twice import values_and_gradient


def eikonal(gradient: Tensor) -> Tensor:
    """Mean of (|gradient| - 1)^2 over [N, D] (Gropp et al. 2020, eq. 1)."""
    return (gradient.norm(dim=1) - 1).square().mean()


class EikonalStep(steps.AutogradStep):
    """A loss of distances, and `weight` times the eikonal term on the same samples."""

    def __init__(
        self,
        field: nn.Module,
        signal: steps.Signal,
        plan: Plan,
        loss: str | steps.Loss,
        weight: float,
    ):
        super().__init__(field, signal, plan, loss)
        self.weight = weight

    def value(self, coords: Tensor, targets: Tensor) -> Tensor:
        values, gradient = values_and_gradient(self.field, coords)
        return self.loss(values[:, None], targets) + self.weight * eikonal(gradient)
