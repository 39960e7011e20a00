"""JPEG, WebP, BMP and GIF, decoded by Pillow: all of 8 bits."""

from typing import BinaryIO

import numpy as np

from fields.pictures.colour import cmyk_to_srgb, fitting_icc
from fields.pictures.orientation import from_exif
from fields.pictures.picture import Decoded

_BAND_PIXELS = 1 << 20
_PLUGINS = {"jpeg": ("JPEG",), "webp": ("WEBP",), "bmp": ("BMP",), "gif": ("GIF",)}


def read(file: BinaryIO, format_: str) -> Decoded:
    """Decode the first frame: [H, W, C] uint8; palettes become RGB or RGBA, CMYK becomes sRGB."""
    from PIL import Image

    with Image.open(file, formats=_PLUGINS[format_]) as picture:
        picture.load()
        icc, exif = picture.info.get("icc_profile"), picture.info.get("exif")
        if picture.mode == "CMYK":
            return Decoded(cmyk_to_srgb(_pixels(picture), icc), None, from_exif(exif))
        plain = _plain_mode(picture)
        pixels = _pixels(picture if picture.mode == plain else picture.convert(plain))
    return Decoded(pixels, fitting_icc(icc, pixels.shape[2]), from_exif(exif))


def _plain_mode(picture) -> str:
    """The mode without palette that loses nothing."""
    if "transparency" in picture.info or picture.mode in ("PA", "RGBa"):
        return "LA" if picture.mode in ("1", "L", "LA") else "RGBA"
    return {"1": "L", "L": "L", "LA": "LA", "RGBA": "RGBA"}.get(picture.mode, "RGB")


def _pixels(picture) -> np.ndarray:
    """[H, W, C] uint8, copied band by band: np.asarray would hold the whole picture three times."""
    width, height = picture.size
    pixels = np.empty((height, width, len(picture.getbands())), np.uint8)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        band = np.asarray(picture.crop((0, top, width, bottom)))
        pixels[top:bottom] = band.reshape(bottom - top, width, -1)
    return pixels
