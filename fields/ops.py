"""The compiled ops with their shapes, checks and derivatives. The only user of torch.ops.fields.

Schemas stand in csrc/schemas.cpp, kernels in csrc/cpu and csrc/cuda. All ops take float32 or
float64 (the slow reference instance), on the device of their inputs, and detach nothing: what is
differentiable says so. Every op on a CPU gives the same bits for any number of threads.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from fields import extension

ACTIVE = extension.load()
_ops = torch.ops.fields

ACTIVATIONS = {"none": 0, "relu": 1, "sine": 2, "sigmoid": 3, "softplus": 4, "exp": 5}
PRECISIONS = {"float32": 0, "bf16": 1, "fp16": 2}
LOSSES = {"l2": 0, "l1": 1}


@dataclass(frozen=True)
class GridSpec:
    """Geometry of a hash grid, by tiny-cuda-nn's rule (csrc/maths/hash_grid.h).

    Attributes:
        num_levels: 1 to 32.
        base_resolution: cells along an axis on the coarsest level, >= 1.
        growth: ratio of resolutions of successive levels, >= 1.
        log2_table_size: at most 2^this rows a level, 3 to 28.
        smoothstep: cubic interpolation weights with zero slope at vertices; linear otherwise.
    """

    num_levels: int
    base_resolution: int
    growth: float
    log2_table_size: int
    smoothstep: bool = False

    def rows(self, dim: int) -> list[int]:
        """Rows of the table that each level owns, in `dim` dimensions."""
        limit = 2**self.log2_table_size
        return [min((min(r**dim, limit + 8) + 7) // 8 * 8, limit) for r in self.resolutions()]

    def resolutions(self) -> list[int]:
        """Vertices along an axis, level by level; float32 as the kernels compute it."""
        log2_growth = torch.tensor(self.growth, dtype=torch.float32).log2()
        levels = torch.arange(self.num_levels, dtype=torch.float32)
        scales = torch.exp2(levels * log2_growth) * float(self.base_resolution) - 1.0
        return [math.ceil(scale) + 1 for scale in scales.tolist()]


@dataclass(frozen=True)
class MlpSpec:
    """Shape of a fused multilayer perceptron (csrc/maths/mlp_shape.h).

    Attributes:
        width: units of a hidden layer.
        depth: hidden layers; 0 is one linear layer.
        channels: outputs.
        bias: whether layers have a bias.
        activation: of hidden layers, a name of ACTIVATIONS.
        output_activation: of the output, a name of ACTIVATIONS.
        precision: of the arithmetic, a name of PRECISIONS; parameters stay float32.
    """

    width: int
    depth: int
    channels: int
    bias: bool = False
    activation: str = "relu"
    output_activation: str = "none"
    precision: str = "float32"

    def layer_shapes(self, inputs: int) -> list[tuple[int, int]]:
        """[outputs, inputs] of each layer's weight, in the order of the flat vector."""
        sizes = [inputs, *[self.width] * self.depth, self.channels]
        return [(out, into) for into, out in itertools.pairwise(sizes)]

    def num_params(self, inputs: int) -> int:
        """Length of the flat parameter vector."""
        return sum(out * (into + self.bias) for out, into in self.layer_shapes(inputs))

    def _args(self) -> tuple:
        return (
            self.width,
            self.depth,
            self.channels,
            self.bias,
            ACTIVATIONS[self.activation],
            ACTIVATIONS[self.output_activation],
            PRECISIONS[self.precision],
        )


# ---- checks, once, at the public edge


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _check_coords(coords: Tensor, table: Tensor) -> None:
    _check(coords.dim() == 2, f"coords must be [N, D], got {tuple(coords.shape)}")
    _check(1 <= coords.shape[1] <= 4, f"coords must have 1 to 4 dimensions, got {coords.shape[1]}")
    _check(table.dim() == 2, f"table must be [P, F], got {tuple(table.shape)}")
    _check(
        table.shape[1] in (1, 2, 4, 8),
        f"table must have 1, 2, 4 or 8 features, got {table.shape[1]}",
    )
    _check_alike(coords, table, "coords", "table")


def _check_alike(a: Tensor, b: Tensor, a_name: str, b_name: str) -> None:
    _check(
        a.dtype in (torch.float32, torch.float64),
        f"{a_name} must be float32 or float64, got {a.dtype}",
    )
    _check(a.dtype == b.dtype, f"{a_name} is {a.dtype} but {b_name} is {b.dtype}; convert one")
    _check(a.device == b.device, f"{a_name} is on {a.device} but {b_name} on {b.device}; move one")


def _check_grid(coords: Tensor, table: Tensor, spec: GridSpec) -> None:
    _check_coords(coords, table)
    _check(1 <= spec.num_levels <= 32, f"num_levels must be 1 to 32, got {spec.num_levels}")
    rows = sum(spec.rows(coords.shape[1]))
    _check(table.shape[0] == rows, f"table must have {rows} rows, got {table.shape[0]}")


def _check_params(params: Tensor, inputs: int, spec: MlpSpec) -> None:
    size = spec.num_params(inputs)
    _check(params.shape == (size,), f"params must be [{size}], got {tuple(params.shape)}")


# ---- hash grid


def hash_grid(coords: Tensor, table: Tensor, spec: GridSpec) -> Tensor:
    """Features of a multiresolution hash grid.

    Args:
        coords: [N, D] in [0, 1], D 1 to 4; clamped to it.
        table: [P, F], the levels one behind the other (`spec.rows`), F 1, 2, 4 or 8.
        spec: the geometry.

    Returns:
        [N, num_levels * F], level major.

    Differentiable twice in coords and table. Linear interpolation has no second derivative along
    one axis and a jump of the first at cell faces; smoothstep has both.
    Raises ValueError on shapes, dtypes or devices that do not fit.
    Mueller et al. 2022, section 3.
    """
    _check_grid(coords, table, spec)
    return _ops.hash_grid(coords.contiguous(), table.contiguous(), *astuple(spec))


def hash_grid_with_grad(coords: Tensor, table: Tensor, spec: GridSpec) -> tuple[Tensor, Tensor]:
    """As hash_grid, and the derivative of each feature by the coordinates.

    Returns:
        features [N, num_levels * F] and jacobian [N, num_levels * F, D].

    Differentiable once in coords and table: losses on normals need no double backward.
    """
    _check_grid(coords, table, spec)
    return _ops.hash_grid_with_grad(coords.contiguous(), table.contiguous(), *astuple(spec))


# ---- MLP


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
    _check(x.dim() == 2, f"x must be [N, inputs], got {tuple(x.shape)}")
    _check_alike(x, params, "x", "params")
    _check_params(params, x.shape[1], spec)
    return _ops.mlp(x.contiguous(), params.contiguous(), *spec._args())


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
    _check_grid(coords, table, grid)
    _check_alike(table, params, "table", "params")
    _check_params(params, grid.num_levels * table.shape[1], mlp)
    return _ops.grid_mlp(
        coords.contiguous(),
        table.contiguous(),
        params.contiguous(),
        *astuple(grid),
        *mlp._args(),
        cancel,
    )


# ---- training


def step_workspace(table: Tensor, dim: int, grid: GridSpec) -> Tensor:
    """Zeroed scratch for grid_mlp_step, to be kept between steps: one slot a thread.

    A slot holds the gradient of the largest level and one flag for each 16 numbers of it.
    """
    largest = max(grid.rows(dim)) * table.shape[1]
    if table.device.type == "cpu":
        shape = (torch.get_num_threads(), largest + largest // 64 + 32)
    else:
        shape = (1, table.numel() + table.numel() // 64 + 32)
    return torch.zeros(shape, dtype=torch.float32, device=table.device)


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
        loss: "l2" or "l1", the mean over samples and channels.
        weight_decay: L2 on the MLP alone, added to its gradient.
        touched_only: numbers of the table whose gradient is exactly zero keep their value and
            moments (tiny-cuda-nn's rule); otherwise Adam is torch's, on every number.

    Returns:
        loss [1] before the update.

    Not differentiable; the tensors of `table` and `params` must be contiguous float32.
    """
    return _ops.grid_mlp_step(
        coords,
        targets,
        *table,
        *params,
        workspace,
        *astuple(grid),
        *mlp._args(),
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
    return _ops.sample_pixels(pixels, count, seed, step)


def fma_peak(seconds: float = 0.2, precision: str = "float32") -> float:
    """Multiply-adds a second of all threads together, measured: what kernels are compared with."""
    return _ops.fma_peak(seconds, PRECISIONS[precision])


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


@torch.library.register_fake("fields::grid_mlp_step")
def _(coords, *_):
    return coords.new_empty(1)


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
            outer = grad.unsqueeze(-1) * v_coords.unsqueeze(1)
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


def _first_order(name: str):
    def setup(ctx, inputs, output):
        pass

    def backward(ctx, *grads):
        raise NotImplementedError(
            f"{name} has no second derivative; use hash_grid with a torch MLP, or "
            "hash_grid_with_grad"
        )

    torch.library.register_autograd(f"fields::{name}", backward, setup_context=setup)


def _save_mlp(ctx, inputs, output):
    x, params, *spec = inputs
    ctx.save_for_backward(x, params)
    ctx.spec = spec


def _mlp_backward(ctx, grad):
    x, params = ctx.saved_tensors
    grad_x, grad_params = _ops.mlp_backward(grad.contiguous(), x, params, *ctx.spec)
    return grad_x, grad_params, *[None] * 7


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
    return grad_coords if need_coords else None, grad_table, grad_params, *[None] * 13


for _name, _backward, _setup in (
    ("hash_grid", _hash_grid_backward, _save_grid),
    ("hash_grid_with_grad", _hash_grid_with_grad_backward, _save_grid),
    ("hash_grid_backward", _hash_grid_double_backward, _save_grid_backward),
    ("mlp", _mlp_backward, _save_mlp),
    ("grid_mlp", _grid_mlp_backward, _save_grid_mlp),
):
    torch.library.register_autograd(f"fields::{_name}", _backward, setup_context=_setup)
for _name in ("hash_grid_with_grad_backward", "mlp_backward", "grid_mlp_backward"):
    _first_order(_name)
