"""The small MLP, alone and behind a hash grid."""

from __future__ import annotations

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, cancel_flag, check, real, shape
from fields.ops.derivatives import first_order
from fields.ops.hash_grid import check_grid
from fields.ops.specs import GridSpec, MlpSpec

extension.load()
_ops = torch.ops.fields


def mlp(x: Tensor, params: Tensor, spec: MlpSpec) -> Tensor:
    """A small multilayer perceptron in one kernel.

    Args:
        x: [N, inputs].
        params: flat vector, layer after layer W [out, in] row major, then bias [out] if any.
        spec: the shape.

    Returns:
        [N, channels].

    Differentiable once in x and params.
    """
    check(x.dim() == 2, f"x must be [N, inputs], got {tuple(x.shape)}")
    real("x", x)
    alike("x", x, "params", params)
    shape("params", params, (spec.num_params(x.shape[1]),))
    return _ops.mlp(x.contiguous(), params.contiguous(), *spec.args())


def grid_mlp(
    coords: Tensor,
    table: Tensor,
    params: Tensor,
    grid: GridSpec,
    mlp: MlpSpec,
    cancel: Tensor | None = None,
) -> Tensor:
    """Hash grid and MLP in one kernel: only coordinates and values touch memory.

    Args:
        coords: [N, D] in [0, 1]; clamped to it.
        table: [P, F].
        params: flat vector of the MLP with num_levels * F inputs.
        grid: geometry of the grid.
        mlp: shape of the MLP.
        cancel: uint8 [1] on the CPU; once another thread sets it, the kernel stops between two
            runs of samples and RuntimeError("cancelled") is raised.

    Returns:
        [N, channels].

    Differentiable once in coords, table and params; the backward computes the forward again
    rather than storing activations.
    """
    check_grid(coords, table, grid)
    alike("table", table, "params", params)
    shape("params", params, (mlp.num_params(grid.num_levels * table.shape[1]),))
    cancel_flag(cancel)
    return _ops.grid_mlp(
        coords.contiguous(),
        table.contiguous(),
        params.contiguous(),
        *grid.args(),
        *mlp.args(),
        cancel,
    )


# ---- shapes without data


@torch.library.register_fake("fields::mlp")
def _(x, params, width, depth, channels, *_):
    return x.new_empty(x.shape[0], channels)


@torch.library.register_fake("fields::mlp_backward")
def _(grad, x, params, *_):
    return x.new_empty(x.shape), params.new_empty(params.shape)


@torch.library.register_fake("fields::grid_mlp")
def _(coords, table, params, n, b, g, t, s, width, depth, channels, *_):
    return coords.new_empty(coords.shape[0], channels)


@torch.library.register_fake("fields::grid_mlp_backward")
def _(grad, coords, table, params, *args):
    rows = coords.shape[0] if args[-1] else 0
    return (
        coords.new_empty(rows, coords.shape[1]),
        table.new_empty(table.shape),
        params.new_empty(params.shape),
    )


# ---- derivatives


def _save_mlp(ctx, inputs, output):
    x, params, *spec = inputs
    ctx.save_for_backward(x, params)
    ctx.spec = spec


def _mlp_backward(ctx, grad):
    x, params = ctx.saved_tensors
    grad_x, grad_params = _ops.mlp_backward(grad.contiguous(), x, params, *ctx.spec)
    return grad_x, grad_params, *[None] * 9


def _save_grid_mlp(ctx, inputs, output):
    coords, table, params, *spec, _cancel = inputs
    ctx.save_for_backward(coords, table, params)
    ctx.spec = spec


def _grid_mlp_backward(ctx, grad):
    coords, table, params = ctx.saved_tensors
    need_coords = ctx.needs_input_grad[0]
    grad_coords, grad_table, grad_params = _ops.grid_mlp_backward(
        grad.contiguous(), coords, table, params, *ctx.spec, need_coords
    )
    return grad_coords if need_coords else None, grad_table, grad_params, *[None] * 15


torch.library.register_autograd("fields::mlp", _mlp_backward, setup_context=_save_mlp)
torch.library.register_autograd(
    "fields::grid_mlp", _grid_mlp_backward, setup_context=_save_grid_mlp
)
first_order("mlp_backward")
first_order("grid_mlp_backward")
