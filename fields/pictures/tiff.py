"""TIFF: 8 and 16 bits, half and full floats, chunky or planar, strips or tiles, by tifffile.

The first picture of the file is read. TIFF 6.0 (Adobe, 1992), with Technical Note 3 for floats.
"""

import io
import struct
from typing import BinaryIO

import numpy as np

from fields.pictures.colour import cmyk_to_srgb, fitting_icc
from fields.pictures.picture import Decoded, Unreadable
from fields.pictures.sizes import CUT_SHORT, take

_GREY_0_WHITE, _GREY, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_GREY_0_WHITE: 1, _GREY: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_DTYPES = ("bool", "uint8", "uint16", "float16", "float32", "float64")
_JPEG = 7  # compression whose decoder turns YCbCr into RGB
_MAX_TILE = 1 << 20  # pixels; a whole tile is decoded, however small the picture
_RAW_PHOTOMETRIC, _RAW_TAG = (32803, 34892), 50706


def size(file: BinaryIO) -> tuple[int, int]:
    """Width and height from the first directory, of a classic TIFF or a BigTIFF."""
    start = take(file, 8)
    order = "<" if start[:2] == b"II" else ">"
    if struct.unpack(order + "H", start[2:4])[0] == 43:
        offset = struct.unpack(order + "Q", take(file, 8))[0]
        count_format, entry_format = "Q", "HHQ8s"
    else:
        offset = struct.unpack(order + "I", start[4:])[0]
        count_format, entry_format = "H", "HHI4s"
    if offset > file.seek(0, io.SEEK_END):
        raise Unreadable(CUT_SHORT)
    file.seek(offset)
    found = {}
    (count,) = struct.unpack(
        order + count_format, take(file, struct.calcsize(order + count_format))
    )
    for _ in range(min(count, 4096)):
        entry = take(file, struct.calcsize(order + entry_format))
        tag, type_, number, value = struct.unpack(order + entry_format, entry)
        if tag in (256, 257) and type_ in (1, 3, 4, 16) and number == 1:
            letter = {1: "B", 3: "H", 4: "I", 16: "Q"}[type_]
            found[tag] = struct.unpack_from(order + letter, value)[0]
    if len(found) < 2:
        raise Unreadable("is a broken TIFF: its first directory holds no size; save it again")
    return found[256], found[257]


def read(file: BinaryIO) -> Decoded:
    """Decode the first picture: [H, W, C] uint8, uint16, float16 or float32.

    Depths in between are stretched to 8 or 16 bits, doubles become floats, palettes RGB, CMYK
    sRGB, premultiplied alpha straight.
    """
    import tifffile

    with tifffile.TiffFile(file, name="picture") as tiff:
        page = tiff.pages.first
        _check(page)
        _check_data_is_there(page, file)
        pixels = page.asarray(maxworkers=1)
        pixels = np.moveaxis(pixels, page.axes.index("S"), -1) if "S" in page.axes else pixels
        pixels = pixels.reshape(page.imagelength, page.imagewidth, -1)
        pixels = _plain_values(pixels, page)
        colours = _COLOURS[page.photometric]
        alpha = _alpha(page, colours)
        icc = page.tags.valueof(34675)
        orientation = page.tags.valueof(274, default=1)
        if page.photometric == _PALETTE:
            pixels, colours = _look_up(pixels, page.colormap), 3
        elif page.photometric == _CMYK:
            pixels, icc, colours = cmyk_to_srgb(pixels[:, :, :4], icc), None, 3
    if alpha is None:
        pixels = pixels[:, :, :colours]
    else:
        pixels = pixels[:, :, [*range(colours), alpha]] if alpha != colours else pixels
        pixels = pixels[:, :, : colours + 1]
        if page.extrasamples[alpha - colours] == 1:
            pixels = straight(pixels)
    return Decoded(
        pixels,
        fitting_icc(icc, pixels.shape[2]),
        orientation if orientation in range(1, 9) else 1,
    )


def straight(pixels: np.ndarray) -> np.ndarray:
    """[H, W, 2 or 4] with premultiplied alpha -> straight alpha, of the same dtype.

    Where alpha is 0 the colour is kept as stored. Integers are rounded, at most the largest.
    """
    top = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1
    result = np.empty_like(pixels)
    for row, out in zip(pixels, result, strict=True):
        alpha = row[:, -1:].astype(np.float32) / np.float32(top)
        colour = row[:, :-1] / np.where(alpha == 0, np.float32(1), alpha)
        out[:, :-1] = colour if top == 1 else np.minimum(np.rint(colour), top)
        out[:, -1] = row[:, -1]
    return result


def encode(file: BinaryIO, pixels: np.ndarray, icc: bytes | None) -> None:
    """Write [H, W, C] of any of a Picture's dtypes, C 1 to 4; lossless."""
    import tifffile

    channels = pixels.shape[2]
    tifffile.imwrite(
        file,
        pixels[:, :, 0] if channels == 1 else pixels,
        photometric="minisblack" if channels < 3 else "rgb",
        planarconfig=None if channels == 1 else "contig",
        extrasamples=("unassalpha",) if channels in (2, 4) else None,
        compression="zlib",
        predictor=True,
        iccprofile=icc,
        metadata=None,
        software=False,
    )


def _check(page) -> None:
    """Raise Unreadable for what is no plain picture."""
    from tifffile import COMPRESSION, TIFF

    pages = [page, *(page.pages or [])]
    if _RAW_TAG in page.tags or any(p.photometric in _RAW_PHOTOMETRIC for p in pages):
        raise Unreadable(
            "is a camera raw file, which is not read; develop it to a 16-bit TIFF or PNG first"
        )
    colours = _COLOURS.get(page.photometric)
    if colours is None or (page.photometric == _YCBCR and page.compression != _JPEG):
        raise Unreadable("is a TIFF in an unusual colour space; save it as RGB or grey")
    if page.imagedepth != 1 or page.samplesperpixel < colours:
        raise Unreadable("is a TIFF volume or a broken TIFF; save one slice as RGB or grey")
    if page.samplesperpixel > colours + 1 and _alpha(page, colours) is None:
        raise Unreadable(
            f"is a TIFF with {page.samplesperpixel} channels, not marked as colours or alpha; "
            "save it as grey or RGB"
        )
    if str(page.dtype) not in _DTYPES:
        stored = "values of mixed depth" if page.dtype is None else f"{page.dtype} values"
        raise Unreadable(f"is a TIFF with {stored}; save it with 8 or 16 bits, unsigned, or floats")
    if page.compression not in TIFF.DECOMPRESSORS:
        known = page.compression in list(COMPRESSION)
        name = COMPRESSION(page.compression).name if known else f"scheme {page.compression}"
        raise Unreadable(
            f"is a TIFF packed with {name}, which is not read; save it with LZW or ZIP"
        )
    if page.is_tiled and page.tilewidth * page.tilelength > max(
        page.imagewidth * page.imagelength, _MAX_TILE
    ):
        raise Unreadable("is a broken TIFF: a tile is larger than the picture; save it again")
    if page.photometric in (_PALETTE, _CMYK) and page.dtype != np.uint8:
        raise Unreadable("is a TIFF with 16-bit CMYK or palette; save it as RGB")


def _check_data_is_there(page, file: BinaryIO) -> None:
    """A TIFF's directory may lie before its pixels, so a file cut short can still be opened."""
    end = file.seek(0, io.SEEK_END)
    if len(page.dataoffsets) != len(page.databytecounts):
        raise Unreadable(
            "is a broken TIFF: its strips and their sizes differ in number; save it again"
        )
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if offset == 0 or count == 0 or offset + count > end:
            raise Unreadable(CUT_SHORT)


def _alpha(page, colours: int) -> int | None:
    """Which sample is alpha: the first marked so, or the only one beside the colours."""
    extra = page.extrasamples
    for index, meaning in enumerate(extra):
        if meaning in (1, 2):
            return colours + index
    return colours if page.samplesperpixel == colours + 1 else None


def _plain_values(pixels: np.ndarray, page) -> np.ndarray:
    """Stretch 1 to 16 bits to the whole of uint8 or uint16, doubles to floats, 0 to black."""
    if page.photometric == _PALETTE:
        return pixels
    if pixels.dtype.kind == "f":
        if page.photometric == _GREY_0_WHITE:
            raise Unreadable("is a TIFF of floats where 0 is white; save it with 0 as black")
        return pixels if pixels.dtype in (np.float16, np.float32) else pixels.astype(np.float32)
    bits = page.bitspersample
    if pixels.dtype == bool:
        pixels, bits = pixels.view(np.uint8), 1
    top, stored_top = np.iinfo(pixels.dtype).max, 2**bits - 1
    if stored_top != top:
        table = (np.arange(top + 1) * top + stored_top // 2) // stored_top
        pixels = np.minimum(table, top).astype(pixels.dtype)[pixels]
    return top - pixels if page.photometric == _GREY_0_WHITE else pixels


def _look_up(pixels: np.ndarray, colormap: np.ndarray) -> np.ndarray:
    """[H, W, 1] indices, [3, 256] uint16 -> [H, W, 3] uint8: palettes hold 8 bits times 257."""
    table = np.zeros((256, 3), np.uint8)
    table[: colormap.shape[1]] = (colormap.T >> 8).astype(np.uint8)
    return table[pixels[:, :, 0]]
