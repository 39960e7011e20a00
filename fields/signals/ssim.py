"""Structural similarity of two pictures, band by band.

The same numbers as torchmetrics' (tests/test_picture_signal.py), at a tenth of its time and without
the second that its import takes: the Gaussian window is applied along one axis after the other.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

RADIUS = 5  # of the 11 x 11 window with sigma 1.5
SIGMA = 1.5
BAND_VALUES = 1 << 17  # float32 values of a band: what is made of them stays in the L2 cache

Rows = Callable[[int, int], Tensor]


def ssim(a: Rows, b: Rows, height: int, width: int, channels: int) -> float | None:
    """Mean structural similarity, from -1 to 1, over all pixels and channels.

    Args:
        a, b: give rows [start, end) of a picture as float32 [end - start, width, channels] in
            [0, 1].
        height, width, channels: of both pictures.

    Returns None for a picture of less than 6 pixels along an axis, where the window has no sense.
    Borders are mirrored. Wang et al. 2004, eq. 13, with K1 = 0.01, K2 = 0.03.
    """
    if min(height, width) <= RADIUS:
        return None
    rows = max(BAND_VALUES // (width * channels), 4 * RADIUS)
    total = 0.0
    for start in range(0, height, rows):
        end = min(start + rows, height)
        total += _band(a, b, start, end, height).double().sum().item()
    return total / (height * width * channels)


def _band(a: Rows, b: Rows, start: int, end: int, height: int) -> Tensor:
    """The similarity at each pixel of rows [start, end): [channels, 1, rows, width]."""
    top, bottom = max(start - RADIUS, 0), min(end + RADIUS, height)
    x = a(top, bottom).permute(2, 0, 1).unsqueeze(1)
    y = b(top, bottom).permute(2, 0, 1).unsqueeze(1)
    missing = (RADIUS - (start - top), RADIUS - (bottom - end))
    means = _window(torch.cat([x, y, x * x, y * y, x * y]), missing, end - start)
    mean_x, mean_y, xx, yy, xy = means.chunk(5)
    variances = (xx - mean_x * mean_x).clamp(min=0) + (yy - mean_y * mean_y).clamp(min=0)
    covariance = xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    structure = (2 * covariance + c2) / (variances + c2)
    return structure * (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)


def _window(values: Tensor, missing: tuple[int, int], rows: int) -> Tensor:
    """Gaussian means: [N, 1, R, W] -> [N, 1, rows, W], `missing` rows mirrored above and below."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=values.dtype)
    weights = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    weights = (weights / weights.sum()).tolist()
    padded = functional.pad(values, (RADIUS, RADIUS, *missing), mode="reflect")
    width = values.shape[3]
    down = torch.stack([w * padded[:, :, i : i + rows] for i, w in enumerate(weights)]).sum(0)
    return torch.stack([w * down[..., i : i + width] for i, w in enumerate(weights)]).sum(0)
