"""OpenEXR: half and full floats, scan lines or tiles, the data window laid into the display window.

The header is read here, so that sizes are known before the library is trusted with them; pixels by
OpenEXR. "OpenEXR File Layout" and "Technical Introduction to OpenEXR" (openexr.com).
"""

import math
import struct
from typing import BinaryIO, NamedTuple

import numpy as np

from fields.pictures.picture import Decoded, Unreadable
from fields.pictures.silence import quiet_streams
from fields.pictures.sizes import take

_HALF, _FLOAT = 1, 2
_DEEP = 0x800
_BAND_PIXELS = 1 << 20
_MAX_TILE = 1 << 20  # pixels; the library takes memory for a whole tile, however small the picture
_MAX_ATTRIBUTE = 16 * 2**20  # bytes; a preview picture is the largest there is
_BROKEN = "is a broken EXR: {}; save it again"


class Window(NamedTuple):
    """Corners, both inside, in the pixel grid that data and display window share."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left + 1

    @property
    def height(self) -> int:
        return self.bottom - self.top + 1

    def intersection(self, other: "Window") -> "Window":
        """What lies in both; of width or height below 1 if nothing does."""
        return Window(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )


class Channel(NamedTuple):
    """How a channel is stored."""

    type: int  # 0 uint32, 1 half, 2 float
    x_sampling: int
    y_sampling: int


class Header(NamedTuple):
    """What is needed of the first part's header."""

    channels: dict[str, Channel]
    data: Window
    display: Window
    tile_pixels: int  # of one tile, 0 without tiles


def size(file: BinaryIO) -> tuple[int, int]:
    """The display window's size, or the data window's where that holds more pixels."""
    header = _header(file)
    windows = (header.display, header.data)
    if any(w.width < 1 or w.height < 1 for w in windows):
        return 0, 0
    largest = max(windows, key=lambda w: w.width * w.height)
    return largest.width, largest.height


def read(file: BinaryIO) -> Decoded:
    """Decode to [H, W, C] of the display window: float16 if all channels are halves, else float32.

    What the data window leaves out is black and transparent. Y is read as grey, a lone channel of
    another name too; a missing R, G or B is 0. The file's premultiplied alpha becomes straight; a
    picture that is not opaque is then float32, since a small alpha makes large values.
    """
    import Imath
    import OpenEXR

    header = _header(file)
    names = _chosen(header.channels)
    data, display = header.data, header.display
    both = data.intersection(display)
    if both.width < 1 or both.height < 1:
        raise Unreadable("is an EXR without a pixel inside its display window; set the window anew")
    if header.tile_pixels > max(data.width * data.height, _MAX_TILE):
        raise Unreadable(_BROKEN.format("a tile is larger than the picture"))
    present = [name for name in names if name in header.channels]
    all_half = all(header.channels[name].type == _HALF for name in present)
    dtype, kind = (
        (np.float16, Imath.PixelType.HALF) if all_half else (np.float32, Imath.PixelType.FLOAT)
    )
    pixels = np.zeros((display.height, display.width, len(names)), dtype)
    seen = pixels[:, both.left - display.left : both.right + 1 - display.left]
    file.seek(0)
    picture = OpenEXR.InputFile(file)
    rows = max(1, _BAND_PIXELS // data.width)
    for top in range(both.top, both.bottom + 1, rows):
        bottom = min(top + rows - 1, both.bottom)
        planes = picture.channels(present, Imath.PixelType(kind), top, bottom)
        for name, plane in zip(present, planes, strict=True):
            plane = np.frombuffer(plane, dtype).reshape(-1, data.width)
            plane = plane[:, both.left - data.left : both.right + 1 - data.left]
            seen[top - display.top : bottom + 1 - display.top, :, names.index(name)] = plane
    return Decoded(_straight(pixels) if "A" in names else pixels)


def encode(file: BinaryIO, pixels: np.ndarray) -> None:
    """Write [H, W, C] float16 or float32, C 1 to 4; straight alpha becomes premultiplied."""
    import OpenEXR

    channels = pixels.shape[2]
    if channels in (2, 4):
        alpha = pixels[:, :, -1:]
        colour = np.where(alpha == 0, pixels[:, :, :-1], pixels[:, :, :-1] * alpha)
        pixels = np.concatenate([colour, alpha], axis=2)
    names = {1: "Y", 2: "YA", 3: "RGB", 4: "RGBA"}[channels]
    planes = {name: np.ascontiguousarray(pixels[:, :, index]) for index, name in enumerate(names)}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with quiet_streams():
        OpenEXR.File(header, planes).write(file)


def _straight(pixels: np.ndarray) -> np.ndarray:
    alpha = pixels[:, :, -1:]
    if (alpha == 1).all():
        return pixels
    if (alpha < 0).any():
        raise Unreadable(_BROKEN.format("alpha below 0"))
    straight = pixels.astype(np.float32)
    np.divide(straight[:, :, :-1], straight[:, :, -1:], out=straight[:, :, :-1], where=alpha != 0)
    return straight


def _chosen(channels: dict[str, Channel]) -> list[str]:
    """The names to read, in a Picture's order; Unreadable if these channels are no picture."""
    if any(name in channels for name in "RGB"):
        names = ["R", "G", "B"]
        if sum(name in channels for name in "RGB") == 1 and "Y" not in channels:
            names = [name for name in "RGB" if name in channels]
    elif "Y" in channels:
        if "RY" in channels or "BY" in channels:
            raise Unreadable("is an EXR of luminance and chroma; convert it to RGB")
        names = ["Y"]
    else:
        names = [name for name in channels if name != "A"]
        if len(names) != 1:
            listed = ", ".join(sorted(channels)[:6]) or "none"
            raise Unreadable(
                f"is an EXR without R, G, B or Y but with {listed}; rename the channels to show"
            )
    if "A" in channels:
        names.append("A")
    for name in names:
        channel = channels.get(name, Channel(_FLOAT, 1, 1))
        if channel.type not in (_HALF, _FLOAT):
            raise Unreadable(f"is an EXR whose channel {name} holds integers; save it as floats")
        if (channel.x_sampling, channel.y_sampling) != (1, 1):
            raise Unreadable(f"is an EXR whose channel {name} is subsampled; save it in full")
    return names


def _header(file: BinaryIO) -> Header:
    """Parse the first part's header."""
    file.seek(4)
    (version,) = struct.unpack("<I", take(file, 4))
    if version & 0xFF != 2:
        raise Unreadable(f"is an EXR of version {version & 0xFF}, not 2; save it again")
    if version & _DEEP:
        raise Unreadable("is a deep EXR, which is not read; flatten it")
    found = {}
    while name := _text(file):
        _text(file)
        (length,) = struct.unpack("<I", take(file, 4))
        if length > _MAX_ATTRIBUTE:
            raise Unreadable(_BROKEN.format("its header is damaged"))
        found[name] = take(file, length)
    try:
        return Header(
            _channels(found["channels"]),
            Window(*struct.unpack("<4i", found["dataWindow"])),
            Window(*struct.unpack("<4i", found["displayWindow"])),
            math.prod(struct.unpack("<IIx", found["tiles"])) if "tiles" in found else 0,
        )
    except KeyError as missing:
        raise Unreadable(_BROKEN.format(f"its header lacks {missing.args[0]}")) from None
    except (struct.error, IndexError, ValueError):
        raise Unreadable(_BROKEN.format("its header is damaged")) from None


def _channels(data: bytes) -> dict[str, Channel]:
    channels, at = {}, 0
    while data[at] != 0:
        end = data.index(b"\0", at)
        name = data[at:end].decode("utf-8", "backslashreplace")
        channels[name] = Channel(*struct.unpack_from("<i4xii", data, end + 1))
        at = end + 17
    return channels


def _text(file: BinaryIO) -> str:
    """A name that ends in a null byte; at most 255 bytes."""
    text = b""
    while (byte := take(file, 1)) != b"\0":
        text += byte
        if len(text) > 255:
            raise Unreadable(_BROKEN.format("its header is damaged"))
    return text.decode("utf-8", "backslashreplace")
