"""The spectrum that FreSh compares: how much of a signal lies at each number of cycles.

Of a signal y with D axes and C channels:

    A(k) = sum over channels of |FFT(y)(k)|        k: cycles along each axis; no window
    S(d) = sum of A(k) over k_1 + ... + k_D = d    all k_i >= 0, d = 1 ... bins

The mean, d = 0, is left out. Frequencies with coordinates of unlike signs are not seen: a wave
cos(2 pi (20 x - 20 y)) leaves nothing. That is the published form; `quadrants="both"` sums A over
|k_1| + ... + |k_D| = d, each wave once, and sees every direction.
"""

import math

import torch
from torch import Tensor

from fields.fresh.options import QUADRANTS

PUBLISHED_SIDE = 1024  # of the square that a picture is resized to, at most
# What the bins hold is rounding where it is less than this share of the largest value at every
# point: the signal is constant, or has only finer waves.
_LEAST_SHARE = 1e-5

# By the number of axes: bins that are enough for a picture would take a cube too many samples.
_MOST_SIDE = {1: 65536, 2: PUBLISHED_SIDE, 3: 128, 4: 32}
_MOST_BINS = {1: 64, 2: 64, 3: 32, 4: 8}


def side_of(shape: tuple[int, ...]) -> int:
    """The side of the square, or cube, that a grid of that shape is resized to."""
    return min(*shape, _MOST_SIDE[len(shape)])


def default_bins(shape: tuple[int, ...]) -> int:
    """min(64, side // 2) for pictures, as published; above side // 2 waves fold over."""
    return min(_MOST_BINS[len(shape)], side_of(shape) // 2)


def squared(signal: Tensor) -> Tensor:
    """A signal [..., C] of 1 to 4 axes, any numbers, resized to [side, ..., side, C] float32.

    Linear, with a filter as wide as what is left out (antialiased). One axis after the other, the
    last one first and that in parts, so that a large picture is never held in floats as a whole.
    """
    side = side_of(tuple(signal.shape[:-1]))
    axes = signal.ndim - 1
    rows = max(1, (1 << 22) // max(math.prod(signal.shape[1:]), 1))
    if axes > 1:
        signal = torch.cat([_resized(part, axes - 1, side) for part in signal.split(rows)])
    for axis in reversed(range(max(axes - 1, 1))):
        signal = _resized(signal, axis, side)
    return signal


def _resized(signal: Tensor, axis: int, side: int) -> Tensor:
    lines = signal.float().movedim(axis, -1)
    if lines.shape[-1] == side:
        return signal.float()
    # Of uneven sizes only the last is resized.
    rows = lines.reshape(1, 1, -1, lines.shape[-1])
    new = torch.nn.functional.interpolate(
        rows, size=(rows.shape[2], side), mode="bilinear", antialias=True
    )
    return new.reshape(*lines.shape[:-1], side).movedim(-1, axis)


def spectrum(signal: Tensor, bins: int, quadrants: str = "one") -> Tensor | None:
    """S(1) ... S(bins) of a signal sampled on an even grid, as shares that add up to one.

    Args:
        signal: [..., C], 1 to 4 axes and the channels; all axes at least 2 * bins long, else waves
            fold over. Its scale and offset do not matter.
        bins: how many, from 1 cycle up.
        quadrants: "one" (published) or "both".

    Returns [bins] float64 on the CPU; None where the signal is constant, or has no wave among the
    bins. Not differentiable. FreSh, arXiv 2410.05050; the anti-diagonal sum is its authors'.
    """
    assert quadrants in QUADRANTS
    grid = tuple(signal.shape[:-1])
    assert min(grid) >= 2 * bins, (grid, bins)
    channels = signal.movedim(-1, 0).double().contiguous()
    # Of a real signal the waves k and -k are alike: those with a last coordinate >= 0 are enough.
    waves = torch.fft.rfftn(channels, dim=tuple(range(1, len(grid) + 1)))
    last = torch.arange(bins + 1)
    others = last if quadrants == "one" else torch.arange(-bins, bins + 1)
    order = torch.zeros((), dtype=torch.int64)
    for axis, length in enumerate(grid):
        cycles = last if axis == len(grid) - 1 else others
        waves = waves.index_select(axis + 1, (cycles % length).to(waves.device))
        order = order.unsqueeze(-1) + cycles.abs()
    amplitude = waves.abs().sum(0).cpu()
    if quadrants == "both":
        amplitude[..., 0] /= 2  # here k and -k are both there
    sums = torch.bincount(order.flatten(), amplitude.flatten())[1 : bins + 1]
    mass = sums.sum().item()
    least = _LEAST_SHARE * math.prod(grid) * channels.flatten(1).abs().amax(1).sum().item()
    return sums / mass if math.isfinite(mass) and mass > least else None
