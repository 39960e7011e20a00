"""What is no shape is answered with one line that names the file and a remedy."""

import json

import numpy as np
import pytest
from shape_files import line_for, off, open3d, sphere
from small import one_line

from fields.cli import main
from fields.errors import FieldsError
from fields.shapes import find_kind, read_shape, read_volume

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
        ("a.off", {}, 400, "162 vertices, and 82 are there"),
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


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"


@pytest.mark.parametrize(
    ("suffix", "what"),
    [
        *[(suffix, "mesh") for suffix in ("obj", "ply", "stl", "off", "glb", "gltf")],
        *[("pcd", "point cloud"), ("xyz", "point cloud"), ("npy", "array"), ("npz", "volume")],
    ],
)
def test_a_pointer_of_git_lfs_is_told_by_what_it_stands_for(tmp_path, capsys, suffix, what):
    path = tmp_path / f"a.{suffix}"
    path.write_text(POINTER)
    why = f"{path} is a Git LFS pointer, not the {what}; run `git lfs pull`"
    assert find_kind(path) == {"mesh": "mesh", "volume": "volume"}.get(what, "points")
    assert main(["fit", str(path), "--out", str(tmp_path / "run")]) == 2
    assert one_line(capsys.readouterr().err) == f"fields: {why}"


def test_pointers_beside_a_mesh_are_named(tmp_path):
    import trimesh
    from trimesh.exchange.gltf import export_gltf

    for name, content in export_gltf(trimesh.Scene(trimesh.Trimesh(*BALL))).items():
        is_buffer = name.endswith(".bin")
        (tmp_path / name).write_bytes(POINTER.encode() if is_buffer else content)
    line = line_for(tmp_path / "model.gltf")
    assert ".bin, which is a Git LFS pointer, not the buffer; run `git lfs pull`" in line
    face = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\n"
    for name in ("skin.png", "far.mtl"):
        (tmp_path / name).write_text(POINTER)
    (tmp_path / "near.mtl").write_text("newmtl m\nKd 1 0 0\nmap_Kd skin.png\n")
    for library, what in [("near", "skin.png is a Git LFS pointer, not the picture"),
                          ("far", "far.mtl is a Git LFS pointer, not the material")]:  # fmt: skip
        path = tmp_path / f"{library}.obj"
        path.write_text(f"mtllib {library}.mtl\n{face}")
        notes = read_shape(path).notes
        assert f"{what}; run `git lfs pull` for its colours" in notes
        assert not any("cannot be read" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 2 3\n4 5 6\n7 8\n", "must hold 3 numbers on each line, but line 3 holds 2"),
        ("# a\n\n1,2,3\n4 five 6\n", "must hold numbers alone, but line 4 holds 'five'"),
        ("1 2 3 4\n5 6 7 8\n", "must hold 3 or 6 numbers on each line, but line 1 holds 4"),
        ("1 2 3\n1 2 3 4 5 6 # both\n", "must hold 3 numbers on each line, but line 2 holds 6"),
        ("2\nmade by hand\n", "must hold 3 or 6 numbers on each line, but line 1 holds 1"),
        ("1_0 2 3\n", "must hold numbers alone, but line 1 holds '1_0'"),
        ("1 2 3\r\n4 5\r\n", "must hold 3 numbers on each line, but line 2 holds 2"),
        ("# nothing but\n# comments\n", "holds no points"),
    ],
)
def test_a_line_of_a_text_that_is_no_point_is_named(tmp_path, text, why):
    (tmp_path / "a.xyz").write_text(text)
    assert line_for(tmp_path / "a.xyz") == f"{tmp_path}/a.xyz {why}"


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros((9, 3), complex), "must hold whole numbers or floats, got complex128"),
        (np.zeros((9, 3), bool), "must hold whole numbers or floats, got bool"),
        (np.array([["a", "b", "c"]]), "must hold whole numbers or floats, got str32"),
        (np.zeros(9, [("x", "f4"), ("y", "f4")]), "floats, got columns with names"),
        (np.zeros(5), "points [N, 3 or 6] or a volume [X, Y, Z], got [5]"),
        (np.array(3.0), "points [N, 3 or 6] or a volume [X, Y, Z], got []"),
    ],
)
def test_arrays_of_another_kind_say_which(tmp_path, array, why):
    np.save(tmp_path / "a.npy", array)
    assert find_kind(tmp_path / "a.npy") == "points" and why in line_for(tmp_path / "a.npy")


def pcd(kind, data, *, points=200, **others):
    """The bytes of a PCD of x, y, z as floats."""
    head = {"VERSION": "0.7", "FIELDS": "x y z", "SIZE": "4 4 4", "TYPE": "F F F",
            "COUNT": "1 1 1", "WIDTH": points, "HEIGHT": 1, "POINTS": points, **others}  # fmt: skip
    lines = [f"{name} {value}" for name, value in head.items()]
    return "\n".join(["# .PCD v0.7", *lines, f"DATA {kind}\n"]).encode() + data


PLACES = np.random.default_rng(0).normal(size=(200, 3)).astype("<f4")
TEXT = "".join(f"{x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in PLACES).encode()
HELD = PLACES.tobytes()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (pcd("ascii", TEXT[:-1000]), "promises 200 points, and "),
        (pcd("ascii", TEXT[:-2].rpartition(b" ")[0]), "promises 200 points, and 199 are there"),
        (pcd("ascii", b""), "promises 200 points, and 0 are there"),
        (pcd("binary", HELD[:1000]), "promises 200 points, and 83 are there"),
        (pcd("binary", HELD, points=10**12), "1,000,000,000,000 points, and 200 are there"),
        (pcd("ascii", TEXT.replace(b"\n", b" 1\n", 7)), "3 numbers on each line, but line 11 "),
        (pcd("ascii", b"x" + TEXT), "must hold numbers alone, but line 11 holds 'x"),
        (pcd("binary_compressed", b"\0\0"), "is cut short: it ends before its points"),
        (
            pcd("binary_compressed", np.array([999, 2400], "<u4").tobytes() + b"\0" * 500),
            "is cut short: its points take 999 bytes, and 500 are there",
        ),
        (
            pcd("binary_compressed", np.array([400, 123], "<u4").tobytes() + b"\0" * 500),
            "promises 200 points of 12 bytes, and its data says that it holds 123 bytes",
        ),
        (pcd("binary", HELD, FIELDS="a b c"), "has no x, y and z among the FIELDS of its header"),
        (pcd("binary", HELD, SIZE="9 4 4"), "its header does not say how its points are stored"),
        (pcd("binary", HELD, COUNT="1 1"), "its header does not say how its points are stored"),
        (pcd("binary", HELD, TYPE="F F Q"), "its header does not say how its points are stored"),
        (pcd("binary", HELD, points=-4), "its header does not say how its points are stored"),
        (pcd("packed", HELD), "its header does not say how its points are stored"),
    ],
)
def test_a_pcd_that_is_cut_short_or_damaged_never_reaches_its_reader(
    tmp_path, monkeypatch, content, why
):
    monkeypatch.setattr("fields.shapes.points.open3d_for", None)
    (tmp_path / "a.pcd").write_bytes(content)
    assert why in line_for(tmp_path / "a.pcd")


@pytest.mark.parametrize("kind", ["ascii", "binary"])
def test_a_pcd_that_is_whole_is_read(tmp_path, kind):
    open3d()
    (tmp_path / "a.pcd").write_bytes(pcd(kind, TEXT if kind == "ascii" else HELD))
    assert np.allclose(read_shape(tmp_path / "a.pcd").vertices, PLACES, atol=1e-4)


def test_headers_that_promise_more_or_nothing_known(tmp_path):
    import trimesh

    ball = trimesh.Trimesh(*BALL, process=False)
    for name in ("a.glb", "a.ply"):
        ball.export(tmp_path / name)
    glb, ply = (tmp_path / "a.glb").read_bytes(), (tmp_path / "a.ply").read_bytes()
    known = {"asset": {"version": "2.0"}, "extensionsRequired": ["EXT_meshopt_compression"]}
    why = f"is cut short: its header promises {len(glb):,} bytes, and"
    for name, content, line in [
        ("a.glb", glb[: len(glb) // 2], f"{why} {len(glb) // 2:,} are there"),
        ("a.glb", glb[:6], "is cut short: it ends within its header"),
        ("a.glb", glb[:4] + b"\1" + glb[5:], "is a GLB of version 1, and 2 is read"),
        ("a.gltf", json.dumps(known).encode(), "is compressed (EXT_meshopt_compression)"),
        ("a.gltf", b'{"asset": {"version": "1.0"}}', "is a glTF of version 1.0, and 2 is read"),
        ("a.gltf", b"[1, 2]", "is no glTF: its JSON is no object"),
        ("a.ply", ply.replace(b"binary_little", b"secret_little"), "names no format of PLY"),
        ("a.ply", ply.replace(b"end_header", b"end_of_all"), "its header has no end (end_header)"),
        ("a.off", b"OFF\n9 1 0\n0 0 0\n", "its header promises 9 vertices, and 1 are there"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "has no face with an area"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert line in line_for(tmp_path / name)
