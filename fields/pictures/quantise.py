"""Values brought to the integers that a file stores: clamped and rounded."""

import numpy as np

_BAND_VALUES = 1 << 20


def quantise(pixels: np.ndarray, bit_depth: int) -> np.ndarray:
    """[H, W, C] floats, or integers of another depth -> uint8 (`bit_depth` 8) or uint16 (16).

    Floats are clamped to [0, 1] and rounded to the nearest of the integers, which divide that range
    evenly; integers are stretched. NaN becomes 0. What has that depth already is returned as it is.
    """
    dtype, top = (np.dtype(np.uint8), 255) if bit_depth == 8 else (np.dtype(np.uint16), 65535)
    if pixels.dtype == dtype:
        return pixels
    result = np.empty(pixels.shape, dtype)
    rows = max(1, _BAND_VALUES // max(1, pixels[:1].size))
    for at in range(0, len(pixels), rows):  # by bands: the floats in between take 4 bytes a value
        band = pixels[at : at + rows]
        if band.dtype.kind == "u":
            band = band / np.float32(np.iinfo(band.dtype).max)
        band = np.clip(band.astype(np.float32, copy=False), 0, 1)
        result[at : at + rows] = np.rint(np.nan_to_num(band, copy=False, nan=0) * np.float32(top))
    return result
