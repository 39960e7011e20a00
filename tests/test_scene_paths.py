"""Ways around a fitted scene: orbits, spirals, and the cameras of files."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from small import one_line

from fields import FieldsError, camera_paths
from fields.camera_paths import Rig
from fields.cameras import FRONTS, UPS, around
from fields.pictures import read_picture

Z = np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def run(demo_run):
    return demo_run


@pytest.fixture(scope="module")
def moving(moving_run):
    return moving_run


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
    assert command("render", run.path, "--size", "8x8", "-o", "way.mp4")[0] == 0
    assert len(frames_of("way.mp4")) == 120
    status, _, err = command("render", run.path, "--orbit", 2, "--size", "9x7", "-o", "x.mp4")
    assert status == 2 and "sides must be even" in one_line(err)


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


def test_frames_with_intrinsics_of_their_own(run, tmp_path):
    pose = run.view((8, 8)).cam_to_world.tolist()
    frames = [
        {"transform_matrix": pose, "fl_x": 30.0 * k, "w": 20 * k, "h": 10 * k} for k in (1, 2)
    ]
    (tmp_path / "own.json").write_text(json.dumps({"frames": frames}))
    first, second = (s.camera for s in camera_paths.read(tmp_path / "own.json", None, (8, 8)).shots)
    assert (first.width, first.height, first.fl_x) == (20, 10, 30)
    assert (second.width, second.height, second.fl_x) == (20, 10, 30)


def test_cameras_in_one_place_look_around():
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1)
    rig = Rig(np.full((8, 3), 2.0), directions, np.full(3, 2.0), Z, 1.0)
    views = [*rig.orbit(4, (8, 8)), rig.view((8, 8)), *rig.spiral(3, (8, 8))]
    assert all(np.isfinite(view.cam_to_world).all() for view in views)
    forward = np.stack([view.forward for view in views[:4]])
    assert np.allclose(forward.sum(0), 0, atol=1e-9)


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
