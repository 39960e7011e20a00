"""Shapes and volumes that fits take as they are."""

import meshes
import numpy as np

from fields.shapes import Shape, Volume


def torus(scale=1.0, offset=(0.0, 0.0, 0.0)):
    vertices, faces = meshes.torus()
    vertices = vertices.double().numpy() * scale + np.asarray(offset)
    return Shape("torus", vertices, faces.numpy(), sign="pseudonormal")


def sheet():
    vertices, faces = meshes.bumpy_sheet()
    return Shape("sheet", vertices.double().numpy(), faces.numpy())


def points():
    """Of a torus, with normals."""
    rng = np.random.default_rng(0)
    u, v = rng.uniform(0, 2 * np.pi, (2, 2000))
    normals = np.stack([np.cos(u) * np.cos(v), np.sin(u) * np.cos(v), np.sin(v)], 1)
    centres = 0.3 * np.stack([np.cos(u), np.sin(u), 0 * u], 1)
    faces = np.zeros((0, 3), np.int64)
    return Shape("cloud", centres + 0.1 * normals, faces, "points", normals)


def volume():
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in (20, 24, 16)], indexing="ij")
    values = (100 * np.exp(-3 * (x**2 + y**2 + z**2)) - 20).astype(np.float32)
    return Volume("blob", values, (float(values.min()), float(values.max())))
