"""Width and height from a header, before anything is decoded: PNG, JPEG, WebP, BMP, GIF.

Each function takes a file at position 0 and returns (width, height) in pixels, as stored (not
turned upright). A file that ends too early raises Unreadable. TIFF, EXR and Radiance HDR have
theirs in `tiff.py`, `exr.py` and `radiance.py`.
"""

import struct
from typing import BinaryIO

from fields.pictures.picture import Unreadable

CUT_SHORT = "is cut short; copy or download it again"


def take(file: BinaryIO, count: int) -> bytes:
    """The next `count` bytes; Unreadable if the file ends before."""
    data = file.read(count)
    if len(data) < count:
        raise Unreadable(CUT_SHORT)
    return data


def png(file: BinaryIO) -> tuple[int, int]:
    """From IHDR, which must be the first chunk (PNG, third edition, section 11.2.1)."""
    start = take(file, 24)
    if start[12:16] != b"IHDR":
        raise Unreadable("is a broken PNG: it does not start with IHDR; save it again")
    width, height = struct.unpack(">II", start[16:24])
    return width, height


def jpeg(file: BinaryIO) -> tuple[int, int]:
    """From the start-of-frame marker, wherever it stands (ITU T.81, B.2.2)."""
    take(file, 2)
    while True:
        if take(file, 1) != b"\xff":
            raise Unreadable("is a broken JPEG: a marker is missing; save it again")
        while (code := take(file, 1)[0]) == 0xFF:  # padding
            pass
        if code in (0x00, 0x01) or 0xD0 <= code <= 0xD8:  # markers without a segment
            continue
        if code in (0xD9, 0xDA):
            raise Unreadable("is a broken JPEG: no size before its pixels; save it again")
        length = struct.unpack(">H", take(file, 2))[0]
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            _precision, height, width = struct.unpack(">BHH", take(file, 5))
            return width, height
        if length < 2:
            raise Unreadable("is a broken JPEG: a segment of negative length; save it again")
        file.seek(length - 2, 1)


def webp(file: BinaryIO) -> tuple[int, int]:
    """From the first chunk: VP8 (RFC 6386, 9.1), VP8L (RFC 9649, 3.4) or VP8X (RFC 9649, 2.7)."""
    start = take(file, 30)
    chunk, body = start[12:16], start[20:30]
    if chunk == b"VP8X":
        width = int.from_bytes(body[4:7], "little") + 1
        height = int.from_bytes(body[7:10], "little") + 1
    elif chunk == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        width = (bits & 0x3FFF) + 1
        height = (bits >> 14 & 0x3FFF) + 1
    elif chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (value & 0x3FFF for value in struct.unpack("<HH", body[6:10]))
    else:
        raise Unreadable("is a broken WebP: no picture in its first chunk; save it again")
    return width, height


def bmp(file: BinaryIO) -> tuple[int, int]:
    """From the header after byte 14; a negative height means that the top row comes first."""
    start = take(file, 26)
    if start[14] == 12:
        width, height = struct.unpack("<HH", start[18:22])
    else:
        width, height = struct.unpack("<ii", start[18:26])
    if width < 0:
        raise Unreadable(f"is a broken BMP: its width is {width}; save it again")
    return width, abs(height)


def gif(file: BinaryIO) -> tuple[int, int]:
    """The screen, or the first frame where that reaches beyond it (GIF89a, sections 18, 20)."""
    start = take(file, 13)
    width, height, flags = struct.unpack("<HHB", start[6:11])
    if flags & 0x80:
        take(file, 3 << (flags & 7) + 1)
    while True:
        block = take(file, 1)
        if block == b"\x21":  # an extension: a label, then sub-blocks up to an empty one
            take(file, 1)
            while (length := take(file, 1)[0]) > 0:
                take(file, length)
        elif block == b"\x2c":
            left, top, frame_width, frame_height = struct.unpack("<HHHH", take(file, 8))
            return max(width, left + frame_width), max(height, top + frame_height)
        elif block == b"\x3b":
            raise Unreadable("is a GIF without a frame; save it again")
