"""Radiance HDR (RGBE): read in all its packings and orientations, written flat.

Ward, "Real Pixels", Graphics Gems II, 1991; the file's layout as in Radiance's `color.c` and
"The RADIANCE Picture File Format". A mantissa m and exponent e mean m / 256 * 2^(e - 128).
"""

import re
from typing import BinaryIO

import numpy as np

from fields.pictures.picture import Decoded, Unreadable
from fields.pictures.sizes import CUT_SHORT

_MAX_HEADER = 1 << 20
_BROKEN = "is a broken Radiance HDR picture: {}; save it again"
_SIZE = re.compile(rb"([+-])([XY]) (\d+) ([+-])([XY]) (\d+)\s*$")


def size(file: BinaryIO) -> tuple[int, int]:
    """Width and height as seen: this format's header holds the orientation too."""
    _exposure, (_, major, rows), (_, _, columns) = _header(file)
    return (columns, rows) if major == "Y" else (rows, columns)


def read(file: BinaryIO) -> Decoded:
    """Decode to [H, W, 3] float32, divided by the exposure that the header says was applied."""
    exposure, (row_sign, major, rows), (column_sign, _, columns) = _header(file)
    rgbe = _unpack(file.read(), rows, columns)
    pixels = np.empty((rows, columns, 3), np.float32)
    for line, out in zip(rgbe, pixels, strict=True):
        exponent = line[:, 3:].astype(np.int32)
        np.ldexp(line[:, :3].astype(np.float32), exponent - 136, out=out)
        out[line[:, 3] == 0] = 0  # "exponent 0" means black, whatever the mantissas
    if exposure != 1:
        pixels /= np.float32(exposure)
    if major == "X":
        pixels = pixels.swapaxes(0, 1)
        row_sign, column_sign = column_sign, row_sign
    if row_sign == "+":  # +Y points up: the first row is the lowest
        pixels = pixels[::-1]
    if column_sign == "-":
        pixels = pixels[:, ::-1]
    return Decoded(np.ascontiguousarray(pixels))


def encode(pixels: np.ndarray) -> bytes:
    """[H, W, 3] float, values below 0 taken as 0, as a file; each pixel rounded to RGBE.

    A pixel's largest value keeps 8 bits. What came from such a file is written back exactly.
    """
    height, width, _ = pixels.shape
    parts = [b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n", b"-Y %d +X %d\n" % (height, width)]
    for row in pixels:
        light = np.clip(row.astype(np.float32), 0, None)
        _, exponent = np.frexp(light.max(axis=1))
        # A mantissa that would round to 256 takes the next exponent.
        exponent += np.rint(np.ldexp(light.max(axis=1), 8 - exponent)) > 255
        mantissa = np.rint(np.ldexp(light, 8 - exponent[:, None]))
        rgbe = np.concatenate([mantissa, exponent[:, None] + 128.0], axis=1)
        rgbe[(rgbe[:, 3] < 1) | (light.max(axis=1) == 0)] = 0  # darker than the format goes
        rgbe[rgbe[:, 3] > 255] = 255
        parts.append(rgbe.astype(np.uint8).tobytes())
    return b"".join(parts)


def _header(file: BinaryIO):
    """Exposure and two axes, slower first, each (sign, axis, length); leaves `file` behind it."""
    exposure = 1.0
    while line := file.readline(_MAX_HEADER):
        line = line.strip()
        if line.startswith(b"FORMAT=") and line != b"FORMAT=32-bit_rle_rgbe":
            raise Unreadable(
                "is a Radiance picture that does not store RGB; convert it with `ra_xyze -r`"
            )
        if line.startswith(b"EXPOSURE="):
            exposure *= _exposure(line[9:])
        if match := _SIZE.match(line):
            sign_1, axis_1, length_1, sign_2, axis_2, length_2 = match.groups()
            if axis_1 == axis_2:
                break
            return (
                exposure,
                (sign_1.decode(), axis_1.decode(), int(length_1[:12])),
                (sign_2.decode(), axis_2.decode(), int(length_2[:12])),
            )
    raise Unreadable(_BROKEN.format("its header holds no size such as `-Y 600 +X 800`"))


def _exposure(text: bytes) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise Unreadable(_BROKEN.format("EXPOSURE is not a number above 0"))
    return value


def _unpack(data: bytes, rows: int, columns: int) -> np.ndarray:
    """The scan lines [rows, columns, 4] uint8, each packed in one of the format's two ways."""
    # A scan line takes at least 4 bytes: without this a header alone would claim all memory.
    if len(data) < 4 * rows:
        raise Unreadable(CUT_SHORT)
    rgbe = np.empty((rows, columns, 4), np.uint8)
    at = 0
    for line in rgbe:
        packed = 8 <= columns < 32768 and data[at : at + 4] == b"\2\2%c%c" % divmod(columns, 256)
        at = _unpack_by_channel(data, at + 4, line) if packed else _unpack_pixels(data, at, line)
    return rgbe


def _unpack_by_channel(data: bytes, at: int, line: np.ndarray) -> int:
    """One channel after the other; a count above 128 repeats the next byte count - 128 times."""
    columns = len(line)
    for channel in range(4):
        parts, filled = [], 0
        while filled < columns:
            if at + 1 >= len(data):
                raise Unreadable(CUT_SHORT)
            count = data[at]
            if count > 128:
                count -= 128
                parts.append(data[at + 1 : at + 2] * count)
                at += 2
            else:
                parts.append(data[at + 1 : at + 1 + count])
                at += 1 + count
            filled += count
            if count == 0 or filled > columns:
                raise Unreadable(_BROKEN.format("a run goes over the edge of the picture"))
        values = b"".join(parts)
        if len(values) < columns:
            raise Unreadable(CUT_SHORT)
        line[:, channel] = np.frombuffer(values, np.uint8)
    return at


def _unpack_pixels(data: bytes, at: int, line: np.ndarray) -> int:
    """Whole pixels; (1, 1, 1, n) repeats the pixel before it, n counting in steps of 256^k."""
    columns, filled, shift = len(line), 0, 0
    while filled < columns:
        stored = np.frombuffer(data, np.uint8, min(4 * columns, len(data) - at) // 4 * 4, at)
        stored = stored.reshape(-1, 4)
        if len(stored) == 0:
            raise Unreadable(CUT_SHORT)
        marks = np.flatnonzero((stored[:, :3] == 1).all(axis=1))
        used = 0
        for mark in [*marks.tolist(), len(stored)]:
            plain = min(mark - used, columns - filled)
            if plain:
                line[filled : filled + plain] = stored[used : used + plain]
                filled, used, shift = filled + plain, used + plain, 0
            if filled == columns or mark == len(stored):
                break
            count = int(stored[mark, 3]) << shift
            if filled == 0 or filled + count > columns:
                raise Unreadable(_BROKEN.format("a run goes over the edge of the picture"))
            line[filled : filled + count] = line[filled - 1]
            filled, used, shift = filled + count, used + 1, min(shift + 8, 24)
            if filled == columns:
                break
        at += 4 * used
    return at
