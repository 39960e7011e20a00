"""A mesh that is written comes back: where it was, upright, in its colours, or not at all."""

import json
import struct

import numpy as np
import pytest
import shape_files
import trimesh
from shape_files import sphere

from fields.errors import FieldsError
from fields.shapes import mesh_format, read_shape, write_mesh
from fields.shapes.write import decimate, nearest

BALL = sphere()
FAR = BALL[0] * [1e-3, 5e-4, 5e-4] + [1e5, -1e5, 3e4], BALL[1]


@pytest.mark.parametrize("suffix", ["glb", "ply", "obj", "stl"])
def test_a_mesh_comes_back(tmp_path, suffix):
    path = tmp_path / f"ball.{suffix}"
    write_mesh(path, BALL[0] * 3 + 1, BALL[1], None if suffix == "stl" else BALL[0])
    assert trimesh.load_mesh(path).is_watertight
    shape = read_shape(path)
    assert shape.is_closed and len(shape.vertices) == len(BALL[0])
    assert np.allclose(np.sort(shape.vertices, 0), np.sort(BALL[0] * 3 + 1, 0), atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["glb", "ply", "obj"])
def test_far_from_the_origin_it_comes_back_there(tmp_path, suffix):
    path = tmp_path / f"far.{suffix}"
    write_mesh(path, *FAR)
    shape = read_shape(path)
    assert len(shape.vertices) == len(FAR[0]) and shape.is_closed
    assert np.abs(np.sort(shape.vertices, 0) - np.sort(FAR[0], 0)).max() < 1e-9


def test_an_stl_that_would_be_spoilt_is_refused(tmp_path):
    with pytest.raises(FieldsError, match="STL holds 32-bit floats, too coarse"):
        write_mesh(tmp_path / "far.stl", *FAR)
    assert not list(tmp_path.iterdir())


def test_a_glb_is_upright_in_its_own_axes(tmp_path):
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 5.0]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    write_mesh(tmp_path / "tall.glb", vertices, faces)
    raw = trimesh.load_scene(tmp_path / "tall.glb", process=False)
    assert np.allclose(raw.bounds, [[0, 0, -2], [1, 5, 0]])  # Y up, as glTF wants
    shape = read_shape(tmp_path / "tall.glb")
    assert np.allclose(shape.vertices.max(0), [1, 2, 5])
    assert trimesh.load_mesh(tmp_path / "tall.glb").volume > 0


def test_colours_of_a_glb_are_linear_in_16_bits(tmp_path):
    colours = np.zeros((len(BALL[0]), 3), np.uint8)
    colours[:, 0], colours[:, 1], colours[:, 2] = 188, 8, 255
    write_mesh(tmp_path / "c.glb", *BALL, colours=colours)
    data = (tmp_path / "c.glb").read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    tree = json.loads(data[20 : 20 + length])
    number = tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    accessor = tree["accessors"][number]
    assert accessor["normalized"] and accessor["componentType"] == 5123
    start = 28 + length + tree["bufferViews"][accessor["bufferView"]]["byteOffset"]
    red, green, blue, alpha = np.array(struct.unpack_from("<4H", data, start)) / 65535
    assert red == pytest.approx(0.5029, abs=1e-4) and green == pytest.approx(8 / 255 / 12.92, 1e-2)
    assert blue == alpha == 1


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb"])
def test_colours_come_back(tmp_path, suffix):
    colours = np.tile(np.array([200, 100, 60], np.uint8), (len(BALL[0]), 1))
    write_mesh(tmp_path / f"c.{suffix}", *BALL, BALL[0], colours)
    read = read_shape(tmp_path / f"c.{suffix}").colours
    assert read is not None
    assert np.abs(read.sample(1000).colours * 255 - [200, 100, 60]).max() < 0.6


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(FieldsError, match=r"end it in \.glb, \.ply, \.obj or \.stl"):
        mesh_format(tmp_path / "shape.fbx")
    with pytest.raises(FieldsError, match="is a folder; name a file in it"):
        mesh_format(tmp_path)
    with pytest.raises(FieldsError, match="there is no folder"):
        write_mesh(tmp_path / "none" / "a.ply", *BALL)
    with pytest.raises(FieldsError, match="a face names a vertex that is not there"):
        write_mesh(tmp_path / "a.ply", BALL[0][:5], BALL[1])
    with pytest.raises(FieldsError, match="NaN or infinite; nothing is written"):
        write_mesh(tmp_path / "a.ply", BALL[0] * np.nan, BALL[1])
    assert not list(tmp_path.iterdir())


def test_fewer_faces():
    shape_files.open3d()
    vertices, faces = decimate(*sphere(rounds=4), 500)
    assert 400 <= len(faces) <= 500
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1).max() < 0.05
    assert trimesh.Trimesh(vertices, faces).is_watertight
    with pytest.raises(FieldsError, match="--faces must be at least 4"):
        decimate(vertices, faces, 2)
    small, far = 1e-3, np.array([1e5, -1e5, 3e4])
    moved, same = decimate(sphere(rounds=4)[0] * small + far, sphere(rounds=4)[1], 500)
    ball = trimesh.Trimesh((moved - far) / small, same, process=False)
    assert ball.is_watertight
    assert ball.volume == pytest.approx(trimesh.Trimesh(vertices, faces).volume, rel=1e-2)


def test_fewer_vertices_are_told_which_of_all_they_are_nearest_to():
    vertices = FAR[0]
    assert (nearest(vertices, vertices[[5, 3, 9]] + 1e-7) == [5, 3, 9]).all()
