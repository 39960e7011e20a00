"""Scenes in the formats that they come in: frames, cameras, splits, box."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import scene_files as files

from fields.cameras import Camera, look_at
from fields.lens import Fisheye, Perspective
from fields.pictures import write_picture
from fields.scenes import find_scene, load_images, read_scene

UP = np.array([0.0, 0.0, 1.0])


def counts(scene):
    return {split: len(frames) for split, frames in scene.splits.items()}


def test_a_folder_in_blenders_format(tmp_path):
    scene = read_scene(files.blender(tmp_path / "thing"))
    assert (scene.name, scene.format, counts(scene)) == (
        "thing", "blender", {"train": 4, "val": 1, "test": 2})  # fmt: skip
    assert scene.alpha and scene.channels == 4 and not scene.unbounded and not scene.moves
    assert scene.box.tolist() == [[-1.5] * 3, [1.5] * 3] and scene.up == (0, 0, 1)
    assert scene.notes == ()
    frame = scene.splits["train"][2]
    assert (frame.name, frame.image) == ("train/r_002", tmp_path / "thing" / "train" / "r_002.png")
    camera = frame.camera
    assert (camera.width, camera.height, camera.cx, camera.cy) == (*files.SIZE, 6, 4)
    assert camera.fl_x == camera.fl_y == pytest.approx(6 / math.tan(files.ANGLE / 2))
    assert np.allclose(camera.cam_to_world, files.poses()[2], atol=1e-12)
    unit = scene.space.to_unit(scene.box)
    assert np.allclose(unit, [[0, 0, 0], [1, 1, 1]])


def test_a_json_of_blenders_names_its_folder(tmp_path):
    folder = files.blender(tmp_path)
    assert counts(read_scene(folder / "transforms_train.json")) == counts(read_scene(folder))


def test_times_of_a_scene_that_moves(tmp_path):
    scene = read_scene(files.blender(tmp_path, time=0.25))
    assert scene.moves and scene.splits["test"][0].time == 0.25


def test_blender_without_a_test_split_holds_out_every_eighth_view(tmp_path):
    scene = read_scene(files.blender(tmp_path, counts=(17, 0, 0)))
    assert counts(scene) == {"train": 14, "test": 3}
    assert [f.name for f in scene.splits["test"]] == [f"train/r_0{i:02}" for i in (0, 8, 16)]
    assert any("every eighth view is held out" in note for note in scene.notes)


def test_images_are_found_with_and_without_suffix_and_missing_ones_are_left_out(tmp_path):
    found = files.frames(tmp_path, 4, "a/", "")
    found[1]["file_path"] += ".png"
    found[2]["file_path"] = ".\\a\\002"
    (tmp_path / "a" / "003.png").rename(tmp_path / "a" / "003.JPG.png")
    found[3]["file_path"] = "a/003.JPG"
    gone = [{**found[0], "file_path": f"a/none{i}"} for i in range(2)]
    scene = read_scene(files.transforms(tmp_path, {"frames": gone + found}))
    assert len(scene.frames) == 4
    assert "2 of the 6 images of transforms.json are missing and left out, the first a/none0" in (
        scene.notes)  # fmt: skip


def test_intrinsics_of_a_file_and_of_its_frames(tmp_path):
    folder, size = tmp_path, dict(zip("wh", files.SIZE, strict=True))
    found = files.frames(folder, 4)
    found[1] |= {"fl_x": 20, "fl_y": 21, "cx": 5.5, "cy": 3.25, "k1": 0.3}
    found[2] |= {"camera_angle_x": 1.0}
    found[3] |= {"camera_model": "OPENCV_FISHEYE", "k1": 0.1, "k4": 0.4}
    content = {"fl_x": 15.0, "fl_y": 16.0, "cx": 6.5, **size, "k1": -0.1, "p2": 0.01,
               "camera_model": "OPENCV", "frames": found, "applied_transform": [[1]]}  # fmt: skip
    cameras = [f.camera for f in _by_name(read_scene(files.transforms(folder, content)))]
    lens = Perspective((-0.1, 0, 0, 0), (0, 0.01))
    values = [(c.fl_x, c.fl_y, c.cx, c.cy, c.lens) for c in cameras]
    assert values[0] == (15, 16, 6.5, 4, lens)
    assert values[1] == (20, 21, 5.5, 3.25, Perspective((0.3, 0, 0, 0), (0, 0.01)))
    assert values[2][:2] == (pytest.approx(6 / math.tan(0.5)),) * 2
    assert values[3][4] == Fisheye((0.1, 0, 0, 0.4))


def test_fields_of_view_along_both_axes_and_a_fisheye_by_flag(tmp_path):
    content = {"fl_x": None, "camera_angle_x": 1.0, "camera_angle_y": 0.5, "is_fisheye": True}
    camera = read_scene(files.transforms(tmp_path, content)).frames[0].camera
    assert camera.fl_x == pytest.approx(6 / math.tan(0.5))
    assert camera.fl_y == pytest.approx(4 / math.tan(0.25))
    assert isinstance(camera.lens, Fisheye)


def test_a_scaled_rotation_loses_its_scale(tmp_path):
    found = files.frames(tmp_path)
    matrix = np.array(found[0]["transform_matrix"])
    matrix[:3, :3] *= 1.7
    found[0]["transform_matrix"] = matrix.tolist()
    camera = _by_name(read_scene(files.transforms(tmp_path, {"frames": found})))[0].camera
    assert np.allclose(camera.cam_to_world, files.poses()[0])


@pytest.mark.parametrize(
    ("keys", "low", "high"),
    [
        ({"aabb_scale": 1}, -0.5 / 0.33, 0.5 / 0.33),
        ({"aabb_scale": 4, "scale": 0.5, "offset": [0.5, 0.5, 0.5]}, -4, 4),
        ({"scale": 1.0, "offset": [0.0, 0.0, 0.0]}, 0, 1),
        ({"aabb": [[-1, -2, -1], [1, 2, 1]]}, -2, 2),
    ],
)
def test_the_box_of_instant_ngp(tmp_path, keys, low, high):
    scene = read_scene(files.transforms(tmp_path, keys))
    assert np.allclose(scene.box, [[low] * 3, [high] * 3]) and not scene.unbounded


def test_a_world_of_instant_ngp_has_no_end(tmp_path):
    scene = read_scene(files.transforms(tmp_path, {"aabb_scale": 16}, channels=3))
    assert scene.unbounded and np.abs(scene.box).max() < 5


def test_what_cameras_look_at_is_the_box_where_alpha_is_known(tmp_path):
    scene = read_scene(files.transforms(tmp_path, {"fl_x": 12.0}))
    distance = np.linalg.norm(files.poses()[0][:3, 3])
    half = distance * 12 / 2 / 12
    assert scene.alpha and not scene.unbounded
    assert np.allclose(scene.box, [[-half] * 3, [half] * 3], atol=1e-6)


def test_photos_go_on_behind_the_box_of_their_cameras(tmp_path):
    scene = read_scene(files.transforms(tmp_path, channels=3))
    assert scene.unbounded and not scene.alpha and scene.channels == 3
    inside = np.array([frame.camera.position for frame in scene.frames])
    assert (inside >= scene.box[0] - 1e-9).all() and (inside <= scene.box[1] + 1e-9).all()


def test_cameras_that_look_outward_have_no_end(tmp_path):
    found = files.frames(tmp_path, 6)
    for i, frame in enumerate(found):
        place = np.array([math.cos(i), math.sin(i), 0.1])
        frame["transform_matrix"] = look_at(place, 9 * place, UP).tolist()
    assert read_scene(files.transforms(tmp_path, {"frames": found})).unbounded


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_up_is_that_of_the_cameras(tmp_path, axis):
    found, up = files.frames(tmp_path, 6), np.eye(3)[axis]
    for i, frame in enumerate(found):
        place = np.roll([0.5, 2 * math.cos(i), 2 * math.sin(i)], axis)
        frame["transform_matrix"] = look_at(place, np.zeros(3), up).tolist()
    scene = read_scene(files.transforms(tmp_path, {"frames": found}))
    assert np.allclose(scene.up, up, atol=0.2)


def test_splits_that_nerfstudio_states(tmp_path):
    found = files.frames(tmp_path, 5)
    names = [frame["file_path"] for frame in found]
    content = {"frames": found, "train_filenames": names[:3], "val_filenames": [f"./{names[3]}"],
               "test_filenames": [names[4], "images/none.png"]}  # fmt: skip
    assert counts(read_scene(files.transforms(tmp_path, content))) == {
        "train": 3, "val": 1, "test": 1}  # fmt: skip
    del content["test_filenames"]
    assert counts(read_scene(files.transforms(tmp_path, content))) == {"train": 3, "test": 1}


def test_masks_and_depths_of_both_makers(tmp_path):
    found = files.frames(tmp_path, 3)
    white = np.full((files.SIZE[1], files.SIZE[0], 1), 255, np.uint8)
    for name in ("m0.png", "images/dynamic_mask_001.png", "d2.png"):
        write_picture(tmp_path / name, white)
    found[0] |= {"mask_path": "m0.png", "depth_file_path": "d2.png"}
    found[2] |= {"mask_path": "gone.png", "depth_path": "d2.png"}
    content = {"frames": found, "integer_depth_scale": 0.25}
    scene = read_scene(files.transforms(tmp_path, content))
    first, second, third = _by_name(scene)
    assert (first.mask, first.mask_drops) == (tmp_path / "m0.png", False)
    assert second.mask == tmp_path / "images" / "dynamic_mask_001.png" and second.mask_drops
    assert third.mask is None and any("1 mask is missing" in n for n in scene.notes)
    assert first.depth == third.depth == tmp_path / "d2.png" and first.depth_scale == 0.25
    dropping = _by_name(read_scene(tmp_path, mask_of="drop"))
    assert dropping[0].mask_drops and dropping[1].mask_drops


def test_exif_is_not_obeyed_in_silence(tmp_path):
    found = files.frames(tmp_path, 3, suffix=".jpg", channels=3)
    _turn(tmp_path / found[0]["file_path"])
    scene = read_scene(files.transforms(tmp_path, {"frames": found}))
    camera = _by_name(scene)[0].camera
    assert (camera.width, camera.height) == files.SIZE
    assert any("EXIF" in note and "as stored" in note for note in scene.notes)
    content = {"frames": found, "w": files.SIZE[1], "h": files.SIZE[0]}
    assert "EXIF" in files.line_for(files.transforms(tmp_path, content))


def _turn(path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as image:
        image.load()
        image.save(path, exif=exif)


def _by_name(scene):
    return sorted(scene.frames, key=lambda frame: frame.name)


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
def test_what_colmap_leaves(tmp_path, binary):
    folder, matrices = files.colmap(tmp_path / "room", binary=binary)
    scene = read_scene(folder)
    assert (scene.format, counts(scene)) == ("colmap", {"train": 8, "test": 2})
    for frame, matrix in zip(_by_name(scene), matrices, strict=True):
        assert np.allclose(frame.camera.cam_to_world, matrix, atol=1e-12)
    camera = scene.frames[0].camera
    assert (camera.fl_x, camera.fl_y, camera.cx, camera.cy) == (15, 15, 6, 4)
    assert camera.lens == Perspective((0.1, 0, 0, 0))
    assert scene.unbounded and np.allclose(scene.box, [[-1.6] * 3, [1.6] * 3], atol=0.35)
    assert np.linalg.norm(scene.up) == pytest.approx(1)


@pytest.mark.parametrize(
    ("model", "number", "parameters", "wanted"),
    [
        ("SIMPLE_PINHOLE", 0, (15, 6, 4), (15, 15, 6, 4, Perspective())),
        ("PINHOLE", 1, (15, 16, 6, 4), (15, 16, 6, 4, Perspective())),
        ("RADIAL", 3, (15, 6, 4, 0.1, 0.2), (15, 15, 6, 4, Perspective((0.1, 0.2, 0, 0)))),
        ("OPENCV", 4, (15, 16, 6, 4, 0.1, 0.2, 0.3, 0.4),
         (15, 16, 6, 4, Perspective((0.1, 0.2, 0, 0), (0.3, 0.4)))),
        ("OPENCV_FISHEYE", 5, (15, 16, 6, 4, 0.1, 0.2, 0.3, 0.4),
         (15, 16, 6, 4, Fisheye((0.1, 0.2, 0.3, 0.4)))),
        ("SIMPLE_RADIAL_FISHEYE", 8, (15, 6, 4, 0.1), (15, 15, 6, 4, Fisheye((0.1, 0, 0, 0)))),
    ],
)  # fmt: skip
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
def test_cameras_of_colmap(tmp_path, model, number, parameters, wanted, binary):
    folder, _ = files.colmap(tmp_path / "x", model, parameters, number=number, binary=binary)
    camera = read_scene(folder).frames[0].camera
    assert (camera.fl_x, camera.fl_y, camera.cx, camera.cy, camera.lens) == wanted


def test_smaller_images_of_colmap_are_taken_where_they_are(tmp_path):
    folder, _ = files.colmap(tmp_path / "x", points=np.zeros((0, 3)))
    (folder / "images_4").mkdir()
    for path in (folder / "images").iterdir():
        small = (folder / "images_4" / path.name).with_suffix(".jpg")
        write_picture(small, files.picture(0, 3, (3, 2)))
    scene = read_scene(folder, downscale=4)
    assert (scene.downscale, scene.shrink) == (4, 1)
    assert any("images_4" in note for note in scene.notes)
    camera = scene.frames[0].camera
    assert (camera.width, camera.height, camera.fl_x, camera.cx) == (3, 2, 3.75, 1.5)
    other = read_scene(folder, downscale=2)
    assert other.downscale == other.shrink == 2 and other.frames[0].camera.fl_x == 7.5
    (folder / "images").rename(folder / "elsewhere")
    assert read_scene(folder, downscale=4).frames[0].camera.fl_x == 3.75
    assert "--downscale 4" in files.line_for(folder)


def test_masks_of_colmap(tmp_path):
    folder, _ = files.colmap(tmp_path / "x")
    (folder / "masks").mkdir()
    write_picture(folder / "masks" / "view 03.png.png", np.zeros((8, 12), np.uint8))
    write_picture(folder / "masks" / "view 04.png", np.zeros((8, 12), np.uint8))
    masked = [frame.name for frame in read_scene(folder).frames if frame.mask is not None]
    assert sorted(masked) == ["images/view 03", "images/view 04"]


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_cameras_follow_a_smaller_picture(tmp_path, factor):
    folder = files.blender(tmp_path)
    whole, small = read_scene(folder), read_scene(folder, downscale=factor)
    assert small.downscale == factor
    a, b = whole.frames[0].camera, small.frames[0].camera
    assert (b.width, b.height) == (12 // factor, 8 // factor)
    places = np.random.default_rng(0).uniform(0, 8, (20, 2))
    assert np.allclose(a.rays_of(places)[1], b.rays_of(places / factor)[1], atol=1e-12)


def test_what_is_a_scene(tmp_path):
    assert find_scene(files.blender(tmp_path / "b")) == "blender"
    assert find_scene(files.transforms(tmp_path / "t")) == "transforms"
    assert find_scene(tmp_path / "t" / "transforms.json") == "transforms"
    assert find_scene(files.colmap(tmp_path / "c")[0]) == "colmap"
    assert find_scene(tmp_path / "t" / "images") == "photos"
    (tmp_path / "empty").mkdir()
    write_picture(tmp_path / "one.png", files.picture())
    for other in ("empty", "one.png", "nothing", "a\0b"):
        assert find_scene(tmp_path / other) is None


def test_rays_of_a_distorted_scene_meet_where_points_are_seen(tmp_path):
    keys = {"k1": -0.2, "k2": 0.05, "p1": 0.002, "p2": -0.001, "fl_x": 12.0}
    scene = read_scene(files.transforms(tmp_path, keys, count=5), downscale=2)
    point = np.array([0.3, -0.2, 0.4])
    for frame in scene.frames:
        (pixel,), _ = frame.camera.project(point[None])
        origins, directions = frame.camera.rays_of(pixel[None])
        towards = point - origins[0]
        assert np.allclose(directions[0], towards / np.linalg.norm(towards), atol=1e-9)


@pytest.mark.parametrize("name", ["chair", "mic"])
@pytest.mark.skipif("FIELDS_DATA" not in os.environ, reason="FIELDS_DATA names no test data")
def test_a_synthetic_scene(name):
    folder = Path(os.environ["FIELDS_DATA"]) / "blender" / name
    if not folder.is_dir():
        pytest.skip(f"FIELDS_DATA has no blender/{name}")
    scene = read_scene(folder)
    assert counts(scene) == {"train": 100, "val": 13, "test": 25} and scene.notes == ()
    assert scene.alpha and scene.box.tolist() == [[-1.5] * 3, [1.5] * 3]
    camera = scene.splits["test"][3].camera
    assert isinstance(camera, Camera) and camera.fl_x == pytest.approx(555.5555, abs=1e-3)
    truth = json.loads((folder / "transforms_test.json").read_text())["frames"][3]
    assert np.allclose(camera.cam_to_world, truth["transform_matrix"], atol=1e-6)
    images = load_images(scene, "test").stack()
    assert images.shape == (25, 400, 400, 4)
    # What is opaque lies in the box: the middle of each silhouette is seen near its middle.
    for frame, image in zip(scene.splits["test"], images, strict=True):
        rows, columns = np.nonzero(image[..., 3])
        middle = np.array([[columns.mean(), rows.mean()]])
        origins, directions = frame.camera.rays_of(middle + 0.5)
        nearest = origins - (origins * directions).sum() * directions
        assert np.linalg.norm(nearest) < 0.6
