"""Training steps with |gradient| = 1, by which a field becomes a distance."""

from __future__ import annotations

from torch import Tensor, nn

from fields import steps
from fields.plan import Plan
from fields.signals.points import PointSignal
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


class PointsStep(EikonalStep):
    """As published for points with normals (Gropp et al. 2020, eq. 4): values on the surface,
    directions there, and the eikonal term, which weighs as much as they do. Distances away from the
    surface are compared as well, where Sitzmann et al. 2020 only ask for values that are not 0.
    """

    def __init__(
        self,
        field: nn.Module,
        signal: PointSignal,
        plan: Plan,
        loss: str | steps.Loss,
        weight: float,
    ):
        super().__init__(field, _WithNormals(signal), plan, loss, weight)

    def value(self, coords: Tensor, targets: Tensor) -> Tensor:
        values, gradient = values_and_gradient(self.field, coords)
        distances, normals = targets.split([1, 3], 1)
        has_normal = normals.any(1)
        direction = 1 - nn.functional.cosine_similarity(gradient, normals, dim=1)[has_normal]
        slopes = eikonal(gradient) + (direction.mean() if len(direction) else 0.0)
        return self.loss(values[:, None], distances) + self.weight * slopes


class _WithNormals:
    """Batches of points whose values are distances and normals [N, 4]."""

    def __init__(self, signal: PointSignal):
        self.batch = signal.with_normals
