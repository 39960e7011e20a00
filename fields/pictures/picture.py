"""What a picture is once it has been read: an array and the few facts that go with it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

DTYPES = (np.uint8, np.uint16, np.float16, np.float32)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory, upright, in the colour encoding that its file stores.

    Args:
        pixels: [H, W, C] uint8, uint16, float16 or float32, C-contiguous; row 0 is the top. C is 1
            (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA). Alpha is straight, not premultiplied.
            Integers use their whole range; floats are what the file holds, are finite, and may
            be negative or larger than 1.
        name: what the file is called, without folder and suffix; printable.
        format: the format it came from: png, jpeg, webp, tiff, bmp, gif, exr or hdr.
        icc: the ICC profile that says what the values mean, or None (then sRGB is meant for
            integers, linear light for floats).
    """

    pixels: np.ndarray
    name: str
    format: str
    icc: bytes | None = None

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def channels(self) -> int:
        return self.pixels.shape[2]

    @property
    def has_alpha(self) -> bool:
        """The last channel is opacity."""
        return self.channels in (2, 4)

    @property
    def is_hdr(self) -> bool:
        """The values are floats: light, without a fixed white."""
        return self.pixels.dtype.kind == "f"

    @property
    def bit_depth(self) -> int:
        """Bits of a stored value: 8 or 16 (integers), 16 or 32 (floats, see `is_hdr`)."""
        return 8 * self.pixels.dtype.itemsize


def described(shape: tuple[int, ...], dtype: np.dtype) -> str:
    """What pixels [H, W, C] are, in words: 640 x 480, RGB, 8 bit."""
    height, width, channels = shape
    kind = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}[channels]
    float_ = " float" if dtype.kind == "f" else ""
    return f"{width} x {height}, {kind}, {8 * dtype.itemsize} bit{float_}"


class Decoded(NamedTuple):
    """What a format's reader hands back, as stored: not yet turned upright, not yet checked."""

    pixels: np.ndarray
    icc: bytes | None = None
    orientation: int = 1


class Unreadable(Exception):
    """Why a file cannot be read: a clause that goes after the file's name in a message."""


class Unknown(Unreadable):
    """The file is of no kind that is known; the clause ends in those that are."""
