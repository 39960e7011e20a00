"""From what a user names to a signal: pictures now, shapes likewise."""

import os

import numpy as np
import torch
from torch import Tensor

from fields.errors import FieldsError
from fields.pictures import SAMPLES, Picture, read_picture
from fields.pictures.picture import DTYPES
from fields.request import Request
from fields.signals.downscale import downscale
from fields.signals.picture import PictureSignal
from fields.signals.signal import Signal

Source = str | os.PathLike | np.ndarray | Tensor | Picture
Thing = Picture


def read(source: Source) -> tuple[Thing, str]:
    """What is to be fitted, and how metrics.json names it: a sample, a path, or "array"."""
    if isinstance(source, Picture):
        return source, "array"
    if isinstance(source, (np.ndarray, Tensor)):
        pixels = source.detach().cpu().numpy() if isinstance(source, Tensor) else source
        return _from_array(pixels), "array"
    return read_picture(source), source_name(source)


def signal_of(thing: Thing, request: Request, device: torch.device) -> Signal:
    """The signal of a thing that was read, as the request wants it."""
    return PictureSignal(downscale(thing, request.downscale), device, request.downscale)


def source_name(source: str | os.PathLike) -> str:
    """A source's file, absolute, or the name of a sample."""
    text = os.fsdecode(source)
    is_sample = text in SAMPLES and not os.path.lexists(text)
    return text if is_sample else os.path.abspath(text)


def _from_array(pixels: np.ndarray) -> Picture:
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or pixels.size == 0:
        raise FieldsError(f"pixels must be [H, W] or [H, W, 1 to 4], got {list(pixels.shape)}")
    if pixels.dtype not in DTYPES:
        raise FieldsError(f"pixels must be uint8, uint16 or floats, got {pixels.dtype}")
    if not np.isfinite(pixels).all():
        raise FieldsError("pixels hold NaN or infinite values")
    return Picture(np.ascontiguousarray(pixels), "array", "array")
