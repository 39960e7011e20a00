"""Reads a picture file, or a sample by its name, whatever its format; every failure is one line."""

import os
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from fields.errors import FieldsError
from fields.pictures import exr, png, radiance, tiff, with_pillow
from fields.pictures.damage import damage
from fields.pictures.naming import likely_path, shown, stem
from fields.pictures.orientation import upright
from fields.pictures.picture import DTYPES, Decoded, Picture, Unreadable
from fields.pictures.probe import open_file, probe_open, refused
from fields.pictures.samples import SAMPLES, likely_sample, sample_path
from fields.pictures.silence import quiet_libraries

_READERS = {"png": png.read, "tiff": tiff.read, "exr": exr.read, "hdr": radiance.read}
_FOR_THREADS = ("png", "jpeg", "webp", "bmp", "gif")
_BAND_VALUES = 1 << 20

Item = TypeVar("Item")


def read_picture(source, *, max_megapixels: float | None = None, others: str = "") -> Picture:
    """Read a picture: PNG, JPEG, WebP, TIFF, BMP, GIF (first frame), EXR or Radiance HDR.

    Args:
        source: path of a file, or the name of a sample (see `SAMPLES`); a file comes first. The
            format is found from the content, not from the suffix.
        max_megapixels: the largest size that is decoded, checked against the header; by default
            $FIELDS_MAX_MEGAPIXELS or 200.
        others: is said of a file of no known kind behind what pictures are read.

    Returns a `Picture`: upright, palette and CMYK turned into RGB, 16 bits and floats kept.
    Raises FieldsError, one line that names the file, for whatever cannot be read: no such file, no
    picture, cut short, damaged, too large, NaN or infinite values.
    """
    path = find_source(source)
    # Quiet first: in a process without stderr the picture itself may be opened as descriptor 2.
    with quiet_libraries():
        picture, orientation = _read(path, max_megapixels, others=others)
    return replace(picture, pixels=upright(picture.pixels, orientation))


def read_together(
    paths: Sequence, then: Callable[[Picture, Item], None], items: Sequence[Item], *, threads: int
) -> None:
    """Several picture files at once, their pixels as stored: none is turned upright.

    Args:
        paths: of files in PNG, JPEG, WebP, BMP or GIF; libraries for others are not for threads.
        then: takes each picture and its item, in the thread that has decoded it.
        items: one for each path.
        threads: how many.

    Errors are those of `read_picture`.
    """

    def one(path, item: Item) -> None:
        then(_read(Path(path), None, _FOR_THREADS)[0], item)

    # Once for all: it silences the whole process, under a lock.
    with quiet_libraries(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, paths, items))


def _read(
    path: Path,
    max_megapixels: float | None,
    formats: Container[str] | None = None,
    *,
    others: str = "",
) -> tuple[Picture, int]:
    """A picture as stored, and its orientation (see `upright`). Libraries must be quiet."""
    with open_file(path) as file:
        try:
            header = probe_open(file, max_megapixels)
            if formats is not None and header.format not in formats:
                raise Unreadable(f"is of the format {header.format}; convert it to PNG")
            decoded = _decode(file, header.format)
            _require_sound(decoded.pixels)
        except (FieldsError, KeyboardInterrupt):
            raise
        except Unreadable as reason:
            raise refused(path, reason, others) from None
        except MemoryError:
            raise FieldsError(
                f"{shown(path)} does not fit in memory; make it smaller first"
            ) from None
        except Exception as error:  # decoders raise all sorts when the bytes are not what they say
            if isinstance(error, OSError) and error.errno:  # not a decoder but the system
                raise FieldsError(f"{shown(path)} cannot be read: {error.strerror}") from None
            raise FieldsError(f"{shown(path)} {damage(error)}") from None
    picture = Picture(decoded.pixels, stem(path), header.format, decoded.icc)
    return picture, decoded.orientation


def find_source(source) -> Path:
    """The file that `source` means: a path as it is, or the file of a sample.

    Raises FieldsError if it is neither; it may still be no picture.
    """
    text = os.fsdecode(source)
    if not text:
        raise FieldsError("no picture is named; give a file or a sample, such as astronaut")
    try:
        os.lstat(text)
        return Path(text)
    except FileNotFoundError:
        pass
    except (OSError, ValueError):  # whoever opens it says what is wrong
        return Path(text)
    sample = sample_path(text)
    if sample is None:
        raise FieldsError(_missing(text))
    return sample


def _missing(text: str) -> str:
    """The line for what is neither a file nor a sample."""
    sample, near = likely_sample(text), likely_path(text)
    if sample is not None:
        return f"{shown(text)} does not exist; did you mean the sample {sample}?"
    if near is not None:
        return f"{shown(text)} does not exist; did you mean {shown(near)}?"
    if Path(text).name == text and not Path(text).suffix:
        return f"{shown(text)} is neither a file nor a sample; samples are {', '.join(SAMPLES)}"
    return f"{shown(text)} does not exist; check the path"


def _decode(file: BinaryIO, format_: str) -> Decoded:
    if format_ in _READERS:
        return _READERS[format_](file)
    return with_pillow.read(file, format_)


def _require_sound(pixels: np.ndarray) -> None:
    """Raise Unreadable if a value is NaN or infinite; assert what a Picture promises."""
    assert pixels.ndim == 3 and pixels.dtype in DTYPES and 1 <= pixels.shape[2] <= 4
    if pixels.dtype.kind != "f":
        return
    height, width, channels = pixels.shape
    rows = max(1, _BAND_VALUES // (width * channels))
    count, first = 0, None
    for top in range(0, height, rows):
        bad = ~np.isfinite(pixels[top : top + rows])
        number = int(np.count_nonzero(bad))
        if number and first is None:
            y, x, _ = np.unravel_index(int(bad.argmax()), bad.shape)
            first = (int(x), top + int(y))
        count += number
    if first is not None:
        values = "value that is" if count == 1 else "values that are"
        raise Unreadable(
            f"holds {count} {values} NaN or infinite, the first at x={first[0]}, y={first[1]}; "
            "replace them by finite numbers"
        )
