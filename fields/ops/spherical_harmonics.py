"""Spherical harmonics of directions."""

from __future__ import annotations

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import check, in_range, real
from fields.ops.derivatives import first_order

extension.load()
_ops = torch.ops.fields


def spherical_harmonics(directions: Tensor, degree: int) -> Tensor:
    """Real spherical harmonics, in the order and with the signs of instant-ngp.

    Args:
        directions: [N, 3], of unit length.
        degree: 1 to 4: the bands 0 to degree - 1.

    Returns:
        [N, degree^2].

    Differentiable once in directions, as polynomials in x, y and z: off the sphere too.
    """
    check(
        directions.dim() == 2 and directions.shape[1] == 3,
        f"directions must be [N, 3], got {tuple(directions.shape)}",
    )
    real("directions", directions)
    in_range("degree", degree, 1, 4)
    return _ops.spherical_harmonics(directions.contiguous(), degree)


@torch.library.register_fake("fields::spherical_harmonics")
def _(directions, degree):
    return directions.new_empty(directions.shape[0], degree**2)


@torch.library.register_fake("fields::spherical_harmonics_backward")
def _(grad, directions, degree):
    return directions.new_empty(directions.shape)


def _save(ctx, inputs, output):
    directions, ctx.degree = inputs
    ctx.save_for_backward(directions)


def _backward(ctx, grad):
    (directions,) = ctx.saved_tensors
    return _ops.spherical_harmonics_backward(grad.contiguous(), directions, ctx.degree), None


torch.library.register_autograd("fields::spherical_harmonics", _backward, setup_context=_save)
first_order("spherical_harmonics_backward", "polynomials in plain torch")
