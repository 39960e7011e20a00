"""Reads point clouds: PLY without faces, PCD, XYZ and NPY."""

import os
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fields.shapes import columns
from fields.shapes.formats import NO_NPY, is_npy
from fields.shapes.shape import Broken
from fields.shapes.with_open3d import open3d_for


class Cloud(NamedTuple):
    """Points [N, 3] as stored, not yet checked; normals [N, 3] and colours [N, 3], or None."""

    points: np.ndarray
    normals: np.ndarray | None = None
    colours: np.ndarray | None = None


def read_npy(file: BinaryIO, path) -> Cloud:
    """An array [N, 3 or 6]."""
    if not is_npy(file):
        raise Broken(NO_NPY)
    try:
        array = np.load(file, allow_pickle=False)
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise Broken("holds Python objects, which are not read; save an array of numbers") from None
    if array.ndim == 3:
        raise Broken("is a volume, not a mesh or points")
    if array.dtype.kind not in "iuf":
        kind = "columns with names" if array.dtype.names else array.dtype.name
        raise Broken(f"must hold whole numbers or floats, got {kind}")
    if array.ndim != 2 or array.shape[1] not in (3, 6):
        raise Broken(
            f"must be an array of points [N, 3 or 6] or a volume [X, Y, Z], got {list(array.shape)}"
        )
    return _by_columns(array.astype(np.float64))


def read_xyz(file: BinaryIO, path) -> Cloud:
    """Lines of 3 or 6 numbers, apart by blanks or commas; what follows a # is a comment."""

    def lines() -> Iterator[str]:
        file.seek(0)
        return (line.replace(b",", b" ").decode("latin-1") for line in file)

    return _by_columns(columns.read(lines, (3, 6)))


def read_pcd(file: BinaryIO, path) -> Cloud:
    """A PCD, by open3d."""
    open3d = open3d_for("a PCD")
    cloud = open3d.io.read_point_cloud(os.fsdecode(path), format="pcd", remove_nan_points=False)
    if not len(cloud.points):
        raise Broken("holds no points, or is damaged")
    normals = np.asarray(cloud.normals) if cloud.has_normals() else None
    colours = _bytes(np.asarray(cloud.colors) * 255) if cloud.has_colors() else None
    return Cloud(np.asarray(cloud.points), normals, colours)


def from_trimesh(loaded: list[Any]) -> Cloud:
    """The points of a PLY that trimesh has read."""
    if len(loaded) != 1 or not len(loaded[0].vertices):
        raise Broken("has neither faces nor points")
    (cloud,) = loaded
    vertices = np.asarray(cloud.vertices, np.float64)
    raw = cloud.metadata.get("_ply_raw", {}).get("vertex", {}).get("data", {})
    names = raw.dtype.names if isinstance(raw, np.ndarray) else tuple(raw)
    normals = None
    if names and {"nx", "ny", "nz"} <= set(names):
        normals = np.stack([np.ravel(raw[key]) for key in ("nx", "ny", "nz")], 1)
    colours = getattr(cloud, "colors", None)
    has_colours = colours is not None and np.shape(colours)[:1] == (len(vertices),)
    return Cloud(vertices, normals, np.asarray(colours)[:, :3] if has_colours else None)


def _by_columns(array: np.ndarray) -> Cloud:
    """Columns 4 to 6 are unit normals or colours; what they are shows in their values."""
    if array.size == 0:
        raise Broken("holds no points")
    if array.shape[1] == 3:
        return Cloud(array)
    extra = array[:, 3:]
    sound = extra[np.isfinite(extra).all(1)]
    lengths = np.linalg.norm(sound, axis=1)
    if np.abs(lengths - 1).max(initial=0) < 0.01:
        return Cloud(array[:, :3], normals=extra)
    if sound.min() >= 0 and sound.max() <= 255 and (sound == np.round(sound)).all():
        return Cloud(array[:, :3], colours=_bytes(extra))
    raise Broken(
        "has columns 4 to 6 that are neither normals of length 1 nor whole colours from 0 to 255; "
        "leave them out or put them right"
    )


def _bytes(colours: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.round(colours)).clip(0, 255).astype(np.uint8)
