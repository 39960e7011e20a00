"""What the headers of a scene's images say, before any of them is decoded."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.pictures.orientation import from_exif
from fields.pictures.probe import probe
from fields.pictures.silence import quiet_libraries

READ = ("png", "jpeg", "webp")


class Header(NamedTuple):
    """Width and height as stored; whether there is alpha; whether EXIF asks for a turn."""

    width: int
    height: int
    has_alpha: bool
    is_turned: bool


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
