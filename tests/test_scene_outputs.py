"""What a fitted scene is turned into: pictures, films, numbers, scores, meshes, points."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from scene_fits import SMALL, copied, make
from small import one_line

import fields
from fields import FieldsError, camera_paths, catalogue, ops
from fields.camera_paths import Rig
from fields.cameras import FRONTS, UPS, Camera, around, look_at
from fields.cli import main
from fields.occupancy import cells
from fields.pictures import read_picture
from fields.runs import SceneRun, scene_mesh, scene_pictures
from fields.runs.density import contracted
from fields.scenes.depths import read_depth
from fields.shapes.floaters import small_parts, without
from fields.shapes.write import _to_z_up  # pyright: ignore[reportPrivateUsage]

Z = np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    scene = make(folder / "demo")
    run = fields.fit(scene, out=folder / "run", steps=400, **SMALL)
    assert isinstance(run, SceneRun)
    return run


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moving")
    scene = make(folder / "demo", views=8, size=24, animate=True)
    return fields.fit(scene, out=folder / "run", steps=20, **SMALL)


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def frames_of(path):
    import av

    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_picture_an_orbit_and_a_spiral(run, command, tmp_path):
    assert command("render", run.path)[0] == 0
    assert read_picture(run.path / "render.png").pixels.shape == (40, 40, 3)
    assert command("render", run.path, "--orbit", 3, "-o", "o.mp4", "--fps", 10)[0] == 0
    assert [frame.shape for frame in frames_of("o.mp4")] == [(40, 40, 3)] * 3
    assert command("render", run.path, "--spiral", 2, "-o", "s.png", "--size", "9x7")[0] == 0
    assert {p.name for p in tmp_path.glob("s*")} == {"s-1.png", "s-2.png"}
    status, _, err = command("render", run.path, "--orbit", 2, "--size", "9x7", "-o", "x.mp4")
    assert status == 2 and "sides must be even" in one_line(err)


def test_backgrounds_and_shadings(run):
    camera = run.view((24, 24))
    white, black = (run.render(camera=camera, background=(v,) * 3) for v in (1.0, 0.0))
    opacity = run.numbers(camera, "opacity")
    assert (white[opacity < 0.01] > 250).all() and (black[opacity < 0.01] < 5).all()
    for shading in ("depth", "normals", "opacity"):
        assert run.render(camera=camera, shading=shading).shape == (24, 24, 3)
    with pytest.raises(FieldsError, match="--shading of a scene is"):
        run.render(shading="lit")


def test_numbers_are_written_as_they_are(run, command):
    arguments = ("--shading", "depth", "--size", "16x12")
    status, out, _ = command("render", run.path, *arguments, "-o", "d.npy")
    assert status == 0 and "units of the source" in out
    depth = np.load("d.npy")
    assert depth.shape == (12, 16) and depth.dtype == np.float32
    camera = run.view((16, 12))
    distance = np.linalg.norm(camera.position - run.rig.centre)
    assert np.median(depth[depth > 0]) == pytest.approx(distance, rel=0.3)
    assert command("render", run.path, *arguments, "-o", "d.exr")[0] == 0
    assert np.allclose(read_picture("d.exr").pixels[..., 0], depth)


def test_every_view_of_a_split_stands_beside_its_photo(run, command, tmp_path):
    status, out, _ = command("render", run.path, "--split", "test", "-o", "views")
    assert status == 0 and "4 views" in out
    names = {path.name for path in (tmp_path / "views").iterdir()}
    assert len(names) == 8 and {"r_0.png", "r_0-beside.png"} <= names
    beside = read_picture("views/r_0-beside.png").pixels
    drawn = read_picture("views/r_0.png").pixels
    assert beside.shape == (40, 128, 3) and np.array_equal(beside[:, 44:84], drawn)


def test_a_path_of_nerfstudio_and_frames(run, moving, command, tmp_path):
    pose = run.view((8, 8)).cam_to_world
    views = [
        {"camera_to_world": pose.ravel().tolist(), "fov": 50, "render_time": t} for t in (0, 0.5)
    ]
    path = tmp_path / "path.json"
    content = {"camera_path": views, "render_width": 20, "render_height": 10, "seconds": 0.5}
    path.write_text(json.dumps(content))
    found = camera_paths.read(path, None, (8, 8))
    camera = found.shots[1].camera
    assert found.fps == 4 and found.shots[1].time == 0.5
    assert (camera.width, camera.height) == (20, 10)
    assert camera.fl_y == pytest.approx(5 / math.tan(math.radians(25)))
    for which in (run, moving):
        assert command("render", which.path, "--camera", path, "-o", "p.mp4")[0] == 0
        assert len(frames_of("p.mp4")) == 2
    frame = {"transform_matrix": pose.tolist(), "time": 0.25, "k1": 0.1}
    path.write_text(json.dumps({"fl_x": 30, "w": 20, "h": 10, "frames": [frame]}))
    (shot,) = camera_paths.read(path, (40, 30), (8, 8)).shots
    assert (shot.time, shot.camera.fl_x, shot.camera.cx, shot.camera.cy) == (0.25, 60, 20, 15)
    assert not shot.camera.lens.is_straight


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"camera_path": [{"fov": 3}]}, "view 0 has no camera_to_world"),
        ({"camera_path": [{"camera_to_world": [0.0] * 16}]}, "view 0 has a pose"),
        ({"camera_path": [{}], "camera_type": "fisheye"}, "perspective ones are drawn"),
        ({"frames": [{}], "camera_angle_x": 1}, "view 0 has no transform_matrix"),
        ({"frames": [{"fl_x": 3}]}, "no w and h"),
        ({"frames": "all"}, "holds no cameras"),
        ({"frames": []}, "holds no cameras"),
        ({"frames": [1]}, "holds no cameras"),
        ({"frames": [{"fl_x": "3"}]}, "it must be a finite number"),
    ],
)
def test_a_file_of_no_cameras_is_refused(tmp_path, content, line):
    path = tmp_path / "path.json"
    path.write_text(json.dumps(content))
    with pytest.raises(FieldsError, match=line):
        camera_paths.read(path, None, (8, 8))


def test_time_goes_from_0_to_1_along_an_orbit(moving, command):
    first = moving.orbit(2, (24, 24))
    assert command("render", moving.path, "--orbit", 2, "-o", "o.png", "--size", "24x24")[0] == 0
    for i, time in ((0, 0.0), (1, 1.0)):
        expected = moving.render(camera=first[i], time=time)
        assert np.array_equal(read_picture(f"o-{i + 1}.png").pixels, expected)
    assert command("render", moving.path, "--time", 0.5, "-o", "t.png", "--size", "24x24")[0] == 0
    expected = moving.render((24, 24), time=0.5)
    assert np.array_equal(read_picture("t.png").pixels, expected)


def test_scores_of_a_split_and_of_each_view(run, command):
    status, out, _ = command("eval", run.path, "--json")
    figures = json.loads(out)
    assert status == 0 and figures["split"] == "test" and len(figures["per_view"]) == 4
    psnr = [view["psnr"] for view in figures["per_view"].values()]
    assert figures["psnr"] == pytest.approx(np.mean(psnr), abs=1e-3)
    assert figures["psnr"] == run.metrics["psnr"]
    status, out, _ = command("eval", run.path, "--split", "val")
    assert status == 0 and "dB, SSIM" in out and "1 val views" in out


def test_depths_are_compared_where_the_scene_has_them(run, command, tmp_path):
    scene = run.source()
    errors = []
    for frame, traced, _, _ in run.views(scene):
        depth, known = run.values(frame.camera, traced, "depth"), read_depth(frame)
        assert known is not None
        both = (depth > 0) & (known > 0)
        errors.append(np.abs(depth - known)[both].mean())
    assert run.metrics["depth_error"] == pytest.approx(np.mean(errors), abs=1e-4)
    assert run.metrics["depth_error"] < 0.1  # cameras stand 4 away
    bare = copied(scene.path, tmp_path / "bare")
    for path in bare.glob("*/*_depth.png"):
        path.unlink()
    for path in bare.glob("transforms_*.json"):
        frames = json.loads(path.read_text())
        for frame in frames["frames"]:
            frame.pop("depth_file_path", None)
        path.write_text(json.dumps(frames))
    status, out, _ = command("eval", run.path, bare)
    assert status == 0 and "dB" in out and "depth" not in out


def test_a_known_surface_is_compared_with_the_mesh(run, command):
    known = run.source().path / "geometry.ply"
    status, out, _ = command("eval", run.path, known, "--json")
    figures = json.loads(out)
    assert status == 0 and "psnr" not in out.split('"chamfer_l1"')[1]
    assert figures["chamfer_l1"] < 0.05 and 0.3 < figures["f_score"] <= 1 and "iou" not in figures
    status, _, err = command("eval", run.path, known, "--split", "val")
    assert status == 2 and "--split is of views" in one_line(err)


def test_what_no_camera_sees_is_left_out(run, command):
    small = ("--resolution", 64)
    assert command("mesh", run.path, "-o", "all.ply", "--keep-unseen", *small)[0] == 0
    assert command("mesh", run.path, "-o", "seen.ply", *small)[0] == 0
    every: Any = trimesh.load("all.ply", force="mesh", process=False)
    seen: Any = trimesh.load("seen.ply", force="mesh", process=False)
    assert 0.2 < len(seen.faces) / len(every.faces) < 0.95
    # Cameras stand above: of what is left most faces look up or sideways.
    assert (seen.face_normals[:, 2] > -0.5).mean() > (every.face_normals[:, 2] > -0.5).mean()
    hidden = scene_mesh.unseen(run, *run.mesh(32, keep_unseen=True)[:2])
    assert 0 < hidden.mean() < 1


def test_lpips_is_never_downloaded(run, monkeypatch, tmp_path):
    from fields.signals.lpips import lpips_here

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert lpips_here() is None and "lpips" not in run.metrics


def test_a_mesh_stands_where_the_scene_is_and_has_its_colours(run, command):
    assert command("mesh", run.path, "-o", "a.ply", "--resolution", 64, "--drop-floaters")[0] == 0
    mesh: Any = trimesh.load("a.ply", force="mesh", process=False)
    true = trimesh.load(run.source().path / "geometry.ply", force="mesh", process=False)
    sides = (slice(None), slice(2)), (1, 2)  # no camera sees it from below
    for at in sides:
        assert np.allclose(mesh.bounds[at], true.bounds[at], atol=0.1)
    colours = np.asarray(mesh.visual.vertex_colors)[:, :3].astype(float)
    assert colours.std(0).max() > 20
    assert command("mesh", run.path, "-o", "a.glb", "--resolution", 64, "--drop-floaters")[0] == 0
    turned = trimesh.load("a.glb", force="mesh", process=False)
    x, y, z = mesh.bounds.T
    assert np.allclose(turned.bounds.T, [x, z, -y[::-1]], atol=1e-3)


def test_levels_are_densities_over_a_unit_of_the_source(run):
    thin, thick = run.mesh(32, 5.0), run.mesh(32, 100.0)
    assert not np.array_equal(thin[0].shape, thick[0].shape)
    for wrong in (-1.0, 0.0, math.nan):
        with pytest.raises(FieldsError, match="--level of a scene is a density"):
            run.mesh(32, wrong)
    with pytest.raises(FieldsError, match=r"there is no surface at 1e\+12"):
        run.mesh(16, 1e12)


def test_points_lie_near_the_surface(run, command):
    status, out, _ = command("mesh", run.path, "--points", 500, "-o", "p.ply")
    assert status == 0 and "500 points" in out
    cloud = trimesh.load("p.ply")
    assert isinstance(cloud, trimesh.PointCloud)
    points = np.asarray(cloud.vertices)
    low, high = trimesh.load(run.source().path / "geometry.ply").bounds
    assert ((points > low - 0.2) & (points < high + 0.2)).all(1).mean() > 0.95
    assert np.asarray(cloud.colors)[:, :3].std(0).max() > 20


def test_the_models_of_scenes_are_listed(command):
    _, out, _ = command("models")
    assert "hashgrid, of scenes" in out and "--colour-width" in out
    models = json.loads(command("models", "--json")[1])["scene_models"]
    assert {model["name"] for model in models} == set(catalogue.SCENE_MODELS)
    assert all("degree" in model["options"] for model in models)


def test_info_and_the_picture_of_a_notebook(run, command):
    status, out, _ = command("info", run.path)
    assert status == 0 and "scene       demo (a scene)" in out and "psnr" in out
    assert run._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("render", "--crop", "0,0,4,4"), "--crop is not for the scene"),
        (("render", "--azimuth", 3), "--azimuth is not for the scene"),
        (("render", "--shading", "lit"), "--shading must be colour, depth, opacity or normals"),
        (("render", "--time", 0.5), "--time is for scenes that move"),
        (("render", "--time", 2), "--time must be from 0 to 1"),
        (("render", "--background", "red"), "--background must be white or black"),
        (("render", "--split", "all"), "--split must be train, val or test"),
        (("render", "--orbit", 3, "--spiral", 3), "give one"),
        (("render", "--spiral", 0), "--spiral must be from 1"),
        (("render", "--size", "2x"), "--size of a scene is WIDTHxHEIGHT"),
        (("render", "--split", "test", "--size", "8x8"), "--size does not go with --split"),
        (("eval", "--split", "all"), "--split must be train, val or test"),
        (("mesh", "--time", 0.5), "--time is for scenes that move"),
        (("mesh", "--points", 5, "-o", "a.glb"), "--points writes a PLY"),
        (("mesh", "--points", 5, "--level", 3), "does not go with --points"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(run, command, tmp_path, arguments, line):
    verb, *others = arguments
    before = sorted(run.path.iterdir())
    status, out, err = command(verb, run.path, *others)
    assert status == 2 and out == "" and line in one_line(err)
    assert sorted(run.path.iterdir()) == before and not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    folder = tmp_path_factory.mktemp("endless")
    scene = make(folder / "out", views=24, size=32, outdoors=True)
    return fields.fit(scene, out=folder / "run", steps=160, **SMALL | {"batch": 2048})


def test_of_a_scene_without_an_end_all_is_seen_and_the_box_is_meshed(endless):
    run = endless
    scene = run.source()
    assert scene.unbounded and run.field.march.contract
    frame, (colours, opacity, distance), _, _ = next(run.views(scene))
    assert opacity.mean() > 0.9
    known = read_depth(frame, scene.downscale)
    assert known is not None
    depths = run.values(frame.camera, (colours, opacity, distance), "depth")
    near = (known > 0) & (known < 6)
    assert np.median(np.abs(depths - known)[near]) < 0.6  # of some 5
    vertices, faces, normals = run.mesh(32)
    assert len(faces) > 100 and np.isfinite(normals).all()
    assert (vertices >= run.box[0] - 1e-6).all() and (vertices <= run.box[1] + 1e-6).all()
    points, shades = scene_mesh.points(run, 2000)
    assert len(points) == len(shades) == 2000
    on_ground = np.abs(points[:, 2] + 0.7) < 0.5
    assert on_ground.mean() > 0.4  # the plinth and the flags around it


def rig(one_way):
    """Of cameras around the origin, or of some that look along +y."""
    rng = np.random.default_rng(0)
    if one_way:
        places = rng.uniform((-1, -5, -1), (1, -4, 1), (20, 3))
        return Rig(places, np.tile([0.0, 1.0, 0.0], (20, 1)), np.zeros(3), Z, 1.0)
    angle = rng.uniform(0, 2 * np.pi, 20)
    places = np.stack([4 * np.cos(angle), 4 * np.sin(angle), 0 * angle + 2], 1)
    return Rig(places, -places / np.linalg.norm(places, axis=1)[:, None], np.zeros(3), Z, 1.0)


def test_an_orbit_is_as_far_away_and_as_high_as_the_photos():
    cameras = rig(False).orbit(8, (8, 8))
    for camera in cameras:
        assert np.linalg.norm(camera.position[:2]) == pytest.approx(4)
        assert camera.position[2] == pytest.approx(2)
        assert camera.forward @ camera.position < 0
    assert np.allclose(np.mean([c.position for c in cameras], 0), (0, 0, 2))


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_an_orbit_begins_where_shapes_are_looked_at_from(up):
    """Whichever camera is the first of the file."""
    a = rig(False)
    front, upward = np.array(FRONTS[up]), np.array(UPS[up])
    turn = np.stack([np.cross(upward, front), -front, upward], 1)  # of z up, the front at -y
    turned = Rig(a.positions @ turn.T, a.directions @ turn.T, a.centre, turn @ Z, 1.0)
    shape = around(np.zeros(3), 1.0, (8, 8), elevation=0, up=up).position
    for own in (turned, replace(turned, positions=turned.positions[::-1])):
        eye = own.view((8, 8)).position
        level = eye - eye @ own.up * own.up
        assert np.allclose(level / 4, shape / np.linalg.norm(shape))


def test_an_orbit_of_cameras_that_face_one_way_begins_on_their_side():
    assert rig(True).orbit(3, (8, 8))[0].forward @ (0, 1, 0) > 0.9


@pytest.mark.parametrize("one_way", [False, True])
def test_a_spiral_sways_around_one_view_and_looks_at_one_point(one_way):
    a = rig(one_way)
    base, cameras = a.view((8, 8)), a.spiral(16, (8, 8))
    offsets = np.stack([camera.position - base.position for camera in cameras])
    assert np.allclose(offsets.mean(0), 0, atol=1e-9)
    assert 0.1 < np.linalg.norm(offsets, axis=1).max() < 2.5
    assert min(camera.forward @ base.forward for camera in cameras) > 0.8
    assert a.faces_one_way is one_way


def test_normals_of_a_plane_are_its_own():
    camera = Camera.simple(look_at(np.array([1.0, -3, 2]), np.zeros(3), Z), 9, 7, 12.0)
    origin, directions = camera.rays()
    distance = -origin[2] / directions[:, 2]  # to the plane z = 0
    depth = (distance * (directions @ camera.forward)).reshape(7, 9)
    depth[0, 0] = 0
    normals = scene_pictures.normals_of(camera, depth)
    assert not normals[0, 0].any()
    normals[0, 0] = Z
    assert np.allclose(normals, Z, atol=1e-5)


def test_cells_of_an_occupancy_are_read_back():
    density = (torch.rand(1, 32, 32, 32) > 0.9).float() * 100
    none = torch.zeros(0, dtype=torch.int64)
    bits = ops.occupancy_update(density, none, none.float(), decay=1.0, threshold=5.0)
    assert torch.equal(cells(bits[0], 32), density[0] > 5)


def test_space_is_contracted_as_the_kernels_do():
    points = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.5], [1e6, 0.5, 0.5]])
    expected = torch.tensor([[0.5, 0.5, 0.5], [0.75, 0.25, 0.5], [1.0, 0.5, 0.5]])
    assert torch.allclose(contracted(points), expected, atol=1e-5)


def test_small_parts_are_told_from_large_ones():
    large = np.stack([np.arange(300), np.arange(300) + 1, np.arange(300) + 2], 1)
    faces = np.concatenate([large, [[400, 401, 402]], large + 500])
    small = small_parts(faces)
    assert small.sum() == 1 and small[300]
    kept, used = without(faces, small)
    assert np.array_equal(used[kept], faces[~small])


@pytest.mark.parametrize("up", [(0, 0, 1), (0, 1, 0), (0, 0, -1), (0.6, 0, 0.8), (-0.6, 0.8, 0)])
def test_any_direction_can_be_turned_up(up):
    turned = _to_z_up(np.concatenate([np.eye(3), [up]]), up)
    assert np.allclose(turned[3], Z) and np.linalg.det(turned[:3]) == pytest.approx(1)
