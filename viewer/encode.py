"""Pictures as the bytes that a browser shows."""

from __future__ import annotations

from typing import Any

import numpy as np

JPEG, PNG = 0, 1  # as headers name them
QUALITY = 75  # of JPEG, of frames in motion


def jpeg(pixels: np.ndarray, quality: int = QUALITY) -> bytes:
    """[H, W, 3] uint8; 2 ms for 800 x 800."""
    import imagecodecs

    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(pixels), level=quality))


def png(pixels: np.ndarray) -> bytes:
    """[H, W, 3] uint8, lossless; level 1 and one filter for every row, which is 20 ms for 800 x 800
    where trying all filters takes 32."""
    import imagecodecs

    filter_of_rows = imagecodecs.PNG.FILTER.SUB
    return bytes(
        imagecodecs.png_encode(np.ascontiguousarray(pixels), level=1, filter=filter_of_rows)
    )


def as_rgb(pixels: Any) -> np.ndarray:
    """What a render function returned, as [H, W, 3] uint8.

    Takes uint8, or floats in [0, 1], [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], the last before
    white; arrays and tensors. Raises ValueError, in one line, for anything else.
    """
    if hasattr(pixels, "detach"):
        pixels = pixels.detach().cpu().numpy()
    array = np.asarray(pixels)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        shape = list(np.shape(pixels))
        raise ValueError(f"render must return a picture [height, width, 3], got {shape}")
    if array.dtype.kind == "f":
        array = (np.nan_to_num(array) * 255).round().clip(0, 255).astype(np.uint8)
    if array.dtype == np.uint16:
        array = (array // 257).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(f"render must return uint8, or floats from 0 to 1, got {array.dtype}")
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    if array.shape[2] == 4:
        alpha = array[..., 3:].astype(np.float32) / 255
        return (array[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    return array
