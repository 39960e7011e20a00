"""A whole network with coordinate-aware modulation in one kernel, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, check, float32_state, in_range, one_of, real, shape
from fields.ops.derivatives import first_order
from fields.ops.modulation import check_knots
from fields.ops.specs import MlpSpec
from fields.ops.training import LOSSES

extension.load()
_ops = torch.ops.fields


def _check(
    coords: Tensor,
    frequencies: Tensor,
    table: Tensor,
    params: Tensor,
    mlp: MlpSpec,
    axes: Sequence[int],
) -> None:
    check(coords.dim() == 2, f"coords must be [N, D], got {tuple(coords.shape)}")
    dim = coords.shape[1]
    check(1 <= dim <= 4, f"coords must have 1 to 4 dimensions, got {dim}")
    check(
        frequencies.dim() == 2 and frequencies.shape[1] == dim,
        f"frequencies must be [M, {dim}], got {tuple(frequencies.shape)}",
    )
    check(
        0 < len(axes) <= 3 and list(axes) == sorted({*axes} & {*range(dim)}),
        f"axes must be up to three of 0 to {dim - 1}, ascending, got {tuple(axes)}",
    )
    check(mlp.depth >= 1, "depth must be at least 1: hidden layers are what is modulated")
    check(mlp.precision == "float32", f"precision must be float32, got {mlp.precision}")
    check(table.dim() == 3 + len(axes), f"table must have {3 + len(axes)} axes, got {table.dim()}")
    shape("table", table, (mlp.depth, 2, *table.shape[2:-1], 1))
    check_knots("table", tuple(table.shape[2:-1]))
    shape("params", params, (mlp.num_params(2 * len(frequencies) or dim),))
    real("coords", coords)
    for name, tensor in (("frequencies", frequencies), ("table", table), ("params", params)):
        alike("coords", coords, name, tensor)
    check(coords.device.type == "cpu", f"cam_mlp runs on the CPU, coords are on {coords.device}")


def _cam_args(axes: Sequence[int], normalise: bool) -> tuple[int, bool]:
    return sum(1 << axis for axis in axes), normalise


def cam_mlp(
    coords: Tensor,
    frequencies: Tensor,
    table: Tensor,
    params: Tensor,
    mlp: MlpSpec,
    axes: Sequence[int],
    *,
    normalise: bool = True,
) -> Tensor:
    """Coordinates to values of a modulated network: nothing between them touches memory.

    Each hidden layer is activation(gamma(p) norm(u) + beta(p)), u = omega W x + b.

    Args:
        coords: [N, D].
        frequencies: [M, D] in cycles a unit: the network takes cos and sin of 2 pi b x for each;
            with none of them it takes 2 x - 1.
        table: [depth, 2, *knots, 1], gamma and beta of each layer, for all its features. Linear
            between knots; axis k belongs to coordinate axes[k], clamped to [0, 1].
        params: flat vector of the network.
        mlp: its shape; at least one hidden layer.
        axes: the coordinates that grids span, up to three, ascending.
        normalise: over the features of a point, without affine, eps 1e-5; not in the first layer of
            sines, where the size of the argument is the frequency.

    Returns:
        [N, channels].

    Differentiable once in coords, table and params; the backward computes the forward again.
    On CPU tensors alone: elsewhere use `modulate`, layer by layer.
    Lee et al. 2024, section 3.
    """
    _check(coords, frequencies, table, params, mlp, axes)
    return _ops.cam_mlp(
        coords.contiguous(),
        frequencies.contiguous(),
        table.contiguous(),
        params.contiguous(),
        *mlp.args(),
        *_cam_args(axes, normalise),
    )


def cam_step(
    coords: Tensor,
    targets: Tensor,
    frequencies: Tensor,
    table: tuple[Tensor, Tensor, Tensor],
    params: tuple[Tensor, Tensor, Tensor],
    mlp: MlpSpec,
    axes: Sequence[int],
    *,
    step: int,
    lr_table: float,
    lr_params: float,
    normalise: bool = True,
    loss: str = "l2",
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Tensor:
    """One training step of cam_mlp in one op: forward, loss, backward and Adam, in place.

    Args:
        coords, frequencies, mlp, axes, normalise: as cam_mlp takes them.
        targets: [N, channels].
        table, params: (values, first moment, second moment), updated in place.
        step: 1 for the first.
        lr_table, lr_params: learning rates of the two groups.
        loss: "l2" or "l1", the mean over samples and channels.
        weight_decay: L2 on the network alone, added to its gradient.

    Returns:
        loss [1] before the update.

    Not differentiable; the tensors of `table` and `params` must be contiguous float32.
    """
    _check(coords, frequencies, table[0], params[0], mlp, axes)
    for name, state in (("table", table), ("params", params)):
        for suffix, tensor in zip(("", "_m", "_v"), state, strict=True):
            float32_state(name + suffix, tensor, state[0])
    shape("targets", targets, (coords.shape[0], mlp.channels))
    alike("coords", coords, "targets", targets)
    in_range("step", step, 1, 2**53)
    one_of("loss", loss, LOSSES)
    return _ops.cam_step(
        coords.contiguous(),
        targets.contiguous(),
        frequencies.contiguous(),
        *table,
        *params,
        *mlp.args(),
        *_cam_args(axes, normalise),
        LOSSES[loss],
        step,
        lr_table,
        lr_params,
        beta1,
        beta2,
        eps,
        weight_decay,
    )


# ---- shapes without data


@torch.library.register_fake("fields::cam_mlp")
def _(coords, frequencies, table, params, width, depth, channels, *_):
    return coords.new_empty(coords.shape[0], channels)


@torch.library.register_fake("fields::cam_mlp_backward")
def _(grad, coords, frequencies, table, params, *args):
    rows = coords.shape[0] if args[-1] else 0
    return (
        coords.new_empty(rows, coords.shape[1]),
        table.new_empty(table.shape),
        params.new_empty(params.shape),
    )


@torch.library.register_fake("fields::cam_step")
def _(coords, *_):
    return coords.new_empty(1)


# ---- derivatives


def _save(ctx, inputs, output):
    coords, frequencies, table, params, *spec = inputs
    ctx.save_for_backward(coords, frequencies, table, params)
    ctx.spec = spec


def _backward(ctx, grad):
    need_coords = ctx.needs_input_grad[0]
    grad_coords, grad_table, grad_params = _ops.cam_mlp_backward(
        grad.contiguous(), *ctx.saved_tensors, *ctx.spec, need_coords
    )
    return (
        grad_coords if need_coords else None,
        None,
        grad_table,
        grad_params,
        *[None] * len(ctx.spec),
    )


torch.library.register_autograd("fields::cam_mlp", _backward, setup_context=_save)
first_order("cam_mlp_backward", "plain torch, layer by layer")
