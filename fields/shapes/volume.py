"""A volume: a value at each point of a grid, such as an occupancy or a CT scan."""

import zipfile
from dataclasses import dataclass

import numpy as np

from fields.errors import FieldsError
from fields.pictures.naming import plain, shown, stem
from fields.pictures.probe import open_file
from fields.shapes.formats import NO_NPY, find_format, is_npy

MAX_VALUES = 1 << 30


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume in memory.

    Args:
        name: what the file is called, without folder and suffix; printable.
        values: [X, Y, Z] float32, finite, C-contiguous, as stored.
        window: (lowest, highest) of the values, lowest < highest.
    """

    name: str
    values: np.ndarray
    window: tuple[float, float]


def read_volume(path) -> Volume:
    """Read a volume: NPY, or the only array of three axes of an NPZ.

    Integers, booleans and floats become float32. Raises FieldsError, one line that names the file,
    for what is no volume: other axes, fewer than 2 points along one, more than 2^30 values, NaN or
    infinite values, the same value everywhere, Python objects.
    """
    name = shown(path)
    try:
        with open_file(path, "volume") as file:
            format_ = find_format(path)
            if format_ not in ("npy", "npz"):
                raise FieldsError(f"{name} is no volume; NumPy arrays in .npy and .npz are read")
            if format_ == "npy" and not is_npy(file):
                raise FieldsError(f"{name} {NO_NPY}")
            loaded = np.load(file, allow_pickle=False)
            array = loaded if isinstance(loaded, np.ndarray) else _only_volume(loaded, name)
    except FieldsError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if "pickle" in str(error):
            raise FieldsError(
                f"{name} holds Python objects, which are not read; save an array of numbers"
            ) from None
        raise FieldsError(f"{name} is damaged; copy or download it again") from None
    return Volume(stem(path), *_checked(array, name))


def _only_volume(archive, name: str) -> np.ndarray:
    with archive:
        found = [key for key in archive.files if archive[key].ndim == 3]
        if len(found) != 1:
            held = plain(", ".join(archive.files)) or "nothing"
            raise FieldsError(
                f"{name} must hold one array [X, Y, Z], but {len(found) or 'none'} of its arrays "
                f"({held}) have three axes; save the one that is meant as .npy"
            )
        return archive[found[0]]


def _checked(array: np.ndarray, name: str) -> tuple[np.ndarray, tuple[float, float]]:
    """Values as a Volume has them, and their window."""
    shape = list(array.shape)
    if array.ndim != 3 or min(shape) < 2:
        raise FieldsError(
            f"{name} must be [X, Y, Z] with at least 2 points along each axis, got {shape}"
        )
    if array.dtype == np.uint8 and shape[2] in (3, 4):
        raise FieldsError(f"{name} is a picture {shape}, not a volume; save it as PNG")
    if array.dtype.kind not in "biuf":
        raise FieldsError(f"{name} must hold real numbers, got {array.dtype}")
    if array.size > MAX_VALUES:
        raise FieldsError(f"{name} holds {array.size:,} values, more than {MAX_VALUES:,}; thin it")
    values = np.ascontiguousarray(array, np.float32)
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise FieldsError(
            f"{name} holds {bad} values that are NaN or infinite; replace them by finite numbers"
        )
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise FieldsError(f"{name} is {low:g} everywhere; there is nothing to fit")
    return values, (low, high)
