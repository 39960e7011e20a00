"""Scenes that are made: their geometry is known, and what is read back agrees with it."""

import json

import numpy as np
import pytest
from shape_files import open3d, write_mesh

from fields.cli import main
from fields.errors import FieldsError
from fields.lens import Fisheye, Perspective
from fields.scenes import load_images, read_scene
from fields.scenes.blender import USUAL
from fields.scenes.depths import read_depth
from fields.shapes import read_shape

fields_scenes = pytest.importorskip("fields_scenes", reason="scenes/ is not installed")

from fields_scenes import Wanted, demo, demo_scene, generate, render_model  # noqa: E402
from fields_scenes.demo import SOLIDS, render_demo  # noqa: E402
from fields_scenes.standing import Rig  # noqa: E402

SMALL = Wanted(views=4, size=48)
BARREL = Perspective((-0.25, 0.08, 0, 0), (0.001, -0.0005))


def depths_of(frame):
    """[H, W]; a made scene has them for every frame."""
    depths = read_depth(frame)
    assert depths is not None
    return depths


def gaps(scene):
    """How far the points of all depth maps are from the geometry of a made scene."""
    o3d = open3d()
    shape = read_shape(scene.path / "geometry.ply")
    cast = o3d.t.geometry.RaycastingScene()
    tensor = o3d.core.Tensor
    cast.add_triangles(tensor(shape.vertices.astype(np.float32)), tensor(shape.faces.astype("u4")))
    for frame in scene.frames:
        depth = depths_of(frame)
        rows, columns = np.nonzero(depth)
        assert len(rows) > 20
        centres = np.stack([columns, rows], axis=1) + 0.5
        origins, directions = frame.camera.rays_of(centres)
        along = depth[rows, columns] / (directions @ frame.camera.forward)
        points = (origins + along[:, None] * directions).astype(np.float32)
        yield cast.compute_distance(tensor(points)).numpy()


@pytest.mark.parametrize(
    "wanted",
    [
        SMALL,
        Wanted(views=4, size=48, lens=BARREL, differ=True),
        Wanted(views=4, size=48, lens=Fisheye((0.05, -0.01, 0.002, 0))),
    ],
    ids=["pinhole", "distorted, all different", "fisheye"],
)
def test_depths_of_a_made_scene_lie_on_its_geometry(tmp_path, wanted):
    open3d()
    render_model(write_mesh(tmp_path / "ring.glb"), tmp_path / "ring", wanted)
    scene = read_scene(tmp_path / "ring")
    assert {s: len(f) for s, f in scene.splits.items()} == {"train": 4, "val": 1, "test": 1}
    assert scene.alpha and np.array_equal(scene.box, USUAL) and scene.notes == ()
    lenses = {frame.camera.lens for frame in scene.frames}
    assert lenses == {wanted.lens}
    assert len({frame.camera.fl_x for frame in scene.frames}) == (6 if wanted.differ else 1)
    for gap in gaps(scene):
        assert gap.max() < 4e-4  # a depth is rounded to 1e-4


def test_what_is_seen_through_a_lens_is_where_points_are_projected(tmp_path):
    wanted = Wanted(views=3, size=96, lens=BARREL, differ=True)
    render_demo(tmp_path / "demo", wanted)
    scene = read_scene(tmp_path / "demo")
    ball = np.array(SOLIDS[1].place)
    for frame, image in zip(
        scene.splits["train"], load_images(scene, "train").stack(), strict=True
    ):
        depth = depths_of(frame)
        assert np.array_equal(depth > 0, image[..., 3] > 127) or (
            ((depth > 0) != (image[..., 3] > 127)).mean() < 0.02)  # fmt: skip
        (pixel,), (far,) = frame.camera.project(ball[None])
        x, y = np.floor(pixel).astype(int)
        if depth[y, x] > far - 0.3:  # nothing stands before the ball
            towards = (ball - frame.camera.position) / np.linalg.norm(ball - frame.camera.position)
            wanted_depth = far - 0.34 * (towards @ frame.camera.forward)
            assert depth[y, x] == pytest.approx(wanted_depth, abs=0.01)


def test_a_seed_is_a_scene(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        render_demo(tmp_path / name, Wanted(views=2, size=16, seed=seed))
    first, again, other = (
        (tmp_path / name / "train" / "r_1.png").read_bytes() for name in ("a", "b", "c")
    )
    assert first == again != other


def test_cameras_look_at_the_middle_from_above_and_none_stands_in_two_splits():
    cameras = Rig(100, seed=5).cameras(60)
    places = np.array([camera.position for camera in cameras])
    assert np.allclose(np.linalg.norm(places, axis=1), 4.0311)
    assert (places[:, 2] > 0).all()
    for camera in cameras:
        (pixel,), _ = camera.project(np.zeros((1, 3)))
        assert np.allclose(pixel, 50)
    apart = np.linalg.norm(places[:, None] - places, axis=2) + 9 * np.eye(60)
    assert apart.min() > 0.3  # a regular spread would leave about 1
    thirds = np.histogram(np.arctan2(places[:, 1], places[:, 0]), 6, (-np.pi, np.pi))[0]
    assert thirds.min() >= 8


def test_times_of_a_moving_scene(tmp_path):
    render_demo(tmp_path / "leap", Wanted(views=5, size=32, animate=True))
    scene = read_scene(tmp_path / "leap")
    assert scene.moves
    assert [frame.time for frame in scene.splits["train"]] == [0, 0.25, 0.5, 0.75, 1]
    assert scene.splits["test"][0].time == 0.5


def test_the_demo_scene_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(demo, "WANTED", Wanted(views=2, size=16))
    folder = demo_scene()
    assert folder.parent == tmp_path / "fields" and len(read_scene(folder).frames) == 4
    stamp = (folder / "transforms_train.json").stat().st_mtime_ns
    assert demo_scene() == folder
    assert (folder / "transforms_train.json").stat().st_mtime_ns == stamp
    assert demo_scene(tmp_path / "mine") == tmp_path / "mine"


def test_what_is_interrupted_leaves_nothing(tmp_path):
    class Stops:
        def say(self, line):
            pass

        def advance(self, figures):
            assert figures.total == 6 and str(figures).startswith("1 of 6 views")
            raise KeyboardInterrupt

        def close(self):
            pass

    with pytest.raises(KeyboardInterrupt):
        render_demo(tmp_path / "demo", SMALL, progress=Stops())
    assert list(tmp_path.iterdir()) == []


BAD = [
    ("demo-scene -o new --views 1", "--views must be from 2"),
    ("demo-scene -o new --size 4", "--size must be from 8"),
    ("demo-scene -o new --seed -1", "--seed must be from 0"),
    ("demo-scene -o new --up w", "--up must be x, y or z"),
    ("demo-scene -o new --distortion odd", "--distortion must be barrel, pincushion or fisheye"),
    ("demo-scene -o new --distortion 1,2", "--distortion must be"),
    ("demo-scene -o new --distortion nan,0,0,0", "--distortion must be"),
    ("demo-scene -o full", "full exists; name another -o"),
    ("none.obj -o new", "none.obj does not exist"),
    ("words.obj -o new", "words.obj"),
    ("points.xyz -o new", "is no shape that is known here"),
    ("nan.off -o new", "NaN"),
    ("-o new", "needs MODEL"),
    ("demo-scene -o new --viws 3", "did you mean --views"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[a for a, _ in BAD])
def test_a_bad_command_writes_nothing(tmp_path, monkeypatch, capsys, arguments, says):
    open3d()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    (tmp_path / "words.obj").write_text("just words\n")
    (tmp_path / "points.xyz").write_text("0 0 0\n1 1 1\n")
    (tmp_path / "nan.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\nnan 1 0\n3 0 1 2\n")
    before = sorted(tmp_path.rglob("*"))
    assert main(["scene", *arguments.split()]) == 2
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_without_open3d_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    def missing(what):
        raise FieldsError(f"{what} needs open3d; pip install 'fields-engine[shapes]'")

    monkeypatch.setattr(generate, "open3d_for", missing)
    path = write_mesh(tmp_path / "ring.ply")
    assert main(["scene", str(path), "-o", str(tmp_path / "new")]) == 2
    assert "fields scene needs open3d" in capsys.readouterr().err
    arguments = ["scene", "demo-scene", "-o", str(tmp_path / "demo"), "--views", "2", "--size", "8"]
    assert main(arguments) == 0


def test_the_command_makes_a_scene_and_says_what(tmp_path, capsys, monkeypatch):
    open3d()
    monkeypatch.chdir(tmp_path)
    write_mesh(tmp_path / "ring.obj")
    command = "scene ring.obj --views 3 --size 24 --seed 2 --animate --up z --differ"
    assert main([*command.split(), "--distortion", "-0.1,0.01,0,0"]) == 0
    assert capsys.readouterr().out == (
        "ring-scene: 3 train, 1 val, 1 test views of 24 x 24, geometry.ply\n")  # fmt: skip
    scene = read_scene(tmp_path / "ring-scene")
    assert scene.moves and scene.frames[0].camera.lens == Perspective((-0.1, 0.01, 0, 0))
    content = json.loads((tmp_path / "ring-scene" / "transforms_train.json").read_text())
    assert "fl_x" in content["frames"][0] and content["integer_depth_scale"] == 1e-4


def test_a_lens_that_folds_its_pictures_is_refused(tmp_path, capsys):
    arguments = ["scene", "demo-scene", "-o", str(tmp_path / "x"), "--distortion", "-9,0,0,0"]
    assert main(arguments) == 2
    line = capsys.readouterr().err
    assert "folds the picture" in line and line.count("\n") == 1 and not list(tmp_path.iterdir())


def test_out_of_doors_everything_is_opaque_and_goes_on_behind_the_box(tmp_path):
    wanted = Wanted(views=6, size=32, outdoors=True)
    render_demo(tmp_path / "out", wanted)
    scene = read_scene(tmp_path / "out")
    assert scene.format == "transforms" and scene.unbounded and not scene.alpha
    assert {split: len(frames) for split, frames in scene.splits.items()} == wanted.splits
    places = [frame.camera.position for frame in scene.frames]
    assert (np.abs(places) <= scene.box[1] + 1e-6).all()
    inside = render_demo_alone(tmp_path / "alone")
    for frame, alone in zip(scene.splits["train"], inside.splits["train"], strict=True):
        depths, own = depths_of(frame), depths_of(alone)
        assert (depths > 0).all() and depths.max() > 4
        thing = own > 0
        assert np.allclose(depths[thing], own[thing], atol=2e-3)
        assert np.allclose(frame.camera.cam_to_world, alone.camera.cam_to_world)
    pixels = load_images(scene, "train").image(0)
    assert pixels.shape == (32, 32, 3) and len(np.unique(pixels)) > 50


def render_demo_alone(folder):
    render_demo(folder, Wanted(views=6, size=32))
    return read_scene(folder)
