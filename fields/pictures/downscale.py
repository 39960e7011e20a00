"""A picture made smaller by a whole number, by area average."""

import dataclasses

import numpy as np

from fields.errors import FieldsError
from fields.pictures.picture import Picture
from fields.pictures.quantise import quantise


def downscale(picture: Picture, factor: int) -> Picture:
    """Each output pixel is the mean of `factor` x `factor` pixels, as stored.

    At the right and lower border it is the mean of those that are there. Colours are weighted by
    their alpha. Raises FieldsError for a factor below 1 or above the longer side.
    """
    longest = max(picture.width, picture.height)
    if not 1 <= factor <= longest:
        raise FieldsError(f"--downscale must be from 1 to {longest} here, got {factor}")
    if factor == 1:
        return picture
    pixels = picture.pixels
    height = -(-picture.height // factor)
    width = -(-picture.width // factor)
    result = np.empty((height, width, picture.channels), pixels.dtype)
    for row in range(height):
        block = pixels[row * factor : (row + 1) * factor].astype(np.float64)
        if pixels.dtype.kind == "u":
            block /= np.iinfo(pixels.dtype).max
        mean = _means(block, factor, picture.has_alpha)
        result[row] = _stored(mean[None], pixels.dtype)[0]
    return dataclasses.replace(picture, pixels=result)


def _means(block: np.ndarray, factor: int, has_alpha: bool) -> np.ndarray:
    """[rows, W, C] -> [ceil(W / factor), C]."""
    starts = np.arange(0, block.shape[1], factor)
    counts = np.diff(np.append(starts, block.shape[1])) * block.shape[0]
    if not has_alpha:
        return np.add.reduceat(block.sum(0), starts) / counts[:, None]
    alpha = np.add.reduceat(block[..., -1:].sum(0), starts)
    colours = np.add.reduceat((block[..., :-1] * block[..., -1:]).sum(0), starts)
    plain = np.add.reduceat(block[..., :-1].sum(0), starts) / counts[:, None]
    weighted = np.divide(colours, alpha, out=plain, where=alpha > 0)
    return np.concatenate([weighted, alpha / counts[:, None]], axis=1)


def _stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "u":
        return quantise(values, 8 * dtype.itemsize)
    return values.astype(dtype)
