"""Whatever is wrong with a scene is said in one line that names the file and the frame."""

import json

import numpy as np
import pytest
import scene_files as files
import torch

from fields.configs.scene import SceneOptions
from fields.errors import FieldsError
from fields.pictures import write_picture
from fields.scenes import load_images, read_scene
from fields.signals.scene import SceneSignal

EYE = np.eye(4).tolist()


def signal_of(scene):
    return SceneSignal(scene, SceneOptions(), torch.device("cpu"))


def changed(folder, change, **content):
    """A scene of four frames of which the third was changed."""
    found = files.frames(folder)
    content = {"fl_x": 15.0, "frames": found, **content}
    change(content, found[2])
    files.write_json(folder / "transforms.json", content)
    return folder


def matrix(value):
    return lambda content, frame: frame.update(transform_matrix=value)


def key(name, value):
    return lambda content, frame: frame.update({name: value})


def both(**keys):
    return lambda content, frame: frame.update(keys)


def without(name):
    return lambda content, frame: frame.pop(name)


def bent(change):
    value = np.eye(4)
    change(value)
    return matrix(value.tolist())


FRAMES = {
    "no matrix": (without("transform_matrix"), "has no transform_matrix"),
    "3 x 4": (matrix(EYE[:3]), "3 x 4; add the row 0 0 0 1"),
    "3 x 3": (matrix(np.eye(3).tolist()), r"shape \[3, 3\]"),
    "ragged": (matrix([[1, 2], [3]]), "4 x 4 numbers"),
    "words": (matrix([["a"] * 4] * 4), "4 x 4 numbers"),
    "null": (matrix(None), "transform_matrix"),
    "NaN": (bent(lambda m: m.__setitem__((0, 3), np.nan)), "NaN or infinite"),
    "infinite": (bent(lambda m: m.__setitem__((1, 1), np.inf)), "NaN or infinite"),
    "last row": (bent(lambda m: m.__setitem__((3, 0), 1.0)), "0 0 0 1"),
    "zeros": (bent(lambda m: m.__setitem__(np.s_[:3, :3], 0.0)), "singular"),
    "singular": (bent(lambda m: m.__setitem__(np.s_[:3, 0], m[:3, 1])), "singular"),
    "skewed": (bent(lambda m: m.__setitem__((0, 1), 0.5)), "skewed"),
    "mirror": (bent(lambda m: m.__setitem__((0, 0), -1.0)), "mirrors"),
    "huge": (bent(lambda m: m.__imul__(1e200)), "0 0 0 1|singular"),
    "far away": (bent(lambda m: m.__setitem__((0, 3), 1e300)), "1e.300 from the origin"),
    "no file_path": (without("file_path"), "has no file_path"),
    "number for a path": (key("file_path", 7), "must be the path of a file"),
    "empty path": (key("file_path", ""), "must be the path of a file"),
    "up and out": (key("file_path", "../images/000.png"), "leads out of the folder"),
    "down, up and out": (key("file_path", "a/../../b.png"), "leads out of the folder"),
    "absolute": (key("file_path", "/etc/passwd"), "leads out of the folder"),
    "of Windows": (key("file_path", "C:\\photos\\a.png"), "leads out of the folder"),
    "mask out": (key("mask_path", "../m.png"), "mask_path .* leads out"),
    "depth out": (key("depth_file_path", "/d.png"), "depth_file_path .* leads out"),
    "zero focal": (key("fl_x", 0), "fl_x 0"),
    "negative focal": (key("fl_y", -3), "fl_y -3"),
    "NaN focal": (key("fl_x", float("nan")), "fl_x nan; it must be a finite number"),
    "word for a focal": (key("fl_x", "wide"), "fl_x 'wide'"),
    "true for a focal": (key("fl_x", True), "finite number"),
    "angle of 4": (key("camera_angle_x", 4.0), "between 0 and pi"),
    "principal point": (key("cx", []), "cx"),
    "size": (key("w", 24), "12 x 8 pixels, where w and h say 24 x 8"),
    "time": (key("time", 7.0), "times run from 0 to 1"),
    "lens": (key("camera_model", "EQUIRECTANGULAR"), "EQUIRECTANGULAR"),
    "latlong": (key("latlong", True), "latlong"),
    "distortion": (key("k1", "strong"), "k1 'strong'"),
    "folded": (key("k1", -50.0), "distortion folds the picture"),
    "folded fisheye": (both(is_fisheye=True, k1=-99.0), "distortion folds the picture"),
    "principal point outside": (key("cy", -5000), "cy -5000, far outside of a picture of 8 pixels"),
    "folder": (key("file_path", "images"), "file_path images is a folder"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "says"), FRAMES.values(), ids=FRAMES)
def test_a_bad_frame_is_named(tmp_path, change, says):
    line = files.line_for(changed(tmp_path, change))
    assert "transforms.json: frame 2" in line
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(line)


@pytest.mark.parametrize("value", [None, 3, "x", []])
def test_a_frame_that_is_no_object(tmp_path, value):
    def change(content, frame):
        content["frames"][2] = value

    assert "frame 2 is no object" in files.line_for(changed(tmp_path, change))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("{'frames': []}", "is no JSON (line 1"),
        ('{"frames": [', "is no JSON"),
        ("[]", "must hold an object"),
        ("7", "must hold an object"),
        ("{}", "has no frames"),
        ('{"frames": []}', "has no frames"),
        ('{"frames": {"a": 1}}', "has no frames"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_transforms(tmp_path, text, says):
    (tmp_path / "transforms.json").write_text(text)
    line = files.line_for(tmp_path)
    assert "transforms.json" in line and says in line
    (tmp_path / "transforms.json").rename(tmp_path / "transforms_train.json")
    assert says in files.line_for(tmp_path)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "transforms.json").write_bytes(b"\xff\xfe\x00{")
    assert "is no JSON" in files.line_for(tmp_path)


def test_no_images_at_all(tmp_path):
    folder = files.transforms(tmp_path)
    for path in (folder / "images").iterdir():
        path.unlink()
    assert "names 4 images and none of them is there" in files.line_for(folder)


def test_an_image_that_is_none(tmp_path):
    folder = files.transforms(tmp_path)
    (folder / "images" / "001.png").write_text("not a picture")
    assert "001.png" in files.line_for(folder)


def test_a_picture_of_another_format(tmp_path):
    folder = files.transforms(tmp_path)
    light = np.zeros((8, 12, 3), np.float32)
    write_picture(tmp_path / "light.exr", light)
    (tmp_path / "light.exr").replace(folder / "images" / "001.png")
    assert "exr; images of a scene are PNG" in files.line_for(folder)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"fl_x": None}, "has no focal length"),
        ({"aabb_scale": 0}, "aabb_scale of 0"),
        ({"aabb_scale": "x"}, "aabb_scale 'x'"),
        ({"scale": -1}, "scale of -1"),
        ({"offset": [0.5, 0.5]}, "offset that is not 3 finite numbers"),
        ({"aabb": [[0, 0, 0], [0, 1, 1]]}, "second corner is not beyond its first"),
        ({"test_filenames": "a"}, "test_filenames must be a list"),
        ({"test_filenames": ["images/000.png"], "train_filenames": ["b"]}, "names none"),
        ({"w": 11}, "12 x 8 pixels, where w and h say 11 x 8"),
        ({"aabb_scale": 1e9}, "aabb_scale of 1e+09"),
    ],
)
def test_a_bad_key_of_the_file(tmp_path, content, says):
    line = files.line_for(files.transforms(tmp_path, content))
    assert "transforms.json" in line and says in line


def test_times_in_some_frames_only(tmp_path):
    assert "has a time in 1 of 4 frames" in files.line_for(changed(tmp_path, key("time", 0.5)))


def test_one_view_is_no_scene(tmp_path):
    assert "has one view" in files.line_for(files.transforms(tmp_path, count=1))


def test_what_is_no_scene(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "transforms_train.json" in files.line_for(tmp_path / "empty")
    assert "does not exist" in files.line_for(tmp_path / "none")
    files.frames(tmp_path, 3, "photos/")
    line = files.line_for(tmp_path / "photos")
    assert "pycolmap" in line and "sparse/0" in line


def test_views_for_a_test_alone_are_no_scene(tmp_path):
    folder = files.blender(tmp_path, (0, 0, 2))
    assert "has no transforms_train.json, the views that are trained on" in files.line_for(folder)


@pytest.mark.parametrize(("focal", "size"), [("fl_x", (24, 16)), ("camera_angle_x", (12, 16))])
def test_images_of_several_sizes_need_cameras_of_their_own(tmp_path, focal, size):
    found = files.frames(tmp_path)
    write_picture(tmp_path / "images" / "001.png", files.picture(0, 3, size))
    path = files.write_json(tmp_path / "transforms.json", {focal: 1.0, "frames": found})
    line = files.line_for(tmp_path)
    assert f"one camera for images of 12 x 8 and of {size[0]} x {size[1]} pixels" in line
    found[1] |= {"fl_x": 20.0, "w": size[0], "h": size[1]}
    files.write_json(path, {focal: 1.0, "frames": found})
    assert read_scene(tmp_path).frames[0].camera.width in (12, size[0])


def test_an_angle_holds_for_images_of_one_shape(tmp_path):
    found = files.frames(tmp_path)
    write_picture(tmp_path / "images" / "001.png", files.picture(0, 3, (24, 16)))
    files.write_json(tmp_path / "transforms.json", {"camera_angle_x": 1.0, "frames": found})
    cameras = {f.name: f.camera for f in read_scene(tmp_path).frames}
    assert cameras["images/001"].fl_x == pytest.approx(2 * cameras["images/000"].fl_x)


@pytest.mark.parametrize("suffix", ["png", "npy"])
def test_depths_of_another_size_are_found_before_training(tmp_path, suffix):
    depths = np.ones((9, 12), np.uint16)
    if suffix == "npy":
        np.save(tmp_path / "d.npy", depths)
    else:
        write_picture(tmp_path / "d.png", depths[:, :, None])
    line = files.line_for(changed(tmp_path, key("depth_path", f"d.{suffix}")))
    assert f"d.{suffix} has 12 x 9 depths, and its view 12 x 8 pixels" in line


def test_cameras_in_one_place_are_told(tmp_path):
    found = files.frames(tmp_path)
    for frame in found:
        for row in frame["transform_matrix"][:3]:
            row[3] = 1.0
    scene = read_scene(files.transforms(tmp_path, {"frames": found}))
    assert any("all cameras stand in one place" in note for note in scene.notes)
    assert not any("one place" in note for note in read_scene(files.blender(tmp_path / "b")).notes)


def test_a_lens_of_colmap_that_folds_the_picture(tmp_path):
    folder, _ = files.colmap(tmp_path / "x", parameters=(15.0, 6.0, 4.0, -50.0))
    assert "distortion folds the picture" in files.line_for(folder)


def test_bad_options(tmp_path):
    folder = files.blender(tmp_path)
    for factor in (0, -1, 9):
        assert "--downscale must be from 1 to 8" in files.line_for(folder, downscale=factor)
    assert "--mask-of" in files.line_for(folder, mask_of="white")


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
def test_damaged_files_of_colmap(tmp_path, name, binary):
    folder, _ = files.colmap(tmp_path / "x", binary=binary)
    path = folder / "sparse" / "0" / f"{name}.{'bin' if binary else 'txt'}"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] if binary else whole + b"1 nonsense here\n")
    assert path.name in files.line_for(folder)
    path.write_bytes(b"\xff" * 64)
    assert path.name in files.line_for(folder)


def test_cameras_of_colmap_that_are_not_read(tmp_path):
    folder, _ = files.colmap(tmp_path / "x", "FULL_OPENCV", (1.0,) * 12, number=6)
    assert "FULL_OPENCV, which is not read" in files.line_for(folder)
    folder, _ = files.colmap(tmp_path / "y", "FOV", (1.0,) * 5, binary=False)
    assert "FOV, which is not read" in files.line_for(folder)
    folder, _ = files.colmap(tmp_path / "z", "PINHOLE", (0.0, 1.0, 1.0, 1.0), number=1)
    assert "not more than 0" in files.line_for(folder)


def test_images_of_colmap_that_are_missing_or_of_another_size(tmp_path):
    folder, _ = files.colmap(tmp_path / "x")
    write_picture(folder / "images" / "view 03.png", files.picture(0, 3, (12, 9)))
    assert "view 03.png is 12 x 9 pixels" in files.line_for(folder)
    for path in (folder / "images").iterdir():
        path.unlink()
    assert "knows 10 images and none of them" in files.line_for(folder)


def test_a_name_of_colmap_that_leads_out(tmp_path):
    folder, _ = files.colmap(tmp_path / "x", binary=False)
    path = folder / "sparse" / "0" / "images.txt"
    path.write_text(path.read_text().replace("view 02.png", "../../secret.png"))
    assert "leads out of the folder" in files.line_for(folder)


def test_names_are_printable(tmp_path):
    found = files.frames(tmp_path)
    found[1] |= {"file_path": "a\x1b[2J\n", "transform_matrix": 1}
    content = {"fl_x": 1.0, "frames": found}
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    assert "\x1b" not in files.read_scene(tmp_path).notes[0]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_that_names_nothing_is_refused(tmp_path, split):
    folder = changed(tmp_path, lambda content, frame: None, **{f"{split}_filenames": ["no.png"]})
    assert f"{split}_filenames names none of its frames" in files.line_for(folder)


def test_views_that_are_trained_on_and_tested_are_told(tmp_path):
    names = [f"images/{i:03}.png" for i in range(4)]
    lists = {"train_filenames": names, "test_filenames": names[:1]}
    scene = read_scene(changed(tmp_path, lambda content, frame: None, **lists))
    assert any(note.startswith("1 views are in train and in test") for note in scene.notes)


@pytest.mark.parametrize(("drops", "other"), [("keep", "drop"), ("drop", "keep")])
def test_masks_in_which_nothing_counts_name_the_other_sense(tmp_path, drops, other):
    value = 0 if drops == "keep" else 255
    write_picture(tmp_path / "m.png", np.full((8, 12, 1), value, np.uint8))
    folder = files.transforms(tmp_path, mask_path="m.png")
    with pytest.raises(FieldsError, match=f"no pixel of the train views .*--mask-of {other}"):
        signal_of(read_scene(folder, mask_of=drops))


def test_views_of_nothing_are_refused(tmp_path):
    folder = files.transforms(tmp_path)
    for path in (folder / "images").iterdir():
        write_picture(path, np.zeros((8, 12, 4), np.uint8))
    with pytest.raises(FieldsError, match="are wholly transparent"):
        signal_of(read_scene(folder))


def test_a_view_of_nothing_is_one_like_any_other(tmp_path):
    scene = read_scene(files.transforms(tmp_path))
    write_picture(scene.splits["test"][0].image, np.zeros((8, 12, 4), np.uint8))
    assert not load_images(scene, "test").pixels.any()


def test_depths_that_are_missing_are_told(tmp_path):
    scene = read_scene(changed(tmp_path, key("depth_path", "no.png")))
    assert "depths are missing, the first those of images/002" in scene.notes
