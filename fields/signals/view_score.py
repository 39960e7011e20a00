"""How well a drawn view matches a photo."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fields.signals.picture_score import MOST_PSNR
from fields.signals.ssim import ssim


def shown_over(colours: Tensor, opacity: Tensor, background: tuple[float, float, float]) -> Tensor:
    """[R, 3] in [0, 1]: colours that rays collected, in front of a background."""
    behind = colours.new_tensor(background)
    return (colours + (1 - opacity)[:, None] * behind).clamp(0, 1)


def view_psnr(drawn: np.ndarray, photo: np.ndarray, mask: np.ndarray | None = None) -> float | None:
    """PSNR in dB, at most MOST_PSNR, of [H, W, 3] floats in [0, 1] that are shown as bytes; of the
    pixels that a mask [H, W] keeps, None where there are none."""
    if mask is not None and not mask.any():
        return None
    difference = np.square((drawn - photo).astype(np.float64))
    error = float((difference if mask is None else difference[mask]).mean())
    return min(-10 * math.log10(max(error, 1e-20)), MOST_PSNR)


def view_ssim(drawn: np.ndarray, photo: np.ndarray) -> float | None:
    """Structural similarity of [H, W, 3] floats in [0, 1]; None below 6 pixels a side."""
    a, b = (torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in (drawn, photo))
    return ssim(lambda i, j: a[i:j], lambda i, j: b[i:j], *drawn.shape)


def depth_error(depth: np.ndarray, known: np.ndarray) -> float | None:
    """The mean distance between depths [H, W], where both are more than 0; None where none are."""
    both = (depth > 0) & (known > 0)
    return float(np.abs(depth - known)[both].mean()) if both.any() else None
