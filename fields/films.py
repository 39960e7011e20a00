"""Writes pictures as a film."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.pictures.replacing import replacing

CRF = "18"  # H.264's quality: no loss that one sees


def write_film(
    path: str | os.PathLike, frames: Iterable[np.ndarray], size: tuple[int, int], fps: float
) -> None:
    """Write an MP4 (H.264, yuv420p), complete or not at all.

    Args:
        path: of the file.
        frames: [height, width, 3] uint8 each; drawn as they are written.
        size: (width, height) of all of them, even.
        fps: frames a second.

    Raises FieldsError, before a frame is drawn, for other sizes and where nothing can be written.
    """
    width, height = size
    if width % 2 or height % 2:
        raise FieldsError(f"{shown(path)}: sides must be even, got {width}x{height}")
    try:
        import av
    except ImportError:
        raise FieldsError("films need PyAV: pip install av") from None
    with replacing(Path(path)) as file, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": CRF}
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
