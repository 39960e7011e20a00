"""The hash grid alone: features, their jacobian, and the derivatives of both."""

from __future__ import annotations

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, check, real
from fields.ops.derivatives import first_order
from fields.ops.specs import GridSpec

extension.load()
_ops = torch.ops.fields


def check_grid(coords: Tensor, table: Tensor, spec: GridSpec) -> None:
    """coords [N, D] and table [P, F] fit each other and the geometry."""
    check(coords.dim() == 2, f"coords must be [N, D], got {tuple(coords.shape)}")
    check(1 <= coords.shape[1] <= 4, f"coords must have 1 to 4 dimensions, got {coords.shape[1]}")
    check(table.dim() == 2, f"table must be [P, F], got {tuple(table.shape)}")
    features = table.shape[1]
    check(features in (1, 2, 4, 8), f"table must have 1, 2, 4 or 8 features, got {features}")
    real("coords", coords)
    alike("coords", coords, "table", table)
    rows = sum(spec.rows(coords.shape[1]))
    check(table.shape[0] == rows, f"table must have {rows} rows, got {table.shape[0]}")


def hash_grid(coords: Tensor, table: Tensor, spec: GridSpec) -> Tensor:
    """Features of a multiresolution hash grid.

    Args:
        coords: [N, D] in [0, 1], D 1 to 4; clamped to it.
        table: [P, F], the levels one behind the other (`spec.rows`), F 1, 2, 4 or 8.
        spec: the geometry.

    Returns:
        [N, num_levels * F], level major.

    Differentiable twice in coords and table; outside [0, 1] the derivatives by coordinates are
    those at the border, not zero, so that a descent finds its way back. Linear interpolation has
    no second derivative along one axis and a jump of the first at cell faces; smoothstep has both.
    Raises ValueError on shapes, dtypes or devices that do not fit.
    Mueller et al. 2022, section 3.
    """
    check_grid(coords, table, spec)
    return _ops.hash_grid(coords.contiguous(), table.contiguous(), *spec.args())


def hash_grid_with_grad(coords: Tensor, table: Tensor, spec: GridSpec) -> tuple[Tensor, Tensor]:
    """As hash_grid, and the derivative of each feature by the coordinates.

    Returns:
        features [N, num_levels * F] and jacobian [N, num_levels * F, D].

    Differentiable once in coords and table: losses on normals need no double backward.
    """
    check_grid(coords, table, spec)
    return _ops.hash_grid_with_grad(coords.contiguous(), table.contiguous(), *spec.args())


# ---- shapes without data


@torch.library.register_fake("fields::hash_grid")
def _(coords, table, num_levels, *_):
    return coords.new_empty(coords.shape[0], num_levels * table.shape[1])


@torch.library.register_fake("fields::hash_grid_with_grad")
def _(coords, table, num_levels, *_):
    features = coords.new_empty(coords.shape[0], num_levels * table.shape[1])
    return features, coords.new_empty(*features.shape, coords.shape[1])


def _fake_grid_grads(coords, table, need_coords, need_table):
    return (
        coords.new_empty(coords.shape[0] if need_coords else 0, coords.shape[1]),
        table.new_empty(table.shape[0] if need_table else 0, table.shape[1]),
    )


@torch.library.register_fake("fields::hash_grid_backward")
def _(grad, coords, table, n, b, g, t, s, need_coords, need_table):
    return _fake_grid_grads(coords, table, need_coords, need_table)


@torch.library.register_fake("fields::hash_grid_with_grad_backward")
def _(grad, grad_jacobian, coords, table, n, b, g, t, s, need_coords, need_table):
    return _fake_grid_grads(coords, table, need_coords, need_table)


# ---- derivatives


def _save_grid(ctx, inputs, output):
    coords, table, *spec = inputs
    ctx.save_for_backward(coords, table)
    ctx.spec = spec


def _hash_grid_backward(ctx, grad):
    coords, table = ctx.saved_tensors
    need_coords, need_table = ctx.needs_input_grad[:2]
    grad_coords, grad_table = _ops.hash_grid_backward(
        grad.contiguous(), coords, table, *ctx.spec, need_coords, need_table
    )
    return (
        grad_coords if need_coords else None,
        grad_table if need_table else None,
        *[None] * 5,
    )


def _hash_grid_with_grad_backward(ctx, grad, grad_jacobian):
    coords, table = ctx.saved_tensors
    need_coords, need_table = ctx.needs_input_grad[:2]
    grad_coords, grad_table = _ops.hash_grid_with_grad_backward(
        grad.contiguous(),
        grad_jacobian.contiguous(),
        coords,
        table,
        *ctx.spec,
        need_coords,
        need_table,
    )
    return (
        grad_coords if need_coords else None,
        grad_table if need_table else None,
        *[None] * 5,
    )


def _save_grid_backward(ctx, inputs, output):
    grad, coords, table, *rest = inputs
    ctx.save_for_backward(grad, coords, table)
    ctx.spec, (ctx.had_coords, ctx.had_table) = rest[:5], rest[5:]


def _hash_grid_double_backward(ctx, v_coords, v_table):
    """Backward of hash_grid_backward, which is linear in grad.

    With y = E(x, t) linear in the table t, and cotangents v_x of J_x^T g and v_t of J_t^T g:
    d/dg = J_x v_x + E(x, v_t); d/dt and the first part of d/dx are those of the jacobian
    contracted with g v_x^T; the second part of d/dx is J_x^T g of the table v_t.
    """
    grad, coords, table = ctx.saved_tensors
    spec = ctx.spec
    need_grad, need_coords, need_table = ctx.needs_input_grad[:3]
    out_grad = out_coords = out_table = None
    if ctx.had_coords:
        if need_grad:
            jacobian = _ops.hash_grid_with_grad(coords, table, *spec)[1]
            out_grad = torch.einsum("nfd,nd->nf", jacobian, v_coords)
        if need_coords or need_table:
            outer = (grad.unsqueeze(-1) * v_coords.unsqueeze(1)).contiguous()
            c, t = _ops.hash_grid_with_grad_backward(
                torch.zeros_like(grad), outer, coords, table, *spec, need_coords, need_table
            )
            out_coords = c if need_coords else None
            out_table = t if need_table else None
    if ctx.had_table:
        v_table = v_table.contiguous()
        if need_grad:
            more = _ops.hash_grid(coords, v_table, *spec)
            out_grad = more if out_grad is None else out_grad + more
        if need_coords:
            more, _ = _ops.hash_grid_backward(grad, coords, v_table, *spec, True, False)
            out_coords = more if out_coords is None else out_coords + more
    return out_grad, out_coords, out_table, *[None] * 7


for _name, _backward, _setup in (
    ("hash_grid", _hash_grid_backward, _save_grid),
    ("hash_grid_with_grad", _hash_grid_with_grad_backward, _save_grid),
    ("hash_grid_backward", _hash_grid_double_backward, _save_grid_backward),
):
    torch.library.register_autograd(f"fields::{_name}", _backward, setup_context=_setup)
first_order("hash_grid_with_grad_backward")
