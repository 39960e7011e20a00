"""A picture made smaller by a whole number, by area average."""

import dataclasses

import numpy as np

from fields.errors import FieldsError
from fields.pictures.picture import Picture
from fields.pictures.quantise import quantise

_BAND_VALUES = 1 << 20


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
    rows = max(1, _BAND_VALUES // (factor * pixels[0].size))
    for row in range(0, height, rows):
        band = pixels[row * factor : (row + rows) * factor].astype(np.float64)
        result[row : row + rows] = _stored(_means(band, factor, picture.has_alpha), pixels.dtype)
    return dataclasses.replace(picture, pixels=result)


def _means(band: np.ndarray, factor: int, has_alpha: bool) -> np.ndarray:
    """[H, W, C] -> [ceil(H / factor), ceil(W / factor), C]."""
    counts = _sums(np.ones(band.shape[:2])[:, :, None], factor)
    if not has_alpha:
        return _sums(band, factor) / counts
    sums = _sums(np.concatenate([band, band[..., :-1] * band[..., -1:]], axis=2), factor)
    channels = band.shape[2] - 1
    plain, alpha, weighted = np.split(sums, [channels, channels + 1], axis=2)
    colours = np.divide(weighted, alpha, out=plain / counts, where=alpha > 0)
    return np.concatenate([colours, alpha / counts], axis=2)


def _sums(band: np.ndarray, factor: int) -> np.ndarray:
    """The sums of blocks; whole numbers are summed exactly."""
    for axis in (0, 1):
        band = band.swapaxes(0, axis)
        total = band[::factor].copy()
        for i in range(1, factor):
            part = band[i::factor]
            total[: len(part)] += part
        band = total.swapaxes(0, axis)
    return band


def _stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "u":
        return quantise(values / np.iinfo(dtype).max, 8 * dtype.itemsize)
    return values.astype(dtype)
