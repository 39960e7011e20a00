"""OpenEXR is read: windows, channels, depths, alpha, tiles."""

import numpy as np
import pytest
from picture_files import noise

from fields.errors import FieldsError
from fields.pictures import read_picture


def write_exr(path, channels, **header):
    import OpenEXR

    header.setdefault("compression", OpenEXR.ZIP_COMPRESSION)
    header.setdefault("type", OpenEXR.scanlineimage)
    OpenEXR.File(header, channels).write(str(path))


def window(left, top, right, bottom):
    return (np.array([left, top], np.int32), np.array([right, bottom], np.int32))


def test_exr_data_window_is_laid_into_the_display_window(tmp_path):
    pixels = noise(4, 5, 3, np.float16)
    write_exr(
        tmp_path / "p.exr",
        {"RGB": pixels},
        dataWindow=window(-2, 1, 2, 4),
        displayWindow=window(0, 0, 9, 3),
    )
    expected = np.zeros((4, 10, 3), np.float16)
    expected[1:4, 0:3] = pixels[0:3, 2:5]
    picture = read_picture(tmp_path / "p.exr")
    assert picture.pixels.dtype == np.float16
    np.testing.assert_array_equal(picture.pixels, expected)


def test_exr_windows_that_do_not_start_at_zero(tmp_path):
    pixels = noise(3, 4, 3, np.float32)
    both = window(100, -50, 103, -48)
    write_exr(tmp_path / "p.exr", {"RGB": pixels}, dataWindow=both, displayWindow=both)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.exr").pixels, pixels)


def test_exr_windows_that_do_not_meet_get_a_line(tmp_path):
    write_exr(
        tmp_path / "p.exr",
        {"RGB": noise(3, 4, 3, np.float32)},
        dataWindow=window(20, 0, 23, 2),
        displayWindow=window(0, 0, 9, 9),
    )
    with pytest.raises(FieldsError, match="without a pixel inside its display window"):
        read_picture(tmp_path / "p.exr")


def test_exr_of_luminance_of_one_odd_channel_and_with_channels_missing(tmp_path):
    plane = noise(3, 4, 1, np.float32)[:, :, 0]
    for name in ("Y", "Z", "R", "depth.V"):
        write_exr(tmp_path / "p.exr", {name: plane})
        assert read_picture(tmp_path / "p.exr").channels == 1
        np.testing.assert_array_equal(read_picture(tmp_path / "p.exr").pixels[:, :, 0], plane)
    write_exr(tmp_path / "p.exr", {"R": plane, "B": 2 * plane})
    expected = np.stack([plane, 0 * plane, 2 * plane], axis=2)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.exr").pixels, expected)


def test_exr_of_mixed_depth_is_read_as_floats_and_other_layers_are_left_out(tmp_path):
    plane = noise(3, 4, 1, np.float32)[:, :, 0]
    half = plane.astype(np.float16)
    write_exr(tmp_path / "p.exr", {"R": plane, "G": half, "B": half, "N.X": plane, "Z": plane})
    picture = read_picture(tmp_path / "p.exr")
    assert picture.pixels.dtype == np.float32
    np.testing.assert_array_equal(picture.pixels[:, :, 0], plane)
    np.testing.assert_array_equal(picture.pixels[:, :, 1], half.astype(np.float32))


def test_exr_alpha_becomes_straight(tmp_path):
    rgba = np.array([[[0.25, 0.5, 1, 0.5], [3, 0, 0, 0], [1, 2, 3, 1]]], np.float16)
    write_exr(tmp_path / "p.exr", {"RGBA": rgba})
    assert read_picture(tmp_path / "p.exr").pixels.tolist() == [
        [[0.5, 1, 2, 0.5], [3, 0, 0, 0], [1, 2, 3, 1]]
    ]


@pytest.mark.parametrize("compression", ["NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24"])
@pytest.mark.parametrize("tiled", [False, True])
def test_exr_of_every_lossless_compression(tmp_path, compression, tiled):
    import OpenEXR

    header = {"compression": getattr(OpenEXR, f"{compression}_COMPRESSION")}
    if tiled:
        header |= {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
    pixels = noise(70, 90, 3, np.float16)
    write_exr(tmp_path / "p.exr", {"RGB": pixels}, **header)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.exr").pixels, pixels)


def test_exr_of_several_parts_shows_the_first(tmp_path):
    import OpenEXR

    pixels = noise(5, 6, 3, np.float32)
    parts = [OpenEXR.Part({"name": n}, {"RGB": k * pixels}) for n, k in (("a", 1), ("b", 2))]
    OpenEXR.File(parts).write(str(tmp_path / "p.exr"))
    np.testing.assert_array_equal(read_picture(tmp_path / "p.exr").pixels, pixels)


def test_exr_without_colours_gets_a_line(tmp_path):
    plane = np.zeros((3, 4), np.float32)
    write_exr(tmp_path / "p.exr", {"N.X": plane, "N.Y": plane})
    with pytest.raises(FieldsError, match=r"without R, G, B or Y but with N\.X, N\.Y; rename"):
        read_picture(tmp_path / "p.exr")
    write_exr(tmp_path / "p.exr", {"Y": plane.astype(np.uint32)})
    with pytest.raises(FieldsError, match="channel Y holds integers"):
        read_picture(tmp_path / "p.exr")
