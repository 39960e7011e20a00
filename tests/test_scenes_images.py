"""Images of a scene in memory: kinds, alpha, masks, smaller ones, and how much they may take."""

import numpy as np
import pytest
import scene_files as files

from fields.errors import FieldsError
from fields.pictures import write_picture
from fields.scenes import load_images, read_scene
from fields.scenes.depths import read_depth


def scene_of(folder, *pixels, **options):
    """A scene whose frames hold the given pixels, in this order, all in one split."""
    found = []
    for i, (values, matrix) in enumerate(zip(pixels, files.poses(len(pixels)), strict=True)):
        write_picture(folder / f"{i}.png", values)
        frame = {"file_path": f"{i}.png", "transform_matrix": matrix.tolist()}
        found.append(frame | {"w": values.shape[1], "h": values.shape[0]})
    names = [frame["file_path"] for frame in found]
    content = {"fl_x": 12.0, "frames": found, "train_filenames": names, "test_filenames": names}
    files.write_json(folder / "transforms.json", content)
    return read_scene(folder, **options)


def test_images_are_bytes_as_stored(tmp_path):
    stored = [files.picture(i) for i in range(20)]
    images = load_images(scene_of(tmp_path, *stored), "train")
    assert images.pixels.dtype == np.uint8 and len(images) == 20
    assert np.array_equal(images.stack(), np.stack(stored))
    assert images.kept is None and images.mask(0) is None
    assert np.shares_memory(images.image(3), images.pixels)


def test_images_of_several_sizes(tmp_path):
    stored = [files.picture(0, 3), files.picture(1, 3, (5, 7)), files.picture(2, 3, (1, 1))]
    images = load_images(scene_of(tmp_path, *stored), "train")
    for i, values in enumerate(stored):
        assert np.array_equal(images.image(i), values)
    assert images.sizes.tolist() == [[12, 8], [5, 7], [1, 1]]
    with pytest.raises(FieldsError, match="several sizes"):
        images.stack()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_and_grey_become_8_bits_and_colour(tmp_path, channels):
    stored = files.picture(0, channels, dtype=np.uint16)
    image = load_images(scene_of(tmp_path, stored, stored), "train").image(0)
    has_alpha = channels in (2, 4)
    wanted = np.rint(stored / 257).astype(np.uint8)
    assert image.shape == (8, 12, 4 if has_alpha else 3)
    assert np.array_equal(image[..., :3], np.broadcast_to(wanted[..., : 3 if channels > 2 else 1],
                                                          (8, 12, 3)))  # fmt: skip
    if has_alpha:
        assert np.array_equal(image[..., 3], wanted[..., -1])


def test_an_image_without_alpha_among_others_is_opaque(tmp_path):
    images = load_images(scene_of(tmp_path, files.picture(0, 3), files.picture(1, 4)), "train")
    assert (images.image(0)[..., 3] == 255).all()


def test_smaller_images_are_means_weighted_by_alpha(tmp_path):
    stored = files.picture(0)
    stored[:2, :2, 3] = [[255, 0], [51, 0]]
    stored[2:4, :2, 3] = 0
    scene = scene_of(tmp_path, stored, stored, downscale=2)
    small = load_images(scene, "train").image(0)
    assert small.shape == (4, 6, 4)
    block = stored[:2, :2].astype(float).reshape(4, 4)
    wanted = (block[:, :3] * block[:, 3:]).sum(0) / block[:, 3].sum()
    assert np.abs(small[0, 0, :3] - wanted).max() <= 0.51
    assert small[0, 0, 3] == round(306 / 4) and small[1, 0, 3] == 0


def test_an_incomplete_border_is_left_out(tmp_path):
    stored = files.picture(0, 3)
    image = load_images(scene_of(tmp_path, stored, stored, downscale=5), "train").image(0)
    assert image.shape == (1, 2, 3)
    assert np.abs(image[0, 1] - stored[:5, 5:10].mean((0, 1))).max() <= 0.51


@pytest.mark.parametrize("sense", ["keep", "drop"])
@pytest.mark.parametrize("channels", [1, 3])
def test_masks_of_both_senses(tmp_path, sense, channels):
    scene = scene_of(tmp_path, files.picture(0, 3), files.picture(1, 3))
    mask = np.zeros((8, 12, channels), np.uint8)
    mask[:3, :5] = 255
    write_picture(tmp_path / "mask.png", mask if sense == "keep" else 255 - mask)
    text = (tmp_path / "transforms.json").read_text()
    named = text.replace('"file_path": "0.png"', '"file_path": "0.png", "mask_path": "mask.png"')
    (tmp_path / "transforms.json").write_text(named)
    assert scene.frames[0].mask is None
    for downscale in (1, 2):
        scene = read_scene(tmp_path, mask_of=sense, downscale=downscale)
        images = load_images(scene, "train")
        kept, other = images.mask(0), images.mask(1)
        wanted = np.zeros((8 // downscale, 12 // downscale), bool)
        wanted[: 3 // downscale, : 5 // downscale] = True
        assert np.array_equal(kept, wanted)
        assert np.all(other)


def test_a_mask_of_another_size_is_refused(tmp_path):
    write_picture(tmp_path / "dynamic_mask_0.png", np.zeros((4, 6), np.uint8))
    scene = scene_of(tmp_path, files.picture(0, 3), files.picture(1, 3))
    with pytest.raises(FieldsError, match=r"dynamic_mask_0\.png is 6 x 4 pixels, and its view"):
        load_images(scene, "train")


def test_memory_is_known_before_anything_is_read(tmp_path):
    scene = scene_of(tmp_path, files.picture(0), files.picture(1), files.picture(2))
    (tmp_path / "0.png").write_bytes(b"no picture any more")
    with pytest.raises(FieldsError, match=r"3 images .* 0\.0 GB .*; --downscale 2 fits"):
        load_images(scene, "train", most_bytes=300)
    with pytest.raises(FieldsError, match="--downscale 4 fits"):
        load_images(scene, "train", most_bytes=96)
    with pytest.raises(FieldsError, match=r"0\.png"):
        load_images(scene, "train")


def test_an_image_that_changed_since_the_scene_was_read(tmp_path):
    scene = scene_of(tmp_path, files.picture(0), files.picture(1))
    write_picture(tmp_path / "1.png", files.picture(1, 4, (6, 4)))
    with pytest.raises(FieldsError, match=r"1\.png is 6 x 4 pixels, and its view 12 x 8"):
        load_images(scene, "train")


def test_progress_is_told(tmp_path):
    told = []
    scene = scene_of(tmp_path, *[files.picture(i, 3, (2, 2)) for i in range(20)])
    load_images(scene, "train", told=lambda done, total: told.append((done, total)))
    assert told[-1] == (20, 20) and len(told) > 1


def test_depths_are_in_units_of_the_source(tmp_path):
    depth = np.arange(96, dtype=np.uint16).reshape(8, 12, 1)
    write_picture(tmp_path / "d.png", depth)
    np.save(tmp_path / "d.npy", depth[..., 0].astype(np.float32))
    for name in ("d.png", "d.npy"):
        keys = {"frames": files.frames(tmp_path, 2, depth_file_path=name)}
        scene = read_scene(files.transforms(tmp_path, keys | {"integer_depth_scale": 0.5}))
        assert np.allclose(read_depth(scene.frames[0]), depth[..., 0] * 0.5)
    scene = read_scene(tmp_path, downscale=2)
    assert np.allclose(read_depth(scene.frames[0], 2), depth[1::2, 1::2, 0] * 0.5)
    (tmp_path / "d.npy").write_bytes(b"nothing")
    with pytest.raises(FieldsError, match=r"d\.npy"):
        read_depth(scene.frames[0])


@pytest.mark.parametrize(("k1", "drops"), [(-0.1, False), (-1.5, True)])
def test_pixels_at_which_a_lens_shows_nothing_do_not_count(tmp_path, k1, drops):
    scene = read_scene(files.transforms(tmp_path, {"k1": k1}))
    images = load_images(scene, "train")
    assert (images.kept is not None) == drops
    assert any("the lens shows nothing" in note for note in scene.notes) == drops
    if drops:
        assert np.array_equal(images.mask(0), scene.splits["train"][0].camera.shown)
