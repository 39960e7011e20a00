"""Fourier features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, check, real

extension.load()
_ops = torch.ops.fields


def fourier(coords: Tensor, frequencies: Tensor) -> Tensor:
    """cos and sin of 2 pi b x for each frequency b (Tancik et al. 2020, eq. 5).

    Args:
        coords: x, [N, D].
        frequencies: b, [M, D], in cycles a unit; |b x| below 2^22.

    Returns:
        [N, 2 M]: the cosines, then the sines.

    Differentiable in coords, any number of times; not in frequencies.
    """
    check(coords.dim() == 2, f"coords must be [N, D], got {tuple(coords.shape)}")
    check(
        frequencies.dim() == 2 and frequencies.shape[1] == coords.shape[1],
        f"frequencies must be [M, {coords.shape[1]}], got {tuple(frequencies.shape)}",
    )
    real("coords", coords)
    alike("coords", coords, "frequencies", frequencies)
    return _ops.fourier(coords.contiguous(), frequencies.detach().contiguous())


@torch.library.register_fake("fields::fourier")
def _(coords, frequencies):
    return coords.new_empty(coords.shape[0], 2 * frequencies.shape[0])


def _save(ctx, inputs, output):
    _, frequencies = inputs
    ctx.save_for_backward(frequencies, output)


def _backward(ctx, grad):
    frequencies, output = ctx.saved_tensors
    cosine, sine = output.chunk(2, 1)
    by_cosine, by_sine = grad.chunk(2, 1)
    return (2 * math.pi) * ((by_sine * cosine - by_cosine * sine) @ frequencies), None


torch.library.register_autograd("fields::fourier", _backward, setup_context=_save)
