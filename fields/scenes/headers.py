"""What the headers of a scene's images say, before any of them is decoded."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.pictures.orientation import from_exif
from fields.pictures.probe import probe
from fields.pictures.read import read_picture
from fields.pictures.silence import quiet_libraries

READ = ("png", "jpeg", "webp")
_LOOKS = 8  # images whose alpha is looked at, until one is seen through


class Header(NamedTuple):
    """Width and height as stored; whether there is alpha; whether EXIF asks for a turn."""

    width: int
    height: int
    has_alpha: bool
    is_turned: bool


def uses_alpha(paths: Sequence[Path], headers: Sequence[Header]) -> bool:
    """Whether images say what is opaque: some have alpha, and of those that are looked at not every
    one is wholly opaque, as photos are that were saved so. FieldsError for what cannot be read."""
    having = [path for path, header in zip(paths, headers, strict=True) if header.has_alpha]
    for path in having[:: max(1, len(having) // _LOOKS)]:
        pixels = read_picture(path).pixels
        if pixels.shape[2] in (2, 4) and pixels[..., -1].min() < np.iinfo(pixels.dtype).max:
            return True
    return False


def read_headers(paths: Sequence[Path]) -> list[Header]:
    """The headers of image files; FieldsError for what is none or of another format."""
    from PIL import Image

    found = []
    with quiet_libraries():
        for path in paths:
            format_, width, height = probe(path)
            if format_ not in READ:
                raise FieldsError(
                    f"{shown(path)} is of the format {format_}; images of a scene are PNG, JPEG or"
                    " WebP"
                )
            try:
                with Image.open(path) as image:
                    has_alpha = "A" in image.getbands() or "transparency" in image.info
                    turned = from_exif(image.info.get("exif")) != 1
            except Exception:  # whoever decodes it says what is wrong
                has_alpha = turned = False
            found.append(Header(width, height, has_alpha, turned))
    return found
