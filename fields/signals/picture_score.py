"""How well drawn pixels match a picture: PSNR and SSIM, as metrics.json has them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields.errors import FieldsError
from fields.pictures import Picture, PictureScore
from fields.pictures.picture import described
from fields.pictures.tone import display_curve
from fields.signals.ssim import ssim

MOST_PSNR = 200.0  # where nothing differs: JSON has no infinity


def score(picture: Picture, pixels: np.ndarray) -> dict[str, Any]:
    """`psnr` in dB (at most MOST_PSNR) and `ssim` (None for less than 6 pixels a side).

    Args:
        picture: the original.
        pixels: [H, W, C] of its dtype. PSNR is PictureScore's; SSIM is over all channels, of floats
            through the same display curve.

    Raises FieldsError if the pictures are not of one shape and dtype.
    """
    original = picture.pixels
    if pixels.shape != original.shape or pixels.dtype != original.dtype:
        ours, theirs = (described(p.shape, p.dtype) for p in (pixels, original))
        raise FieldsError(
            f"{picture.name} is {theirs}, but the field draws {ours}; name a picture of that size"
            " and kind, or none for the one that was fitted"
        )
    difference = PictureScore(picture)
    difference.add(0, pixels)
    similarity = ssim(_rows(picture, pixels), _rows(picture, original), *original.shape)
    return {
        "psnr": round(min(difference.psnr, MOST_PSNR), 4),
        "ssim": None if similarity is None else round(similarity, 5),
    }


def _rows(picture: Picture, pixels: np.ndarray) -> Callable[[int, int], Tensor]:
    """Gives rows of pixels as float32 in [0, 1]."""
    curve = display_curve(picture.pixels) if picture.is_hdr else None
    colours = picture.channels - picture.has_alpha

    def rows(start: int, end: int) -> Tensor:
        band = pixels[start:end]
        if curve is None:
            return torch.from_numpy(band / np.float32(np.iinfo(band.dtype).max))
        shown = np.clip(band.astype(np.float32), 0, 1)
        shown[..., :colours] = curve.encode(band[..., :colours])
        return torch.from_numpy(shown)

    return rows
