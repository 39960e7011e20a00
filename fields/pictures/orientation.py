"""Turns a picture upright as its EXIF orientation says, once."""

import numpy as np


def from_exif(exif: bytes | None) -> int:
    """The orientation, 1 to 8, inside an EXIF block; 1 where there is none or it is broken."""
    if not exif:
        return 1
    from PIL import Image

    tags = Image.Exif()
    try:
        tags.load(exif)
        value = tags.get(0x0112, 1)
    except Exception:  # whatever is in there, the picture is still a picture
        return 1
    return value if value in range(1, 9) else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """[H, W, C] as stored -> [H or W, W or H, C] as seen, contiguous.

    Orientation, EXIF 2.32 table 6 (which side of the picture row 0 and column 0 of the file are):
    1 top left, 2 top right, 3 bottom right, 4 bottom left, 5 left top, 6 right top,
    7 right bottom, 8 left bottom.
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
