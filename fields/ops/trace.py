"""Rays walked to the surface of a distance field on a hash grid, each kind of field in one op."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, cancel_flag, check, in_range, shape
from fields.ops.hash_grid import check_grid
from fields.ops.rbf import RbfSpec
from fields.ops.specs import GridSpec, MlpSpec

extension.load()
_ops = torch.ops.fields

SQUARE = 8  # columns and rows of the squares in which the rays of a picture go


@dataclass(frozen=True)
class TraceSpec:
    """How rays are walked (csrc/maths/trace.h); lengths are those of the unit cube.

    Attributes:
        bound: the largest slope of the field: a step is value / bound.
        least: the shortest step.
        near: values at which a ray has arrived.
        level: the value that stands for the surface; values below it are inside.
        back: how far in front of the surface its normals are taken.
        offset: half the distance between the points of the difference quotients that normals are
            made of; 0: no normals.
        most: values asked for along a ray before it is given up.
    """

    bound: float = 1.1
    least: float = 1e-3
    near: float = 2e-4
    level: float = 0.0
    back: float = 0.0
    offset: float = 1.0 / 400
    most: int = 192

    def __post_init__(self):
        in_range("bound", self.bound, 1e-6, 1e6)
        in_range("least", self.least, 1e-6, 1e6)
        in_range("near", self.near, 0.0, 1e6)
        in_range("level", self.level, -1e6, 1e6)
        in_range("back", self.back, 0.0, 1e6)
        in_range("offset", self.offset, 0.0, 1e6)
        in_range("most", self.most, 1, 2**30)

    def args(self) -> tuple:
        """As the ops take it."""
        return (
            self.bound,
            self.least,
            self.near,
            self.level,
            self.back,
            self.offset,
            self.most,
        )


def trace_grid_mlp(
    origins: Tensor,
    directions: Tensor,
    table: Tensor,
    params: Tensor,
    grid: GridSpec,
    mlp: MlpSpec,
    trace: TraceSpec,
    *,
    box: Tensor | None = None,
    width: int | None = None,
    cancel: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Where rays meet the surface of a distance that a hash grid and an MLP store, in one op.

    A ray goes from where it enters the box by steps of value / bound, at least `least` long, until
    a value is no more than `near`; where the sign changes, the surface is narrowed down between
    both places. Only rays and results touch memory.

    Args:
        origins: [R, 3] float32, or [1, 3] where all begin at one place.
        directions: [R, 3] float32, of unit length.
        table, params: the grid's [P, F] and the flat vector of the MLP, of one channel.
        grid, mlp: their shapes.
        trace: the steps.
        box: [2, 3] corners within which there may be a surface; by default those of the cube.
        width: R is a picture of so many columns, whose rays go in squares of 8 x 8. Before them a
            cone around each square finds out how far their way is free, in which `bound` is
            trusted beside the rays too.
        cancel: uint8 [1] on the CPU; once another thread sets it, RuntimeError("cancelled") is
            raised.

    Returns:
        t [R], the distance to the surface, infinite where there is none, and unit normals [R, 3],
        zero there; [0, 3] without an offset.

    Not differentiable. The same bits for any number of threads.
    Hart 1996, "Sphere Tracing".
    """
    tensors = (origins, directions, table, params)
    return _traced(_ops.trace_grid_mlp, *tensors, grid, mlp, trace, box, width, cancel)


def trace_grid_rbf(
    origins: Tensor,
    directions: Tensor,
    table: Tensor,
    params: Tensor,
    grid: GridSpec,
    rbf: RbfSpec,
    trace: TraceSpec,
    *,
    box: Tensor | None = None,
    width: int | None = None,
    cancel: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As trace_grid_mlp, with Gaussian kernels for the MLP."""
    tensors = (origins, directions, table, params)
    return _traced(_ops.trace_grid_rbf, *tensors, grid, rbf, trace, box, width, cancel)


def _traced(
    op: Callable[..., tuple[Tensor, Tensor]],
    origins: Tensor,
    directions: Tensor,
    table: Tensor,
    params: Tensor,
    grid: GridSpec,
    decoder: MlpSpec | RbfSpec,
    trace: TraceSpec,
    box: Tensor | None,
    width: int | None,
    cancel: Tensor | None,
) -> tuple[Tensor, Tensor]:
    inputs = grid.num_levels * (table.shape[1] if table.dim() == 2 else 0)
    check(decoder.channels == 1, f"a field that is traced has 1 channel, not {decoder.channels}")
    corners = _checked(origins, directions, table, params, grid, box, width, cancel)
    shape("params", params, (decoder.num_params(inputs),))
    return op(
        origins.contiguous(),
        directions.contiguous(),
        table.detach().contiguous(),
        params.detach().contiguous(),
        corners,
        *trace.args(),
        *grid.args(),
        *decoder.args(),
        width or 0,
        cancel,
    )


def _checked(
    origins: Tensor,
    directions: Tensor,
    table: Tensor,
    params: Tensor,
    grid: GridSpec,
    box: Tensor | None,
    width: int | None,
    cancel: Tensor | None,
) -> Tensor:
    """What both ops check; returns the corners of the box."""
    count = directions.shape[0] if directions.dim() else 0
    shape("directions", directions, (count, 3))
    check(
        origins.shape in ((count, 3), (1, 3)),
        f"origins must be [{count}, 3] or [1, 3], got {tuple(origins.shape)}",
    )
    check(origins.dtype == torch.float32, f"origins must be float32, got {origins.dtype}")
    alike("origins", origins, "directions", directions)
    check_grid(directions, table, grid)
    alike("table", table, "params", params)
    if width is not None:
        in_range("width", width, 1, 2**31)
        check(count % width == 0, f"{count} rays do not make rows of {width}")
    cancel_flag(cancel)
    if box is None:
        return torch.tensor([[0.0] * 3, [1.0] * 3])
    shape("box", box, (2, 3))
    return box.detach().to("cpu", torch.float32).contiguous()


# ---- shapes without data


def _fake(origins, directions, table, params, box, *args):
    rays = directions.shape[0]
    with_normals = args[5] > 0  # the offset
    return directions.new_empty(rays), directions.new_empty(rays if with_normals else 0, 3)


for _name in ("trace_grid_mlp", "trace_grid_rbf"):
    torch.library.register_fake(f"fields::{_name}", _fake)
