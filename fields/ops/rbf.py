"""Gaussian kernels in feature space with a linear layer, alone and behind a hash grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, cancel_flag, check, in_range, one_of, real, shape
from fields.ops.derivatives import first_order
from fields.ops.hash_grid import check_grid
from fields.ops.specs import ACTIVATIONS, GridSpec
from fields.ops.training import LOSSES, check_step

extension.load()
_ops = torch.ops.fields

OUTPUTS = ("none", "tanh", "sigmoid", "softplus", "exp")


@dataclass(frozen=True)
class RbfSpec:
    """Shape of a layer of Gaussian kernels with a linear layer behind it (csrc/maths/rbf.h).

    Attributes:
        kernels: Gaussians.
        channels: outputs.
        affine: whether the linear layer takes the features too.
        factor: of the distance in the exponent, > 0: 0.5 is the normal distribution's.
        output_activation: none, tanh, sigmoid, softplus or exp.
    """

    kernels: int
    channels: int
    affine: bool = False
    factor: float = 0.5
    output_activation: str = "none"

    def __post_init__(self):
        in_range("kernels", self.kernels, 1, 4096)
        in_range("channels", self.channels, 1, 4096)
        in_range("factor", self.factor, 1e-6, 1e6)
        one_of("output_activation", self.output_activation, OUTPUTS)

    def shapes(self, inputs: int) -> list[tuple[int, ...]]:
        """Of mu, log beta, W, b and, where there is an affine part, A: the order of `params`."""
        shapes: list[tuple[int, ...]] = [(self.kernels, inputs), (self.kernels, inputs)]
        shapes += [(self.channels, self.kernels), (self.channels,)]
        return [*shapes, (self.channels, inputs)] if self.affine else shapes

    def num_params(self, inputs: int) -> int:
        """Length of the flat parameter vector."""
        return sum(torch.Size(s).numel() for s in self.shapes(inputs))

    def split(self, params: Tensor, inputs: int) -> list[Tensor]:
        """Views of the flat parameter vector, of `shapes`."""
        shapes = self.shapes(inputs)
        parts = params.split([torch.Size(s).numel() for s in shapes])
        return [part.view(s) for part, s in zip(parts, shapes, strict=True)]

    def args(self) -> tuple:
        """As the ops take it."""
        return (
            self.kernels,
            self.channels,
            self.affine,
            self.factor,
            ACTIVATIONS[self.output_activation],
        )


def _check_rbf(x: Tensor, params: Tensor, spec: RbfSpec) -> None:
    check(x.dim() == 2, f"x must be [N, inputs], got {tuple(x.shape)}")
    check(1 <= x.shape[1] <= 4096, f"x must have 1 to 4096 features, got {x.shape[1]}")
    real("x", x)
    alike("x", x, "params", params)
    shape("params", params, (spec.num_params(x.shape[1]),))


def rbf(x: Tensor, params: Tensor, spec: RbfSpec) -> Tensor:
    """Gaussian kernels of the features, linearly combined, in one kernel.

    With F a row of x: r_i = sum_d exp(log_beta_id) (F_d - mu_id)^2, phi_i = exp(-factor r_i) and
    y = output_activation(W phi + b + A F).

    Args:
        x: [N, inputs].
        params: flat vector: mu [kernels, inputs], log_beta [kernels, inputs],
            W [channels, kernels], b [channels] and, if affine, A [channels, inputs].
        spec: the shape.

    Returns:
        [N, channels].

    Differentiable once in x and params. Where a kernel is below the least normal float32 it is 0,
    and so are its derivatives.
    Bouzidi et al. 2025, Gaussian RBFNet, arXiv 2503.06762.
    """
    _check_rbf(x, params, spec)
    return _ops.rbf(x.contiguous(), params.contiguous(), *spec.args())


def rbf_with_grad(x: Tensor, params: Tensor, spec: RbfSpec) -> tuple[Tensor, Tensor]:
    """As rbf, and the derivative of the values by the features.

    Returns:
        values [N, channels] and jacobian [N, channels, inputs].

    Differentiable once in x and params: losses on slopes need no double backward.
    """
    _check_rbf(x, params, spec)
    return _ops.rbf_with_grad(x.contiguous(), params.contiguous(), *spec.args())


def grid_rbf(
    coords: Tensor,
    table: Tensor,
    params: Tensor,
    grid: GridSpec,
    rbf: RbfSpec,
    cancel: Tensor | None = None,
) -> Tensor:
    """Hash grid and Gaussian kernels: on a CPU only coordinates and values touch memory.

    Args:
        coords: [N, D] in [0, 1]; clamped to it.
        table: [P, F].
        params: flat vector of the kernels with num_levels * F inputs, as `rbf` takes it.
        grid: geometry of the grid.
        rbf: shape of the kernels.
        cancel: uint8 [1] on the CPU; once another thread sets it, the kernel stops between two
            runs of samples and RuntimeError("cancelled") is raised.

    Returns:
        [N, channels].

    Differentiable once in coords, table and params; the backward computes the forward again.
    """
    check_grid(coords, table, grid)
    alike("table", table, "params", params)
    shape("params", params, (rbf.num_params(grid.num_levels * table.shape[1]),))
    cancel_flag(cancel)
    return _ops.grid_rbf(
        coords.contiguous(),
        table.contiguous(),
        params.contiguous(),
        *grid.args(),
        *rbf.args(),
        cancel,
    )


def grid_rbf_step(
    coords: Tensor,
    targets: Tensor,
    table: tuple[Tensor, Tensor, Tensor],
    params: tuple[Tensor, Tensor, Tensor],
    workspace: Tensor,
    grid: GridSpec,
    rbf: RbfSpec,
    *,
    step: int,
    lr_table: float,
    lr_params: float,
    loss: str = "l2",
    beta1: float = 0.9,
    beta2: float = 0.99,
    eps: float = 1e-15,
    weight_decay: float = 0.0,
    touched_only: bool = False,
) -> Tensor:
    """One training step in one op, as grid_mlp_step with Gaussian kernels for the MLP."""
    check_step(
        coords,
        targets,
        table,
        params,
        workspace,
        grid,
        channels=rbf.channels,
        num_params=rbf.num_params(grid.num_levels * table[0].shape[1]),
        step=step,
        loss=loss,
    )
    return _ops.grid_rbf_step(
        coords.contiguous(),
        targets.contiguous(),
        *table,
        *params,
        workspace,
        *grid.args(),
        *rbf.args(),
        LOSSES[loss],
        step,
        lr_table,
        lr_params,
        beta1,
        beta2,
        eps,
        weight_decay,
        touched_only,
    )


# ---- shapes without data


@torch.library.register_fake("fields::rbf")
def _(x, params, kernels, channels, *_):
    return x.new_empty(x.shape[0], channels)


@torch.library.register_fake("fields::rbf_with_grad")
def _(x, params, kernels, channels, *_):
    return x.new_empty(x.shape[0], channels), x.new_empty(x.shape[0], channels, x.shape[1])


@torch.library.register_fake("fields::rbf_backward")
def _(grad, x, params, *_):
    return x.new_empty(x.shape), params.new_empty(params.shape)


@torch.library.register_fake("fields::rbf_with_grad_backward")
def _(grad, grad_jacobian, x, params, *_):
    return x.new_empty(x.shape), params.new_empty(params.shape)


@torch.library.register_fake("fields::grid_rbf")
def _(coords, table, params, n, b, g, t, s, kernels, channels, *_):
    return coords.new_empty(coords.shape[0], channels)


@torch.library.register_fake("fields::grid_rbf_backward")
def _(grad, coords, table, params, *args):
    rows = coords.shape[0] if args[-1] else 0
    return (
        coords.new_empty(rows, coords.shape[1]),
        table.new_empty(table.shape),
        params.new_empty(params.shape),
    )


@torch.library.register_fake("fields::grid_rbf_step")
def _(coords, *_):
    return coords.new_empty(1)


# ---- derivatives


def _save(ctx, inputs, output):
    x, params, *spec = inputs
    ctx.save_for_backward(x, params)
    ctx.spec = spec


def _rbf_backward(ctx, grad):
    grads = _ops.rbf_backward(grad.contiguous(), *ctx.saved_tensors, *ctx.spec)
    return *grads, *[None] * 5


def _rbf_with_grad_backward(ctx, grad, grad_jacobian):
    grads = _ops.rbf_with_grad_backward(
        grad.contiguous(), grad_jacobian.contiguous(), *ctx.saved_tensors, *ctx.spec
    )
    return *grads, *[None] * 5


def _save_grid_rbf(ctx, inputs, output):
    coords, table, params, *spec, _cancel = inputs
    ctx.save_for_backward(coords, table, params)
    ctx.spec = spec


def _grid_rbf_backward(ctx, grad):
    need_coords = ctx.needs_input_grad[0]
    grad_coords, grad_table, grad_params = _ops.grid_rbf_backward(
        grad.contiguous(), *ctx.saved_tensors, *ctx.spec, need_coords
    )
    return grad_coords if need_coords else None, grad_table, grad_params, *[None] * 11


for _name, _backward, _setup in (
    ("rbf", _rbf_backward, _save),
    ("rbf_with_grad", _rbf_with_grad_backward, _save),
    ("grid_rbf", _grid_rbf_backward, _save_grid_rbf),
):
    torch.library.register_autograd(f"fields::{_name}", _backward, setup_context=_setup)
for _name in ("rbf_backward", "rbf_with_grad_backward", "grid_rbf_backward"):
    first_order(_name)
