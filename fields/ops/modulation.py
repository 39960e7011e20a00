"""Coordinate-aware modulation: normalise, scale and shift by what small grids hold, activate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, check, in_range, one_of, real, shape
from fields.ops.derivatives import first_order
from fields.ops.specs import ACTIVATIONS

extension.load()
_ops = torch.ops.fields

NORMALISATIONS = ("features", "none", "ray")
MODULATED_ACTIVATIONS = ("none", "relu", "sine")


@dataclass(frozen=True)
class ModulationSpec:
    """What is done to the features of a layer.

    Attributes:
        normalise: over "features", each sample for itself; over a "ray", the features of `samples`
            successive rows together; or "none". Without affine, eps 1e-5.
        samples: of a ray.
        activation: "relu", "sine" or "none".
        omega: frequency of the sine.
    """

    normalise: str = "features"
    samples: int = 1
    activation: str = "relu"
    omega: float = 1.0

    def __post_init__(self):
        one_of("normalise", self.normalise, NORMALISATIONS)
        one_of("activation", self.activation, MODULATED_ACTIVATIONS)
        in_range("samples", self.samples, 1, 2**20)
        in_range("omega", self.omega, 1e-3, 1e5)

    @property
    def group(self) -> int:
        """Rows that are normalised together; 0 for none."""
        return {"none": 0, "features": 1, "ray": self.samples}[self.normalise]

    def args(self) -> tuple:
        """As the ops take it."""
        return self.group, ACTIVATIONS[self.activation], self.omega


def check_knots(name: str, sizes: tuple[int, ...]) -> None:
    for size in sizes:
        in_range(f"knots along an axis of {name}", size, 2, 65536)


def modulate(
    h: Tensor, positions: Tensor, gamma: Tensor, beta: Tensor, spec: ModulationSpec
) -> Tensor:
    """activation(gamma(p) norm(h) + beta(p)) in one kernel.

    Args:
        h: [N, C] features of a layer.
        positions: [N, K] in [0, 1], K 1 to 3; clamped to it. A subset of a sample's coordinates.
        gamma, beta: [*knots, 1] for all features, or [*knots, C], one for each; K axes of knots,
            at least 2 each. Axis k belongs to positions[:, k] (the released code of images has
            them the other way round, which square grids hide); its first and last knot lie at 0
            and 1, between knots values are interpolated linearly.
        spec: normalisation and activation.

    Returns:
        [N, C].

    Differentiable once in h, gamma, beta and positions; outside [0, 1] the derivatives by position
    are those at the border.
    Raises ValueError on shapes, dtypes or devices that do not fit.
    Lee et al. 2024, section 3.
    """
    check(h.dim() == 2, f"h must be [N, C], got {tuple(h.shape)}")
    check(
        positions.dim() == 2 and positions.shape[0] == h.shape[0],
        f"positions must be [{h.shape[0]}, K], got {tuple(positions.shape)}",
    )
    dim = positions.shape[1]
    check(1 <= dim <= 3, f"positions must have 1 to 3 dimensions, got {dim}")
    check(gamma.dim() == dim + 1, f"gamma must have {dim} axes of knots and one of channels")
    check_knots("gamma", tuple(gamma.shape[:-1]))
    check(
        gamma.shape[-1] in (1, h.shape[1]),
        f"gamma must have 1 or {h.shape[1]} channels, got {gamma.shape[-1]}",
    )
    shape("beta", beta, tuple(gamma.shape))
    real("h", h)
    for name, tensor in (("positions", positions), ("gamma", gamma), ("beta", beta)):
        alike("h", h, name, tensor)
    check(
        spec.group == 0 or h.shape[0] % spec.group == 0,
        f"h must hold whole rays of {spec.samples} samples, got {h.shape[0]} rows",
    )
    return _ops.modulate(
        h.contiguous(), positions.contiguous(), gamma.contiguous(), beta.contiguous(), *spec.args()
    )


# ---- shapes without data


@torch.library.register_fake("fields::modulate")
def _(h, positions, gamma, beta, group, activation, omega):
    return h.new_empty(h.shape)


@torch.library.register_fake("fields::modulate_backward")
def _(grad, h, positions, gamma, beta, group, activation, omega, need_positions):
    rows = h.shape[0] if need_positions else 0
    return (
        h.new_empty(h.shape),
        positions.new_empty(rows, positions.shape[1]),
        gamma.new_empty(gamma.shape),
        beta.new_empty(beta.shape),
    )


# ---- derivatives


def _save(ctx, inputs, output):
    h, positions, gamma, beta, *spec = inputs
    ctx.save_for_backward(h, positions, gamma, beta)
    ctx.spec = spec


def _backward(ctx, grad):
    need_positions = ctx.needs_input_grad[1]
    grad_h, grad_positions, grad_gamma, grad_beta = _ops.modulate_backward(
        grad.contiguous(), *ctx.saved_tensors, *ctx.spec, need_positions
    )
    return (
        grad_h,
        grad_positions if need_positions else None,
        grad_gamma,
        grad_beta,
        *[None] * 3,
    )


torch.library.register_autograd("fields::modulate", _backward, setup_context=_save)
first_order("modulate_backward", "torch's layer_norm and grid_sample")
