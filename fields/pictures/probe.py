"""Looks at a file before it is decoded: may it be read, what kind is it, how large."""

import math
import os
import stat
from typing import BinaryIO, NamedTuple

from fields.errors import FieldsError
from fields.pictures import exr, kinds, radiance, sizes, tiff
from fields.pictures.naming import plain, shown
from fields.pictures.picture import Unknown, Unreadable
from fields.pictures.pointer import START, is_pointer, said_of_pointer

MAX_MEGAPIXELS = 200.0
"""The largest picture that is decoded, unless the caller or the environment says otherwise."""

LIMIT_VARIABLE = "FIELDS_MAX_MEGAPIXELS"

_SIZES = {
    "png": sizes.png,
    "jpeg": sizes.jpeg,
    "webp": sizes.webp,
    "bmp": sizes.bmp,
    "gif": sizes.gif,
    "tiff": tiff.size,
    "exr": exr.size,
    "hdr": radiance.size,
}


class Probe(NamedTuple):
    """What a header says: the format (see `Picture`), width and height in pixels as stored."""

    format: str
    width: int
    height: int


def probe(path, *, max_megapixels: float | None = None, others: str = "") -> Probe:
    """Kind and size of a picture file, from its content; nothing is decoded.

    `others` is said of a file of no known kind behind what pictures are read.
    Raises FieldsError if it cannot be opened, is no picture, has no pixels or too many of them:
    more than `max_megapixels`, by default $FIELDS_MAX_MEGAPIXELS or 200.
    """
    with open_file(path) as file:
        try:
            return probe_open(file, max_megapixels)
        except Unreadable as reason:
            raise refused(path, reason, others) from None


def refused(path, reason: Unreadable, others: str = "") -> FieldsError:
    """The line for a file that cannot be read; `others` as of `probe`."""
    more = f"; {others}" if others and isinstance(reason, Unknown) else ""
    return FieldsError(f"{shown(path)} {plain(str(reason))}{more}")


def open_file(path, what: str = "picture") -> BinaryIO:
    """Open a regular file for reading; FieldsError for everything else, without blocking, and for
    a pointer of Git LFS.

    `what` is the kind of file that the message asks for.
    """
    name = shown(path)
    if not os.fspath(path):
        raise FieldsError(f"no {what} is named; give a file")
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise FieldsError(f"{name} is a folder; name one {what} file")
        if not stat.S_ISREG(mode):  # opening a fifo would wait for its writer
            raise FieldsError(f"{name} is a pipe or a device; save the {what} as a file first")
        file = open(path, "rb")
        if is_pointer(file.peek(len(START))):
            file.close()
            raise FieldsError(f"{name} {said_of_pointer(what)}")
        return file
    except FieldsError:
        raise
    except FileNotFoundError:
        raise FieldsError(f"{name} does not exist; check the path") from None
    except PermissionError:
        raise FieldsError(f"{name} may not be read by you; change its permissions") from None
    except OSError as error:
        raise FieldsError(f"{name} cannot be opened: {error.strerror}") from None
    except ValueError:  # a null character
        raise FieldsError(f"{name} is no path; check it") from None


def probe_open(file: BinaryIO, max_megapixels: float | None) -> Probe:
    """As `probe`, for an open file; leaves it at position 0. Raises Unreadable."""
    limit = _limit(max_megapixels)
    format_ = kinds.kind(file.read(kinds.PREFIX_BYTES))
    file.seek(0)
    width, height = _SIZES[format_](file)
    file.seek(0)
    check_size(width, height, limit)
    return Probe(format_, width, height)


def check_size(width: int, height: int, limit: float) -> None:
    """Raise Unreadable if there is no pixel, or more than `limit` megapixels."""
    if width < 1 or height < 1:
        raise Unreadable(f"is {width} x {height} pixels; a picture needs at least 1 x 1")
    megapixels = width * height / 1e6
    if megapixels > limit:
        raise Unreadable(
            f"claims {width} x {height} pixels ({megapixels:,.0f} megapixels), more than the limit "
            f"of {limit:g}; set {LIMIT_VARIABLE}={math.ceil(megapixels)} if it is meant"
        )


def _limit(max_megapixels: float | None) -> float:
    if max_megapixels is not None:
        return max_megapixels
    text = os.environ.get(LIMIT_VARIABLE, "")
    if not text:
        return MAX_MEGAPIXELS
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise FieldsError(
            f"{LIMIT_VARIABLE} must be a number of megapixels above 0, e.g. 500; got {text!r}"
        )
    return limit
