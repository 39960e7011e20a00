"""Packed samples to the colour of rays, by emission and absorption."""

from __future__ import annotations

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, check, real, shape
from fields.ops.derivatives import first_order

extension.load()
_ops = torch.ops.fields


def composite(
    sigma: Tensor, colour: Tensor, t: Tensor, dt: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Integrate colour along rays by the emission-absorption model.

    Args:
        sigma: [N] density, >= 0, over a unit of t.
        colour: [N, C], or whatever else is to be added up along rays.
        t: [N] place of each sample along its ray.
        dt: [N] length that it stands for.
        offsets: [R + 1] int64: samples of ray r are those from offsets[r] to offsets[r + 1], front
            to back, as march_rays gives them.

    Returns:
        colour [R, C], opacity [R], depth [R] (the sum of weights times t; over the opacity it is
        the mean depth of what is seen) and weights [N]. What lies behind shows with 1 - opacity.

    Differentiable once in sigma and colour; not in t and dt.
    Mildenhall et al. 2020, eq. 3.
    """
    count = sigma.shape[0] if sigma.dim() else 0
    for name, tensor in (("sigma", sigma), ("t", t), ("dt", dt)):
        shape(name, tensor, (count,))
        alike(name, tensor, "sigma", sigma)
    real("sigma", sigma)
    check(
        colour.dim() == 2 and colour.shape[0] == count,
        f"colour must be [{count}, C], got {tuple(colour.shape)}",
    )
    alike("colour", colour, "sigma", sigma)
    check(
        offsets.dim() == 1 and offsets.dtype == torch.int64 and offsets.shape[0] >= 1,
        f"offsets must be [R + 1] int64, got {tuple(offsets.shape)} {offsets.dtype}",
    )
    check(offsets.device == sigma.device, f"offsets are on {offsets.device}, not {sigma.device}")
    return _ops.composite(
        sigma.contiguous(),
        colour.contiguous(),
        t.detach().contiguous(),
        dt.detach().contiguous(),
        offsets.contiguous(),
    )


# ---- shapes without data


@torch.library.register_fake("fields::composite")
def _(sigma, colour, t, dt, offsets):
    rays = offsets.shape[0] - 1
    return (
        colour.new_empty(rays, colour.shape[1]),
        sigma.new_empty(rays),
        sigma.new_empty(rays),
        sigma.new_empty(sigma.shape),
    )


@torch.library.register_fake("fields::composite_backward")
def _(grad_colour, grad_opacity, grad_depth, grad_weights, sigma, colour, *_):
    return sigma.new_empty(sigma.shape), colour.new_empty(colour.shape)


# ---- derivatives


def _save(ctx, inputs, output):
    ctx.save_for_backward(*inputs, output[3])


def _backward(ctx, *grads):
    grads = [grad.contiguous() for grad in grads]
    grad_sigma, grad_colour = _ops.composite_backward(*grads, *ctx.saved_tensors)
    return grad_sigma, grad_colour, None, None, None


torch.library.register_autograd("fields::composite", _backward, setup_context=_save)
first_order("composite_backward", "a sum of products in plain torch")
