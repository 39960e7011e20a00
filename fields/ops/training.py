"""What a training loop needs besides a field: the fused step, Adam, batches of pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, check, float32_state, in_range, one_of, shape
from fields.ops.hash_grid import check_grid
from fields.ops.specs import PRECISIONS, GridSpec, MlpSpec

extension.load()
_ops = torch.ops.fields

LOSSES = {"l2": 0, "l1": 1, "relative": 2, "binary": 3}


def step_workspace(table: Tensor, dim: int, grid: GridSpec) -> Tensor:
    """Zeroed scratch for grid_mlp_step, to be kept between steps: one slot a thread.

    A slot holds the gradient of the largest level and one flag for each 16 numbers of it.
    """
    shape = _workspace_shape(table, dim, grid)
    return torch.zeros(shape, dtype=torch.float32, device=table.device)


def _workspace_shape(table: Tensor, dim: int, grid: GridSpec) -> tuple[int, int]:
    if table.device.type == "cpu":
        slots, numbers = torch.get_num_threads(), max(grid.rows(dim)) * table.shape[1]
    else:
        slots, numbers = 1, table.numel()
    return slots, numbers + numbers // 64 + 32


def check_workspace(workspace: Tensor, table: Tensor, dim: int, grid: GridSpec) -> None:
    """What step_workspace makes for the same table."""
    slots, numbers = _workspace_shape(table, dim, grid)
    check(
        workspace.dim() == 2 and workspace.shape[0] >= slots and workspace.shape[1] == numbers,
        f"workspace must be [{slots}, {numbers}], got {tuple(workspace.shape)};"
        " make it with step_workspace",
    )
    float32_state("workspace", workspace, workspace)
    check(
        workspace.device == table.device,
        f"workspace is on {workspace.device} but table on {table.device}; move one",
    )


def check_step(
    coords: Tensor,
    targets: Tensor,
    table: tuple[Tensor, Tensor, Tensor],
    params: tuple[Tensor, Tensor, Tensor],
    workspace: Tensor,
    grid: GridSpec,
    *,
    channels: int,
    num_params: int,
    step: int,
    loss: str,
) -> None:
    """What a fused step of a grid with any decoder is given fits together."""
    check_grid(coords, table[0], grid)
    for name, state in (("table", table), ("params", params)):
        for suffix, tensor in zip(("", "_m", "_v"), state, strict=True):
            float32_state(name + suffix, tensor, state[0])
    shape("params", params[0], (num_params,))
    shape("targets", targets, (coords.shape[0], channels))
    alike("coords", coords, "targets", targets)
    check_workspace(workspace, table[0], coords.shape[1], grid)
    in_range("step", step, 1, 2**53)
    one_of("loss", loss, LOSSES)


def grid_mlp_step(
    coords: Tensor,
    targets: Tensor,
    table: tuple[Tensor, Tensor, Tensor],
    params: tuple[Tensor, Tensor, Tensor],
    workspace: Tensor,
    grid: GridSpec,
    mlp: MlpSpec,
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
    """One training step in one op: forward, loss, backward and Adam, in place.

    Args:
        coords: [N, D] in [0, 1].
        targets: [N, channels].
        table: (table [P, F], first moment, second moment), updated in place.
        params: (params [n], first moment, second moment), updated in place.
        workspace: from step_workspace, zero between steps.
        step: 1 for the first.
        lr_table, lr_params: learning rates of the two groups.
        loss: a name of LOSSES: "l2", "l1", "relative" (|value - target| / (|target| + 0.01)) or
            "binary" (cross entropy of sigmoid(value)); the mean over samples and channels.
        weight_decay: L2 on the MLP alone, added to its gradient.
        touched_only: numbers of the table whose gradient is exactly zero keep their value and
            moments (tiny-cuda-nn's rule); otherwise Adam is torch's, on every number.

    Returns:
        loss [1] before the update.

    Not differentiable; the tensors of `table` and `params` must be contiguous float32.
    """
    check_step(
        coords,
        targets,
        table,
        params,
        workspace,
        grid,
        channels=mlp.channels,
        num_params=mlp.num_params(grid.num_levels * table[0].shape[1]),
        step=step,
        loss=loss,
    )
    return _ops.grid_mlp_step(
        coords.contiguous(),
        targets.contiguous(),
        *table,
        *params,
        workspace,
        *grid.args(),
        *mlp.args(),
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


def mlp_step(
    x: Tensor,
    targets: Tensor,
    params: tuple[Tensor, Tensor, Tensor],
    mlp: MlpSpec,
    *,
    step: int,
    lr: float,
    loss: str = "l2",
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Tensor:
    """One training step of an MLP in one op: forward, loss, backward and Adam, in place.

    Args:
        x: [N, inputs].
        targets: [N, channels].
        params: (params [n], first moment, second moment), updated in place.
        mlp: the shape.
        step: 1 for the first.
        lr: learning rate.
        loss: a name of LOSSES: "l2", "l1", "relative" (|value - target| / (|target| + 0.01)) or
            "binary" (cross entropy of sigmoid(value)); the mean over samples and channels.
        weight_decay: L2 on all parameters, added to their gradient.

    Returns:
        loss [1] before the update.

    Not differentiable; the tensors of `params` must be contiguous float32.
    """
    check(x.dim() == 2, f"x must be [N, inputs], got {tuple(x.shape)}")
    for suffix, tensor in zip(("", "_m", "_v"), params, strict=True):
        float32_state("params" + suffix, tensor, params[0])
    shape("params", params[0], (mlp.num_params(x.shape[1]),))
    shape("targets", targets, (x.shape[0], mlp.channels))
    alike("x", x, "params", params[0])
    alike("x", x, "targets", targets)
    in_range("step", step, 1, 2**53)
    one_of("loss", loss, LOSSES)
    return _ops.mlp_step(
        x.contiguous(),
        targets.contiguous(),
        *params,
        *mlp.args(),
        LOSSES[loss],
        step,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
    )


def adam_step(
    param: Tensor,
    grad: Tensor,
    m: Tensor,
    v: Tensor,
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.99,
    eps: float = 1e-15,
    weight_decay: float = 0.0,
    touched_only: bool = False,
) -> None:
    """Adam on one tensor, in place, by all threads; arguments as in grid_mlp_step."""
    for name, tensor in (("param", param), ("m", m), ("v", v)):
        float32_state(name, tensor, param)
    shape("grad", grad, tuple(param.shape))
    alike("param", param, "grad", grad)
    in_range("step", step, 1, 2**53)
    _ops.adam_step(
        param, grad.contiguous(), m, v, step, lr, beta1, beta2, eps, weight_decay, touched_only
    )


def sample_pixels(pixels: Tensor, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """A stratified batch of pixels.

    Args:
        pixels: [H, W, C] uint8, uint16 or float32.
        count: samples; stratum i holds pixels [i HW / count, (i + 1) HW / count).
        seed, step: together with the index they determine the choice.

    Returns:
        coords [count, 2], pixel centres (x, y) in (0, 1), and values [count, C] float32: integers
        over their largest value, floats as they are.
    """
    check(pixels.dim() == 3, f"pixels must be [H, W, C], got {tuple(pixels.shape)}")
    check(pixels.numel() > 0, f"pixels must not be empty, got {tuple(pixels.shape)}")
    check(
        pixels.dtype in (torch.uint8, torch.uint16, torch.float32),
        f"pixels must be uint8, uint16 or float32, got {pixels.dtype}",
    )
    in_range("count", count, 1, 2**31 - 1)
    return _ops.sample_pixels(pixels, count, seed, step)


def fma_peak(seconds: float = 0.2, precision: str = "float32") -> float:
    """Multiply-adds a second of all threads together, measured: what kernels are compared with."""
    return _ops.fma_peak(seconds, PRECISIONS[precision])


# ---- shapes without data


@torch.library.register_fake("fields::grid_mlp_step")
def _(coords, *_):
    return coords.new_empty(1)


@torch.library.register_fake("fields::mlp_step")
def _(x, *_):
    return x.new_empty(1)


@torch.library.register_fake("fields::adam_step")
def _(*_):
    return None


@torch.library.register_fake("fields::sample_pixels")
def _(pixels, count, seed, step):
    shape = (count, pixels.shape[2])
    return (
        pixels.new_empty(count, 2, dtype=torch.float32),
        pixels.new_empty(shape, dtype=torch.float32),
    )
