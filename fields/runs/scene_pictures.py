"""What a camera sees of a scene, as pictures that one can read."""

from __future__ import annotations

import numpy as np

SEEN = 0.5  # opacity from which on there is a surface
LARGEST_ERROR = 0.25  # of a pixel, in [0, 1]: the brightest colour of an error picture
_GAP = 4  # pixels between pictures that stand side by side
_FARTHEST = 0.15  # how bright it is; nothing is black
_OUTSIDE = 0.35  # grey of pixels that do not count
Span = tuple[float, float]


def as_bytes(values: np.ndarray) -> np.ndarray:
    """Floats in [0, 1], clamped, as uint8."""
    return (values * 255).round().clip(0, 255).astype(np.uint8)


def span_of(depths: list[np.ndarray]) -> Span:
    """The nearest and the farthest of some depths, but for outliers; 0 is nothing."""
    seen = np.concatenate([depth[depth > 0] for depth in depths])
    if not len(seen):
        return 0.0, 1.0
    near, far = np.percentile(seen, (0.5, 99.5))
    return float(near), float(far)


def depth_picture(depth: np.ndarray, span: Span | None = None) -> np.ndarray:
    """[H, W] -> grey [H, W, 3] in [0, 1]: near is white, far is dark, nothing is black.

    `span`: depths that are white and dark; by default the nearest and farthest of the picture.
    """
    near, far = span or span_of([depth])
    share = np.clip((depth - near) / max(far - near, 1e-9), 0, 1)
    grey = np.where(depth > 0, 1 - (1 - _FARTHEST) * share, 0)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.float32)


def normals_picture(normals: np.ndarray) -> np.ndarray:
    """[H, W, 3] in axes of the source -> x, y, z as red, green, blue; nothing is white."""
    nothing = ~normals.any(axis=2, keepdims=True)
    return np.where(nothing, 1.0, 0.5 + 0.5 * normals).astype(np.float32)


def picture_of(values: np.ndarray, shading: str, span: Span | None = None) -> np.ndarray:
    """The numbers of a shading as [H, W, 3] uint8; `span` as `depth_picture` takes it."""
    if shading == "depth":
        values = depth_picture(values, span)
    elif shading == "normals":
        values = normals_picture(values)
    elif shading == "opacity":
        values = np.repeat(values[..., None], 3, axis=2)
    return as_bytes(values)


def error_picture(
    drawn: np.ndarray, photo: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """The mean difference of channels, from black (none) by violet and orange to yellow
    (LARGEST_ERROR and more); of every picture alike. Grey is what a mask leaves out."""
    from matplotlib import colormaps

    error = np.abs(drawn - photo).mean(axis=2)
    picture = colormaps["inferno"](np.clip(error / LARGEST_ERROR, 0, 1))[..., :3]
    if mask is not None:
        picture[~mask] = _OUTSIDE
    return picture.astype(np.float32)


def side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures [H, W, 3] uint8 of one height, from left to right."""
    gap = np.full((pictures[0].shape[0], _GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return np.concatenate(parts[1:], axis=1)
