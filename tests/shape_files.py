"""Small meshes, in memory and as files, and what is said of them."""

import numpy as np
import pytest

from fields.errors import FieldsError, MissingLibrary
from fields.shapes import read_shape
from fields.shapes.with_open3d import open3d_for


def sphere(radius=1.0, centre=(0, 0, 0), rounds=2, inward=False):
    """Vertices [V, 3] and faces [F, 3] of a closed mesh around `centre`."""
    import trimesh

    ball = trimesh.creation.icosphere(rounds, radius)
    faces = np.asarray(ball.faces)
    return np.asarray(ball.vertices) + centre, faces[:, ::-1] if inward else faces


def box(**colours):
    """A cube from -1/2 to 1/2, with `face_colors` or `vertex_colors` as trimesh takes them."""
    import trimesh

    plain = trimesh.creation.box()
    return trimesh.Trimesh(plain.vertices, plain.faces, process=False, **colours)


def joined(*meshes):
    """Meshes (vertices, faces) as one."""
    starts = np.cumsum([0] + [len(v) for v, _ in meshes])
    faces = [f + start for (_, f), start in zip(meshes, starts, strict=False)]
    return np.concatenate([v for v, _ in meshes]), np.concatenate(faces)


def off(path, vertices, faces, header="OFF\n"):
    """Write an OFF file; returns its path."""
    lines = [f"{header}{len(vertices)} {len(faces)} 0"]
    lines += [" ".join(map(repr, map(float, v))) for v in vertices]
    lines += [" ".join(map(str, [len(f), *f])) for f in faces]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_mesh(path, mesh=None):
    """Any mesh of trimesh as a file; by default a torus that stands in the plane of its file."""
    import trimesh

    mesh = mesh or trimesh.creation.torus(1.0, 0.4, major_sections=48, minor_sections=24)
    mesh.export(path)
    return path


def line_for(path):
    """The one line that reading a file is refused with."""
    with pytest.raises(FieldsError) as caught:
        read_shape(path)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 400
    return line


def volume(vertices, faces):
    """Signed volume of a closed mesh, positive if its normals point outward."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def open3d():
    """The module; a test that needs it is skipped where it cannot be had."""
    try:
        return open3d_for("the test")
    except MissingLibrary as error:
        pytest.skip(str(error), allow_module_level=True)
