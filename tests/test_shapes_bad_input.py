"""What is no shape is answered with one line that names the file and a remedy."""

import numpy as np
import pytest
from shape_files import line_for, off, sphere

from fields.errors import FieldsError
from fields.shapes import find_kind, read_volume

BALL = sphere()


def test_missing_empty_folder_and_text(tmp_path):
    assert line_for(tmp_path / "no.obj") == f"{tmp_path}/no.obj does not exist; check the path"
    assert "is a folder; name one mesh file" in line_for(tmp_path)
    (tmp_path / "empty.bin").touch()
    assert "is empty (0 bytes)" in line_for(tmp_path / "empty.bin")
    (tmp_path / "a.txt").write_text("Ceci n'est pas un maillage")
    assert "is no shape that is known here; OBJ, PLY, STL" in line_for(tmp_path / "a.txt")
    (tmp_path / "a.stl").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert line_for(tmp_path / "a.stl")


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb", "npy", "xyz"])
def test_a_damaged_file(tmp_path, suffix):
    import trimesh

    path = tmp_path / f"ball.{suffix}"
    if suffix == "npy":
        np.save(path, BALL[0])
    elif suffix == "xyz":
        path.write_text("1 2 3\n4 5\n")
    else:
        trimesh.Trimesh(*BALL, process=False).export(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3] if suffix != "obj" else b"f 1 2 3\n")
    line = line_for(path)
    assert line.startswith(str(path))


def test_files_that_end_too_soon_say_what_is_there(tmp_path):
    import trimesh

    ball = tmp_path / "ball.ply"
    trimesh.Trimesh(*BALL, process=False).export(ball)
    whole = ball.read_bytes()
    faces = len(BALL[1])
    ball.write_bytes(whole[:-1])
    assert f"its header promises {faces:,} faces, and {faces - 1:,} are there" in line_for(ball)
    start = whole.index(b"end_header\n") + len(b"end_header\n")
    ball.write_bytes(whole[: start + 12 * 7 + 5])
    assert f"promises {len(BALL[0]):,} vertices, and 7 are there" in line_for(ball)
    (tmp_path / "a.pcd").write_text("# .PCD\nVERSION .7\nFIELDS x y z\n")
    assert "its header has no line DATA" in line_for(tmp_path / "a.pcd")
    (tmp_path / "a.gltf").write_text('{"asset": {')
    assert "what it holds is not JSON" in line_for(tmp_path / "a.gltf")


def test_no_faces_and_one_place(tmp_path):
    (tmp_path / "p.obj").write_text("v 0 0 0\nv 1 0 0\n")
    assert "has no faces: it is cut short, or holds points, which" in line_for(tmp_path / "p.obj")
    flat = off(tmp_path / "flat.off", np.ones((3, 3)), [[0, 1, 2]])
    assert "has no face with an area" in line_for(flat)
    np.save(tmp_path / "p.npy", np.ones((5, 3)))
    assert "has all its points in one place" in line_for(tmp_path / "p.npy")
    np.save(tmp_path / "p.npy", np.ones((0, 3)))
    assert "holds no points" in line_for(tmp_path / "p.npy")


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb", "gltf", "npy", "xyz", "pcd"])
def test_an_empty_file(tmp_path, suffix):
    (tmp_path / f"a.{suffix}").touch()
    assert "is empty (0 bytes); copy or download it again" in line_for(tmp_path / f"a.{suffix}")


def test_a_face_that_names_no_vertex(tmp_path):
    why = "has a face that names a vertex which is not there; export it again"
    path = off(tmp_path / "b.off", BALL[0], np.vstack([BALL[1], [0, 1, 999]]))
    assert line_for(path) == f"{path} {why}"
    path = tmp_path / "b.obj"
    vertices = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvn 0 0 1\n"
    for face in ("f 1 2 99999", "f 1 2 -7", "f 1/1 2/1 9/1", "f 1//1 2//1 9//1", "f 1 2 3 9"):
        path.write_text(f"{vertices}f 1 2 3\n{face}\n")
        assert line_for(path) == f"{path} {why}", face
    path = tmp_path / "b.ply"
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    head += "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    path.write_text(f"{head}0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n")
    assert line_for(path) == f"{path} {why}"


def test_vertices_of_an_obj_are_numbered_from_1(tmp_path):
    path = tmp_path / "b.obj"
    for face in ("f 0 1 2", "f 1 2 0", "f 0/1 1/1 2/1", "f 1 2 0\nf 1 2 3"):
        path.write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\n{face}\n")
        assert "has a face that names vertex 0, and its first is 1" in line_for(path), face


@pytest.mark.parametrize(
    ("name", "options", "lines", "there"),
    [
        ("a.off", {}, 40, "320 faces, and 280 are there"),
        ("a.off", {}, 400, "320 faces, and 0 are there"),
        ("a.ply", {"encoding": "ascii"}, 40, "320 faces, and 280 are there"),
        ("a.ply", {"encoding": "ascii"}, 400, "162 vertices, and 82 are there"),
    ],
)
def test_a_text_that_is_cut_between_its_lines(tmp_path, name, options, lines, there):
    import trimesh

    path = tmp_path / name
    trimesh.Trimesh(*BALL, process=False).export(path, **options)
    whole = path.read_bytes()
    path.write_bytes(b"\n".join(whole.splitlines()[:-lines]))
    line = line_for(path)
    assert f"is cut short: its header promises {there}" in line
    spaced = b"\n \n".join(whole.splitlines()[:-lines])  # more lines than the whole had
    path.write_bytes(spaced + 400 * b"\n")
    assert f"is cut short: its header promises {there}" in line_for(path)
    path.write_bytes(whole.rstrip().rpartition(b" ")[0])  # within the last line
    assert "320 faces, and 319 are there" in line_for(path)


def test_an_stl_that_is_cut_short_or_none(tmp_path):
    import trimesh

    path = tmp_path / "a.stl"
    ball = trimesh.Trimesh(*BALL, process=False)
    ball.export(path)
    whole = path.read_bytes()
    for content, why in [
        (whole[:-77], "is cut short: its header promises 320 faces, and 318 are there"),
        (whole[:60], "is no STL, or cut short: it ends before its first face"),
        (whole + b"abc", "is damaged: it goes on behind its 320 faces"),
        (b"no mesh, but text " * 9, "is no STL: it has text, but no facets"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    ]:
        path.write_bytes(content)
        assert why in line_for(path)
    ball.export(path, file_type="stl_ascii")
    path.write_bytes(path.read_bytes()[:-400])
    assert "is cut short: its last line must begin with endsolid" in line_for(path)


def test_a_text_that_is_called_npy(tmp_path):
    path = tmp_path / "a.npy"
    path.write_text("1 2 3\n4 5 6\n")
    why = f"{path} is no NPY file: it does not begin as one; write it with numpy.save"
    assert line_for(path) == why and find_kind(path) == "points"
    with pytest.raises(FieldsError) as error:
        read_volume(path)
    assert str(error.value) == why


def test_nan_vertices_are_refused_when_they_are_many(tmp_path):
    vertices = BALL[0].copy()
    vertices[:20] = np.nan
    line = line_for(off(tmp_path / "nan.off", vertices, BALL[1]))
    assert "has 20 vertices NaN or infinite, in " in line and "of 320 faces" in line


def test_arrays_that_are_no_points_and_columns_that_mean_nothing(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 5)))
    assert "[N, 3 or 6] or a volume [X, Y, Z], got [4, 5]" in line_for(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array([{}], object))
    assert "holds Python objects" in line_for(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((4, 4, 4)))
    assert "is a volume, not a mesh" in line_for(tmp_path / "a.npy")
    np.savetxt(tmp_path / "a.xyz", np.full((4, 6), 0.3))
    assert "columns 4 to 6 that are neither normals" in line_for(tmp_path / "a.xyz")


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.zeros((4, 4)), "must be [X, Y, Z]"),
        (np.zeros((4, 4, 4)), "is 0 everywhere"),
        (np.full((4, 4, 4), np.nan), "holds 64 values that are NaN"),
        (np.zeros((40, 40, 3), np.uint8), "is a picture [40, 40, 3]"),
        (np.zeros((4, 4, 4), complex), "must hold real numbers"),
    ],
)
def test_volumes_of_no_use(tmp_path, array, what):
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(FieldsError, match=what.replace("[", r"\[").replace("]", r"\]")):
        read_volume(tmp_path / "v.npy")


def test_an_archive_without_one_volume(tmp_path):
    np.savez(tmp_path / "v.npz", a=np.zeros(3), b=np.zeros(4))
    with pytest.raises(FieldsError, match=r"none of its arrays \(a, b\) have three axes"):
        read_volume(tmp_path / "v.npz")
    (tmp_path / "w.npz").write_bytes(b"PK\3\4 not a zip")
    with pytest.raises(FieldsError, match="is damaged"):
        read_volume(tmp_path / "w.npz")
