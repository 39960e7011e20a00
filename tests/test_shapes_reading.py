"""Meshes, points and volumes of every format are read as what they are."""

import numpy as np
import pytest
import shape_files
import trimesh
import trimesh.exchange.gltf
from shape_files import off, sphere

from fields.shapes import find_kind, read_shape, read_volume

BALL = sphere()


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb", "gltf"])
def test_a_mesh_of_any_format_is_closed_and_where_it_was(tmp_path, suffix):
    path = tmp_path / f"ball.{suffix}"
    mesh = trimesh.Trimesh(*BALL, process=False)
    if suffix == "gltf":
        for name, data in trimesh.exchange.gltf.export_gltf(mesh.scene()).items():
            (tmp_path / name).write_bytes(data)
        path = tmp_path / "model.gltf"
    else:
        mesh.export(path)
    assert find_kind(path) == "mesh"
    shape = read_shape(path)
    assert shape.sign == "pseudonormal" and shape.is_closed and shape.notes == ()
    assert len(shape.vertices) == len(BALL[0]) and len(shape.faces) == len(BALL[1])
    assert np.allclose(np.linalg.norm(shape.vertices, axis=1), 1, atol=1e-6)
    assert shape.colours is None and str(shape) == "320 faces, closed"


@pytest.mark.parametrize("header", ["OFF\n", "OFF ", "OFF", "OFF\r\n", "# a comment\nOFF\n"])
def test_an_off_header_may_be_glued_to_its_counts(tmp_path, header):
    shape = read_shape(off(tmp_path / "ball.off", *BALL, header))
    assert len(shape.faces) == 320


def test_polygons_become_triangles(tmp_path):
    path = tmp_path / "cube.off"
    trimesh.creation.box().export(path)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    shape = read_shape(off(path, corners, quads))
    assert len(shape.faces) == 12 and shape.sign == "pseudonormal"


def test_the_scene_of_a_glb_is_applied_and_turned_to_z_up(tmp_path):
    scene = trimesh.Scene()
    box = trimesh.creation.box((1, 1, 1))
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((0, 5, 0)))
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((3, 0, 2)))
    scene.export(tmp_path / "two.glb")
    shape = read_shape(tmp_path / "two.glb")
    assert len(shape.faces) == 24
    assert shape.vertices.min(0).tolist() == [-0.5, -2.5, -0.5]
    assert shape.vertices.max(0).tolist() == [3.5, 0.5, 5.5]


def test_points_with_normals_or_colours(tmp_path):
    points, normals = BALL[0] * 2, BALL[0]
    np.save(tmp_path / "p.npy", np.hstack([points, normals]))
    np.savetxt(tmp_path / "p.xyz", np.hstack([points, normals]), header="x y z nx ny nz")
    properties = "".join(f"property double {n}\n" for n in ("x", "y", "z", "nx", "ny", "nz"))
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{properties}"
    body = np.hstack([points, normals]).astype("<f8").tobytes()
    (tmp_path / "p.ply").write_bytes((head + "end_header\n").encode() + body)
    for name in ("p.npy", "p.xyz", "p.ply"):
        assert find_kind(tmp_path / name) == "points"
        shape = read_shape(tmp_path / name)
        assert shape.kind == "points" and shape.sign == "none" and len(shape.faces) == 0
        assert np.allclose(shape.vertices, points) and np.allclose(shape.normals, normals)
        assert str(shape) == "162 points with normals"
    np.savetxt(tmp_path / "c.xyz", np.hstack([points, np.full_like(points, 200)]), delimiter=",")
    coloured = read_shape(tmp_path / "c.xyz").colours
    assert coloured is not None
    drawn = coloured.sample(100)
    assert np.allclose(drawn.colours * 255, 200) and len(np.unique(drawn.points, axis=0)) == 100
    assert len(coloured.sample(1000).points) == 162 and (drawn.normals == 0).all()


def test_a_pcd_by_open3d(tmp_path):
    shape_files.open3d()
    (tmp_path / "p.pcd").write_text(
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 2\n"
        "HEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 2\nDATA ascii\n0 0 0\n1 2 3\n"
    )
    assert find_kind(tmp_path / "p.pcd") == "points"
    assert read_shape(tmp_path / "p.pcd").vertices.tolist() == [[0, 0, 0], [1, 2, 3]]


def test_volumes(tmp_path):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    np.save(tmp_path / "v.npy", values)
    np.savez(tmp_path / "v.npz", volume=values, spacing=np.ones(3))
    for name in ("v.npy", "v.npz"):
        assert find_kind(tmp_path / name) == "volume"
        volume = read_volume(tmp_path / name)
        assert volume.values.dtype == np.float32 and (volume.values == values).all()
        assert volume.window == (0, 23) and volume.name == "v"


def test_what_is_no_shape_has_no_kind(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert find_kind(tmp_path / "a.png") is None
    assert find_kind(tmp_path) is None and find_kind("astronaut") is None


@pytest.mark.parametrize(
    "lines",
    [
        ["OFF", "4 4 0", "# c", *"0 0 0;1 0 0;0 1 0;0 0 1".split(";")],
        ["OFF # c", "4 4 0 # c", *"0 0 0 # c;1 0 0;0 1 0;0 0 1;# faces".split(";")],
    ],
)
def test_comments_of_an_off_file_are_left_out(tmp_path, lines):
    faces = ["3 0 2 1 # c", "# c", "3 0 1 3", "3 1 2 3", "3 0 3 2"]
    path = tmp_path / "a.off"
    path.write_text("\n".join(lines + faces) + "\n")
    shape = read_shape(path)
    assert shape.sign == "pseudonormal" and len(shape.faces) == 4
