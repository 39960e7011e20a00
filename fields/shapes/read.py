"""Reads a mesh or a point cloud, whatever its format; every failure is one line."""

import os
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fields.errors import FieldsError
from fields.pictures.naming import plain, shown, stem
from fields.pictures.probe import open_file
from fields.pictures.silence import quiet_libraries
from fields.shapes import points
from fields.shapes.formats import READ_FORMATS, find_format, is_pointer
from fields.shapes.mend import mend, mend_points
from fields.shapes.shape import Broken, Shape

_POINTS = {"npy": points.read_npy, "xyz": points.read_xyz, "pcd": points.read_pcd}
_GLTF = ("glb", "gltf")
_STAND_IN = (2, 2)  # of the grey picture that trimesh puts where a texture is missing


class Placed(NamedTuple):
    """A part as trimesh has it, and the [4, 4] matrix of its place."""

    part: Any
    matrix: np.ndarray

    def vertices(self) -> np.ndarray:
        """[V, 3] float64 in the scene."""
        return (
            np.asarray(self.part.vertices, np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        )

    def faces(self) -> np.ndarray:
        """[F, 3] int64; a mirror turns them around, and they are turned back."""
        faces = np.asarray(self.part.faces, np.int64)
        return faces[:, ::-1] if np.linalg.det(self.matrix[:3, :3]) < 0 else faces


class Parts(NamedTuple):
    """What a mesh file holds, its parts one behind the other: see `Shape`."""

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray | None


def read_shape(path) -> Shape:
    """Read a mesh (OBJ, PLY, STL, OFF, GLB, glTF) or a point cloud (PLY, PCD, XYZ, NPY).

    The scene graph of a glTF is applied and its Y-up axes turned to Z up, (x, y, z) -> (x, -z, y);
    the other formats keep their axes. Polygons become triangles, a texture the colours of the
    vertices. The mesh is mended: see `mend`; what was done is said in its `notes`. Points may have
    three more columns in XYZ and NPY: unit normals, or colours from 0 to 255.

    Raises FieldsError, one line that names the file, for whatever cannot be read: no such file, no
    shape, cut short, damaged, no faces, NaN coordinates, all vertices in one place.
    """
    name = shown(path)
    # Quiet first: in a process without stderr the file itself may be opened as descriptor 2.
    with quiet_libraries(), open_file(path, "mesh") as file:
        try:
            return _read(file, path)
        except (FieldsError, KeyboardInterrupt):
            raise
        except Broken as reason:
            raise FieldsError(f"{name} {plain(str(reason))}") from None
        except MemoryError:
            raise FieldsError(f"{name} does not fit in memory; simplify it first") from None
        except Exception as error:  # parsers raise all sorts when the bytes are not what they say
            if isinstance(error, FileNotFoundError):  # a glTF's buffers lie beside it
                missing = shown(error.filename or "another file")
                raise FieldsError(f"{name} needs {missing}, which is not there") from None
            raise FieldsError(
                f"{name} is damaged: what it holds cannot be parsed; copy or download it again"
            ) from None


def _read(file: BinaryIO, path) -> Shape:
    format_ = find_format(path)
    if format_ is None or format_ == "npz":
        raise Broken(_not_a_shape(file, path))
    if format_ in _POINTS:
        return mend_points(stem(path), *_POINTS[format_](file, path))
    if format_ == "ply":
        loaded = _with_trimesh(file, path, format_)
        if not any(len(getattr(placed.part, "faces", ())) for placed in loaded):
            return mend_points(stem(path), *points.from_trimesh([p.part for p in loaded]))
    else:
        loaded = _with_trimesh(file, path, format_)
    parts = _joined(loaded, linear=format_ in _GLTF)
    if format_ in _GLTF:
        parts = parts._replace(vertices=upright(parts.vertices))
    shape = mend(stem(path), *parts)
    return replace(shape, up="z") if format_ in (*_GLTF, "stl") else shape


def upright(vertices: np.ndarray) -> np.ndarray:
    """Vertices [V, 3] of a world whose Y axis points up, in one whose Z axis does."""
    return np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], axis=1)


def _not_a_shape(file: BinaryIO, path) -> str:
    if is_pointer(path):
        return "is a Git LFS pointer, not the mesh; run `git lfs pull`"
    if not file.read(1):
        return "is empty (0 bytes); copy or download it again"
    return f"is no shape that is known here; {READ_FORMATS}"


def _with_trimesh(file: BinaryIO, path, format_: str) -> list[Placed]:
    """The parts of a file and their places in its scene, one for each time that they are there."""
    import trimesh
    from trimesh.resolvers import FilePathResolver

    resolver = FilePathResolver(os.fsdecode(path))
    scene = trimesh.load_scene(file, file_type=format_, resolver=resolver, process=False)
    placed = [scene.graph[node] for node in scene.graph.nodes_geometry]
    return [Placed(scene.geometry[name], np.asarray(matrix)) for matrix, name in placed]


def _joined(loaded: list[Placed], *, linear: bool) -> Parts:
    """All meshes as one, with colours if any has them; raises Broken if there is no face."""
    meshes = [placed for placed in loaded if len(getattr(placed.part, "faces", ()))]
    if not meshes:
        raise Broken("has no faces; points alone are read from PLY, PCD, XYZ and NPY")
    vertices = [mesh.vertices() for mesh in meshes]
    starts = np.cumsum([0, *map(len, vertices[:-1])])
    faces = [mesh.faces() + start for mesh, start in zip(meshes, starts, strict=True)]
    found = [_colours(mesh.part, linear) for mesh in meshes]
    colours = None
    if any(colour is not None for colour in found):
        colours = np.concatenate(
            [
                np.full((len(v), 3), 128, np.uint8) if c is None else c
                for v, c in zip(vertices, found, strict=True)
            ]
        )
    return Parts(np.concatenate(vertices), np.concatenate(faces), colours)


def _colours(mesh, linear: bool) -> np.ndarray | None:
    """[V, 3] uint8 sRGB of one mesh, or None if it has no colours of its own."""
    kind = mesh.visual.kind
    if kind == "texture":
        material = mesh.visual.material
        picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        factor = getattr(material, "baseColorFactor", None)
        own = getattr(mesh.visual, "vertex_attributes", {}).get("color")
        if picture is None and own is not None:  # of a glTF, which has a material as well
            return from_linear(np.asarray(own)[:, :3])
        if picture is None and factor is not None:
            return np.tile(from_linear(np.asarray(factor)[:3]), (len(mesh.vertices), 1))
        if picture is None or mesh.visual.uv is None or picture.size == _STAND_IN:
            return None
        colours = mesh.visual.to_color().vertex_colors
    elif kind in ("vertex", "face"):
        colours = mesh.visual.vertex_colors
        if linear:
            return from_linear(np.asarray(colours)[:, :3])
    else:
        return None
    colours = np.asarray(colours)
    return colours[:, :3].astype(np.uint8) if len(colours) == len(mesh.vertices) else None


def from_linear(colours: np.ndarray) -> np.ndarray:
    """Linear light, whole numbers of any size or floats from 0 to 1 -> sRGB as uint8
    (IEC 61966-2-1)."""
    top = np.iinfo(colours.dtype).max if colours.dtype.kind == "u" else 1
    light = (colours.astype(np.float64) / top).clip(0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)
