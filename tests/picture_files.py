"""Files of pictures, made for the tests of reading."""

import struct
import zlib

import numpy as np
from numpy.typing import DTypeLike

from fields.pictures import read_picture


def noise(height, width, channels, dtype: DTypeLike = np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "u":
        return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, channels)).astype(dtype)
    return rng.normal(size=(height, width, channels)).astype(dtype)


def png(width, height, bits, colour, rows, extra=(), interlace=0):
    """A PNG file of unfiltered rows (bytes each), with (type, body) chunks before the pixels."""

    def chunk(kind, body):
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunk(*pair) for pair in extra)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def read_bytes(tmp_path, data, name="p"):
    (tmp_path / name).write_bytes(data)
    return read_picture(tmp_path / name)
