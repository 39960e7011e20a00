"""Writes pixels to a picture file; the suffix says the format."""

import os
from pathlib import Path

import numpy as np

from fields.errors import FieldsError, either
from fields.pictures import exr, png, radiance, tiff
from fields.pictures.colour import fitting_icc
from fields.pictures.naming import shown
from fields.pictures.picture import DTYPES
from fields.pictures.quantise import quantise
from fields.pictures.replacing import replacing

_FORMATS = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
    ".exr": "exr",
    ".hdr": "hdr",
}
_LARGEST_SIDE = {"jpeg": 65_500, "webp": 16_383, "bmp": 2**31 - 1, "png": 2**31 - 1}
_WITH_ALPHA = ("png", "webp", "tiff", "exr")
_BITS = {"png": (8, 16), "tiff": (8, 16), "jpeg": (8,), "webp": (8,), "bmp": (8,)}


def output_format(path) -> str:
    """The format that a name asks for: png, jpeg, webp, tiff, bmp, exr or hdr, by its suffix.

    Raises FieldsError for another suffix or a folder; so a command can refuse before it has drawn
    anything.
    """
    if os.path.isdir(path):
        example = shown(Path(os.fsdecode(path)) / "picture.png")
        raise FieldsError(f"{shown(path)} is a folder; name a file in it, such as {example}")
    suffix = Path(os.fsdecode(path)).suffix.lower()
    if suffix not in _FORMATS:
        raise FieldsError(
            f"{shown(path)} cannot be written: its suffix says no format; "
            f"end it in {either(_FORMATS)}"
        )
    return _FORMATS[suffix]


def write_picture(path, pixels, icc: bytes | None = None, *, bit_depth: int | None = None) -> None:
    """Write a picture; the file appears complete or not at all.

    Args:
        path: where; its suffix says the format (see `output_format`). PNG, TIFF, BMP, WebP and EXR
            keep what they are given bit for bit (EXR: where alpha is 1 or absent), JPEG has
            quality 95 without chroma subsampling, HDR 8 bits of mantissa.
        pixels: [H, W] or [H, W, C], C 1 to 4 (see `Picture`), uint8, uint16, float16 or float32;
            float64 is taken as float32. Values are written as they are, without a change of
            colour encoding: where the format holds integers, floats are clamped to [0, 1] and
            rounded; where it holds floats, integers are divided by their largest.
        icc: profile to embed; left out where the format or the number of channels does not allow.
        bit_depth: 8 or 16, for PNG and TIFF; by default that of integers, and for floats 8 in a
            PNG, while a TIFF stays float.

    Raises FieldsError, one line: unknown suffix, alpha or a size that the format cannot hold, NaN
    or infinite values, and whatever the system refuses.
    """
    format_ = output_format(path)
    pixels = _checked(path, pixels, format_)
    profile = fitting_icc(icc, pixels.shape[2])
    if bit_depth is not None and bit_depth not in _BITS.get(format_, ()):
        raise FieldsError(f"{shown(path)} cannot hold {bit_depth} bits; use .png or .tif")
    if format_ in _BITS and not (format_ == "tiff" and bit_depth is None):
        default = 16 if pixels.dtype == np.uint16 and 16 in _BITS[format_] else 8
        pixels = quantise(pixels, bit_depth or default)
    elif format_ in ("exr", "hdr") and pixels.dtype.kind == "u":
        dtype = np.float16 if pixels.dtype == np.uint8 else np.float32
        pixels = (pixels / np.float32(np.iinfo(pixels.dtype).max)).astype(dtype)
    with replacing(path) as file:
        if format_ == "png":
            file.write(png.encode(pixels, profile))
        elif format_ == "tiff":
            tiff.encode(file, pixels, profile)
        elif format_ == "exr":
            exr.encode(file, pixels)
        elif format_ == "hdr":
            file.write(radiance.encode(pixels))
        else:
            _with_pillow(file, pixels, format_, profile)


def _checked(path, pixels, format_: str) -> np.ndarray:
    """[H, W, C], of a dtype a Picture may have, within what the format can hold."""
    name = shown(path)
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        raise FieldsError(f"{name}: pixels must be [H, W, 1 to 4], got {list(pixels.shape)}")
    if pixels.dtype not in DTYPES:
        raise FieldsError(f"{name}: pixels must be uint8, uint16 or floats, got {pixels.dtype}")
    height, width, channels = pixels.shape
    largest = _LARGEST_SIDE.get(format_)
    if largest is not None and max(height, width) > largest:
        raise FieldsError(
            f"{name}: {width} x {height} pixels are too many for {format_}, which holds "
            f"{largest} a side; use .png or .tif"
        )
    if channels in (2, 4) and format_ not in _WITH_ALPHA:
        raise FieldsError(f"{name}: {format_} holds no alpha; use .png, .webp, .tif or .exr")
    if pixels.dtype.kind == "f" and not all(np.isfinite(row).all() for row in pixels):
        raise FieldsError(f"{name}: the pixels hold NaN or infinite values; nothing is written")
    return pixels


def _with_pillow(file, pixels: np.ndarray, format_: str, icc: bytes | None) -> None:
    """JPEG, WebP and BMP, all of 8 bits."""
    from PIL import Image

    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    options = {
        "jpeg": {"quality": 95, "subsampling": 0},
        "webp": {"lossless": True, "exact": True, "quality": 50, "method": 3},
        "bmp": {},
    }[format_]
    if icc is not None and format_ != "bmp":
        options["icc_profile"] = icc
    picture.save(file, format_, **options)
