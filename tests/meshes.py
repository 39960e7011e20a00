"""Small meshes in the unit cube, as float32 vertices and faces that look outwards."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(os.environ.get("FIELDS_DATA", "")) / "meshes"
NEEDS_MESHES = pytest.mark.skipif(
    "FIELDS_DATA" not in os.environ or not FOLDER.is_dir(),
    reason="the folder of FIELDS_DATA has no meshes",
)


def tensors(vertices, faces):
    vertices = torch.tensor(np.asarray(vertices), dtype=torch.float32)
    return vertices, torch.tensor(np.asarray(faces), dtype=torch.int64)


def grid_faces(rows, columns, wrap_rows, wrap_columns):
    """Two triangles for each cell of a grid of vertices, row by row."""
    faces = []
    for i in range(rows if wrap_rows else rows - 1):
        for j in range(columns if wrap_columns else columns - 1):
            a, b = i * columns + j, i * columns + (j + 1) % columns
            c, d = ((i + 1) % rows * columns + k % columns for k in (j, j + 1))
            faces += [(a, c, b), (b, c, d)]
    return faces


def torus(rows=40, columns=20, outer=0.3, inner=0.1):
    """Closed, with a hole and saddles."""
    u, v = np.meshgrid(
        np.arange(rows) * 2 * np.pi / rows, np.arange(columns) * 2 * np.pi / columns, indexing="ij"
    )
    radius = outer + inner * np.cos(v)
    vertices = np.stack([radius * np.cos(u), radius * np.sin(u), inner * np.sin(v)], -1) + 0.5
    return tensors(vertices.reshape(-1, 3), grid_faces(rows, columns, True, True))


def bumpy_sheet(size=25):
    """Open: a height field, looking up."""
    x, y = np.meshgrid(np.linspace(0.1, 0.9, size), np.linspace(0.1, 0.9, size), indexing="ij")
    z = 0.5 + 0.1 * np.sin(9 * x) * np.cos(7 * y)
    return tensors(np.stack([x, y, z], -1).reshape(-1, 3), grid_faces(size, size, False, False))


def cube(low=0.05, high=0.95):
    """Twelve triangles, at right angles."""
    corners = [(x, y, z) for x in (low, high) for y in (low, high) for z in (low, high)]
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return tensors(corners, [f for a, b, c, d in sides for f in ((a, b, c), (a, c, d))])


def soup(count=500, seed=0):
    """Triangles anywhere, of all sizes and shapes, a few of them slivers."""
    random = np.random.default_rng(seed)
    size = 10 ** random.uniform(-4, -1, (count, 1, 1))
    corners = random.uniform(0, 1, (count, 1, 3)) + size * random.normal(0, 1, (count, 3, 3))
    slivers = corners[::10]
    t = random.uniform(0, 1, (len(slivers), 1))
    slivers[:, 2] = slivers[:, 0] * (1 - t) + slivers[:, 1] * t
    return tensors(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))


def spikes(count=60, seed=0):
    """Closed, a star of needles: acute corners, where many normals differ."""
    random = np.random.default_rng(seed)
    i = np.arange(count) + 0.5
    polar, azimuth = np.arccos(1 - 2 * i / count), np.pi * (1 + 5**0.5) * i
    points = np.stack(
        [np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], -1
    )
    from scipy.spatial import ConvexHull

    hull = ConvexHull(points).simplices
    a, b, c = points[hull.T]
    outward = (np.cross(b - a, c - a) * (a + b + c)).sum(-1) > 0
    faces = np.where(outward[:, None], hull, hull[:, ::-1])
    radius = random.uniform(0.05, 0.45, (count, 1))
    return tensors(0.5 + points * radius, faces)


def read(name):
    """A mesh of FIELDS_DATA, welded and scaled into the cube."""
    import trimesh

    mesh = trimesh.load_mesh(FOLDER / name, process=False)
    assert isinstance(mesh, trimesh.Trimesh)
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    vertices = (mesh.vertices - (low + high) / 2) * (0.9 / (high - low).max()) + 0.5
    return tensors(vertices, mesh.faces)
