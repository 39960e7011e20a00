"""Meshes, point clouds and volumes: read, mended, extracted, written, scored.

`read_shape` is the way in, `extract` the way back. Free of torch, apart from the extraction.
"""

from fields.shapes.formats import find_kind
from fields.shapes.read import read_shape
from fields.shapes.shape import Shape
from fields.shapes.space import ShapeSpace
from fields.shapes.volume import Volume, read_volume
from fields.shapes.write import mesh_format, write_mesh

__all__ = [
    "Shape",
    "ShapeSpace",
    "Volume",
    "find_kind",
    "mesh_format",
    "read_shape",
    "read_volume",
    "write_mesh",
]
