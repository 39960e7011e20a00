"""Reads a mesh or a point cloud, whatever its format; every failure is one line."""

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fields.errors import FieldsError
from fields.pictures.naming import plain, shown, stem
from fields.pictures.probe import open_file
from fields.pictures.silence import quiet_libraries
from fields.shapes import points
from fields.shapes.beside import Beside, Lost
from fields.shapes.colours import of_parts
from fields.shapes.formats import PREFIX_BYTES, READ_FORMATS, find_format
from fields.shapes.gltf_textures import laid
from fields.shapes.materials import Materials
from fields.shapes.mend import NO_FACES, NO_VERTEX, mend, mend_points
from fields.shapes.off import read_plain_off, without_comments
from fields.shapes.shape import Broken, Shape
from fields.shapes.whole import require_whole

_POINTS = {"npy": points.read_npy, "xyz": points.read_xyz, "pcd": points.read_pcd}
_GLTF = ("glb", "gltf")
_CALLED = {".npy": "array", ".xyz": "point cloud", ".pcd": "point cloud"}  # else a mesh
_UNPARSED = "is damaged: what it holds cannot be parsed; copy or download it again"


class Placed(NamedTuple):
    """A part as trimesh has it, the [4, 4] matrix of its place, and whether Y is up there."""

    part: Any
    matrix: np.ndarray
    y_up: bool

    def vertices(self) -> np.ndarray:
        """[V, 3] float64 in the scene, turned to Z up if Y is."""
        own = np.asarray(self.part.vertices, np.float64)
        placed = own @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return upright(placed) if self.y_up else placed

    def faces(self) -> np.ndarray:
        """[F, 3] int64; a mirror turns them around, and they are turned back."""
        faces = np.asarray(getattr(self.part, "faces", np.empty((0, 3))), np.int64)
        return faces[:, ::-1] if np.linalg.det(self.matrix[:3, :3]) < 0 else faces


def read_shape(path) -> Shape:
    """Read a mesh (OBJ, PLY, STL, OFF, GLB, glTF) or a point cloud (PLY, PCD, XYZ, NPY).

    The scene graph of a glTF is applied and its Y-up axes turned to Z up, (x, y, z) -> (x, -z, y);
    the other formats keep their axes. Polygons become triangles. The mesh is mended: see `mend`;
    what was done is said in its `notes`, and so is a picture that is missing. Its colours, of
    materials, textures, faces or vertices, are those of the mesh as stored. Points may have three
    more columns in XYZ and NPY: unit normals, or colours from 0 to 255.

    Raises FieldsError, one line that names the file, for whatever cannot be read: no such file, no
    shape, cut short, damaged, no faces, NaN coordinates, all vertices in one place.
    """
    name = shown(path)
    what = _CALLED.get(Path(os.fsdecode(path)).suffix.lower(), "mesh")
    # Quiet first: in a process without stderr the file itself may be opened as descriptor 2.
    with quiet_libraries(), open_file(path, what) as file:
        try:
            return _read(file, path)
        except (FieldsError, KeyboardInterrupt):
            raise
        except Broken as reason:
            raise FieldsError(f"{name} {plain(str(reason))}") from None
        except Lost as lost:  # a glTF's buffers lie beside it
            raise FieldsError(f"{name} needs {shown(lost.filename)}, which {lost.why}") from None
        except MemoryError:
            raise FieldsError(f"{name} does not fit in memory; simplify it first") from None
        except Exception as error:  # parsers raise all sorts when the bytes are not what they say
            # As NumPy and trimesh say it of the vertices, which alone are numbered in a file.
            outside = any(words in str(error) for words in ("out of bounds", "index outside"))
            raise FieldsError(f"{name} {NO_VERTEX if outside else _UNPARSED}") from None


def _read(file: BinaryIO, path) -> Shape:
    if not file.read(1):
        raise Broken("is empty (0 bytes); copy or download it again")
    file.seek(0)
    format_ = find_format(path)
    if format_ is None or format_ == "npz":
        raise Broken(f"is no shape that is known here; {READ_FORMATS}")
    require_whole(file, format_)
    if format_ in _POINTS:
        return mend_points(stem(path), *_POINTS[format_](file, path))
    beside = Beside(path)
    loaded = _with_trimesh(file, beside, format_)
    if format_ == "ply" and not any(len(placed.faces()) for placed in loaded):
        return mend_points(stem(path), *points.from_trimesh([p.part for p in loaded]))
    of_gltf = laid(file) if format_ in _GLTF else None
    shape = _joined(stem(path), loaded, Materials(of_gltf))
    notes = (*beside.notes(), *shape.notes)
    return replace(shape, notes=notes, up="z" if format_ in (*_GLTF, "stl") else "y")


def upright(vertices: np.ndarray) -> np.ndarray:
    """Vertices [V, 3] of a world whose Y axis points up, in one whose Z axis does."""
    return np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], axis=1)


def _with_trimesh(file: BinaryIO, beside: Any, format_: str) -> list[Placed]:
    """The parts of a file and their places in its scene, one for each time that they are there."""
    import trimesh

    if format_ == "off":
        text = without_comments(file.read())
        plain_off = read_plain_off(text)
        if plain_off is not None:
            return [Placed(trimesh.Trimesh(*plain_off, process=False), np.eye(4), False)]
        file = io.BytesIO(text)  # trimesh takes comments for faces
    if format_ == "obj":
        found = trimesh.load_scene(_obj(file, beside))
    else:
        options: dict[str, Any] = {}
        if format_ == "ply" and b"TextureFile" not in file.read(PREFIX_BYTES):
            # Its vertices stay as they are stored, so that their colours are still theirs.
            options["fix_texture"] = False
        file.seek(0)
        found = trimesh.load_scene(
            file, file_type=format_, resolver=beside, process=False, **options
        )
    placed = [found.graph[node] for node in found.graph.nodes_geometry]
    turned = format_ in _GLTF
    return [Placed(found.geometry[name], np.asarray(matrix), turned) for matrix, name in placed]


def _obj(file: BinaryIO, beside: Any) -> dict[str, Any]:
    """What trimesh makes its objects from; colours of vertices, which it drops where there is a
    material, stand beside that."""
    from trimesh.exchange.obj import load_obj

    content = load_obj(file, resolver=beside, process=False)
    for part in content.get("geometry", {}).values():
        if part.get("visual") is not None and "vertex_colors" in part:
            part["visual"].vertex_attributes["color"] = part.pop("vertex_colors")
    return content


def _joined(name: str, loaded: list[Placed], materials: Materials) -> Shape:
    """All meshes as one; raises Broken if there is no face."""
    meshes = [placed for placed in loaded if len(placed.faces())]
    if not meshes:
        raise Broken(NO_FACES)
    vertices = [mesh.vertices() for mesh in meshes]
    starts = np.cumsum([0, *map(len, vertices[:-1])])
    faces = [mesh.faces() for mesh in meshes]
    shape = mend(
        name,
        np.concatenate(vertices),
        np.concatenate([part + start for part, start in zip(faces, starts, strict=True)]),
    )
    parts = list(zip(vertices, faces, strict=True))
    painted = [materials.painted(m.part, *part) for m, part in zip(meshes, parts, strict=True)]
    colours = of_parts(painted, lambda i: materials.bare(*parts[i]))
    return replace(shape, colours=colours, notes=(*materials.notes, *shape.notes))
