"""Writes a mesh to a file; the suffix says the format."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fields.cameras import UPS
from fields.errors import FieldsError, either
from fields.pictures.naming import shown
from fields.pictures.replacing import replacing
from fields.shapes import glb, ply
from fields.shapes.limits import check_faces
from fields.shapes.with_open3d import open3d_for

_FORMATS = {".glb": "glb", ".ply": "ply", ".obj": "obj", ".stl": "stl"}
_FINE = 1e-5  # of the longest side: positions coarser than this would be seen


def mesh_format(path) -> str:
    """The format that a name asks for: glb, ply, obj or stl, by its suffix.

    Raises FieldsError for another suffix or a folder; so a command can refuse before it begins.
    """
    if os.path.isdir(path):
        example = shown(Path(os.fsdecode(path)) / "shape.glb")
        raise FieldsError(f"{shown(path)} is a folder; name a file in it, such as {example}")
    suffix = Path(os.fsdecode(path)).suffix.lower()
    if suffix not in _FORMATS:
        raise FieldsError(
            f"{shown(path)} cannot be written: its suffix says no format of meshes; "
            f"end it in {either(_FORMATS)}"
        )
    return _FORMATS[suffix]


def write_mesh(
    path,
    vertices: np.ndarray,
    faces: np.ndarray,
    normals: np.ndarray | None = None,
    colours: np.ndarray | None = None,
    *,
    up: str | Sequence[float] = "z",
) -> None:
    """Write a mesh; the file appears complete or not at all.

    Args:
        path: where; its suffix says the format (see `mesh_format`).
        vertices: [V, 3] finite. GLB turns them to Y up as glTF wants, those with Z up by (x, y, z)
            -> (x, z, -y), and keeps the centre apart, in the transform of its node, so that a mesh
            far from the origin loses nothing to 32-bit floats; PLY takes doubles where floats
            would lose, OBJ as many digits as it needs, and both keep the axes.
        faces: [F, 3] integers.
        normals: [V, 3] of unit length; STL has none of vertices.
        up: the axis of `vertices` that points up, x, y or z, or a direction [3].
        colours: [V, 3] uint8 sRGB; GLB holds them linear, as glTF says, in 16 bits; STL has none.

    Raises FieldsError, one line: unknown suffix, arrays that are no mesh, an STL so far from the
    origin that its 32-bit floats would spoil it, and whatever the system refuses.
    """
    format_ = mesh_format(path)
    vertices, faces = _checked(path, vertices, faces, normals, colours)
    if format_ == "stl" and _float32_error(vertices) > _FINE:
        raise FieldsError(
            f"{shown(path)}: STL holds 32-bit floats, too coarse for a mesh this small this far "
            "from the origin; use .glb, .ply or .obj"
        )
    with replacing(path) as file:
        if format_ == "glb":
            turned = None if normals is None else _to_z_up(normals, up)
            file.write(glb.encode(_to_z_up(vertices, up), faces, turned, colours))
        elif format_ == "ply":
            exact = _float32_error(vertices) > _FINE / 100
            file.write(ply.encode(vertices, faces, normals, colours, exact=exact))
        else:
            file.write(_with_trimesh(format_, vertices, faces, normals, colours))


def _to_z_up(vectors: np.ndarray, up: str | Sequence[float]) -> np.ndarray:
    """Vectors [V, 3] turned so that the axis or the direction `up` becomes z."""
    if not isinstance(up, str):
        axis = next((a for a, unit in UPS.items() if np.allclose(up, unit, atol=1e-4)), None)
        if axis is None:
            return np.asarray(vectors) @ _shortest_turn(np.asarray(up, np.float64)).T
        up = axis
    x, y, z = np.asarray(vectors).T
    return np.stack({"x": (y, z, x), "y": (x, -z, y), "z": (x, y, z)}[up], axis=1)


def _shortest_turn(up: np.ndarray) -> np.ndarray:
    """[3, 3]: the least rotation that brings a direction to z."""
    x, y, z = up / np.linalg.norm(up)
    if z < -0.9999:
        return np.diag([1.0, -1.0, -1.0])
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + z)


def decimate(vertices: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A mesh [V, 3], [F, 3] with about `count` faces, by open3d (quadric error, Garland & Heckbert
    1997); as it is where it has no more. Raises FieldsError below 4 faces or without open3d."""
    check_faces(count)
    if len(faces) <= count:
        return vertices, faces
    open3d = open3d_for("--faces")
    low, side = vertices.min(0), float(np.ptp(vertices, axis=0).max())
    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector((vertices - low) / side - 0.5),  # errors are squares
        open3d.utility.Vector3iVector(faces.astype(np.int32)),
    ).simplify_quadric_decimation(count)
    mesh.remove_degenerate_triangles()
    mesh.remove_unreferenced_vertices()
    return (np.asarray(mesh.vertices) + 0.5) * side + low, np.asarray(mesh.triangles, np.int64)


def nearest(vertices: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the vertices [V, 3] is nearest to each of the others [N, 3]: indices [N]."""
    from scipy.spatial import KDTree

    middle = vertices.mean(0)  # where doubles are finest
    return np.asarray(KDTree(vertices - middle).query(others - middle)[1])


def _checked(path, vertices, faces, normals, colours) -> tuple[np.ndarray, np.ndarray]:
    name = shown(path)
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not len(vertices):
        raise FieldsError(f"{name}: vertices must be [V, 3], got {list(vertices.shape)}")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu" or not len(faces):
        raise FieldsError(f"{name}: faces must be whole numbers [F, 3], got {list(faces.shape)}")
    if not np.isfinite(vertices).all():
        raise FieldsError(f"{name}: vertices are NaN or infinite; nothing is written")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise FieldsError(f"{name}: a face names a vertex that is not there")
    for what, rows in {"normals": normals, "colours": colours}.items():
        if rows is not None and np.shape(rows) != vertices.shape:
            raise FieldsError(f"{name}: {what} must be [V, 3], got {list(np.shape(rows))}")
    return vertices, faces.astype(np.int64)


def _float32_error(vertices: np.ndarray) -> float:
    """By how much float32 moves a vertex at most, as a share of the longest side."""
    side = float(np.ptp(vertices, axis=0).max()) or 1.0
    return float(np.spacing(np.float32(np.abs(vertices).max()))) / 2 / side


def _with_trimesh(format_: str, vertices, faces, normals, colours) -> bytes:
    """OBJ and STL."""
    import trimesh
    from trimesh.exchange.obj import export_obj
    from trimesh.exchange.stl import export_stl

    mesh = trimesh.Trimesh(
        vertices, faces, vertex_normals=normals, vertex_colors=colours, process=False
    )
    if format_ == "stl":
        return export_stl(mesh)
    side = float(np.ptp(vertices, axis=0).max()) or 1.0
    digits = max(0, 8 - math.floor(math.log10(side)))
    text = export_obj(
        mesh,
        include_normals=normals is not None,
        include_color=colours is not None,
        include_texture=False,
        digits=digits,
    )
    return text.encode() + b"\n"
