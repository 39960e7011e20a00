"""What kind of file this is: a mesh, points or a volume; from its first bytes, then its suffix."""

import os
import re
import struct
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from fields.pictures.pointer import is_pointer

Kind = Literal["mesh", "points", "volume"]

PREFIX_BYTES = 4096
_SHAPES = "OBJ, PLY, STL, OFF, GLB and glTF meshes, PLY, PCD, XYZ and NPY points"
READ_FORMATS = f"{_SHAPES} are read"
AS_WELL = f"so are {_SHAPES}, NPY and NPZ volumes"  # behind what pictures are read

NO_NPY = "is no NPY file: it does not begin as one; write it with numpy.save"
_NPY = b"\x93NUMPY"
_BY_START = (
    (rb"ply\s", "ply"),
    (rb"glTF", "glb"),
    (rb"(#.*\n)*\s*(C|N|CN|ST)?OFF(\s|\d)", "off"),
    (rb"# \.PCD", "pcd"),
    (rb"(#.*\n)*VERSION \.?0?\.7\s", "pcd"),
    (re.escape(_NPY), "npy"),
)
_SUFFIXES = ("obj", "stl", "gltf", "xyz", "npy", "npz")
_TOLD_BY_START = {name for _, name in _BY_START}


def find_format(path) -> str | None:
    """obj, ply, stl, off, glb, gltf, pcd, xyz, npy or npz; None for what is none of them.

    The content decides where it can: OBJ, STL, XYZ, glTF and NPZ are told by their suffix, and so
    is what a pointer of Git LFS stands for. Raises OSError or ValueError if the file cannot be
    opened.
    """
    path = os.fsdecode(path)
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        prefix = file.read(PREFIX_BYTES)
    for start, name in _BY_START:
        if re.match(start, prefix):
            return name
    suffix = Path(path).suffix.lower()[1:]
    if suffix in _SUFFIXES or (is_pointer(prefix) and suffix in _TOLD_BY_START):
        return suffix
    if len(prefix) >= 84:  # a binary STL is known by its length
        (faces,) = struct.unpack_from("<I", prefix, 80)
        if faces and os.path.getsize(path) == 84 + 50 * faces:
            return "stl"
    return None


def find_kind(path) -> Kind | None:
    """What a file holds, cheaply: "mesh", "points" or "volume"; None if it is no shape.

    It may still turn out to be damaged. A PLY without faces is a point cloud, a NumPy array
    [N, 3 or 6] as well, and one [X, Y, Z] a volume.
    """
    try:
        name = find_format(path)
        if name == "ply":
            return "mesh" if _has_faces(path) else "points"
        if name == "npy":
            return "points" if _npy_axes(path) <= 2 else "volume"
    except (OSError, ValueError):
        return None
    if name in ("pcd", "xyz"):
        return "points"
    if name is None:
        return None
    return "volume" if name == "npz" else "mesh"


def _has_faces(path) -> bool:
    """Whether the header of a PLY promises faces; a pointer to one is taken for a mesh."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    found = re.search(rb"element\s+(?:face|tristrips)\s+(\d+)", head.split(b"end_header")[0])
    return is_pointer(head) or bool(found and int(found[1]))


def _npy_axes(path) -> int:
    """How many axes the array of an NPY has, by its header; 2 where that is none, as the reader of
    points then says."""
    with open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            shape = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)[0]
        except ValueError:
            return 2
    return len(shape)


def is_npy(file: BinaryIO) -> bool:
    """Whether a file begins as an NPY does; it is left at its start."""
    file.seek(0)
    start = file.read(len(_NPY))
    file.seek(0)
    return start == _NPY
