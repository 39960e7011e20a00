"""What is written is read back: bit for bit where the format allows, with its profile."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from fields.errors import FieldsError
from fields.pictures import output_format, quantise, read_picture, write_picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(height, width, channels, dtype, seed=0):
    """Random pixels [height, width, channels] that use the whole range of an integer dtype."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "u":
        return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, channels)).astype(dtype)
    return np.exp(rng.normal(0, 3, (height, width, channels))).astype(dtype)


@pytest.mark.parametrize("shape", [(7, 5), (1, 1), (1, 64), (64, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_integers_survive_png_and_tiff(tmp_path, suffix, channels, dtype, shape):
    pixels = noise(shape[0], shape[1], channels, dtype)
    write_picture(tmp_path / f"p{suffix}", pixels)
    picture = read_picture(tmp_path / f"p{suffix}")
    assert picture.pixels.dtype == dtype
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.name == "p" and picture.bit_depth == 8 * np.dtype(dtype).itemsize
    assert picture.has_alpha == (channels in (2, 4)) and not picture.is_hdr


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", [".exr", ".tif"])
def test_floats_survive_exr_and_tiff(tmp_path, suffix, channels, dtype):
    pixels = noise(9, 6, channels, dtype)
    if channels in (2, 4):
        pixels[:, :, -1] = 1
    pixels[0, 0, 0] = -0.25
    write_picture(tmp_path / f"p{suffix}", pixels)
    picture = read_picture(tmp_path / f"p{suffix}")
    assert picture.pixels.dtype == dtype and picture.is_hdr
    np.testing.assert_array_equal(picture.pixels, pixels)


def test_exr_keeps_straight_alpha_but_for_the_last_bit(tmp_path):
    pixels = noise(9, 6, 4, np.float32)
    pixels[:, :, 3] = np.linspace(0, 1, 54).reshape(9, 6)
    write_picture(tmp_path / "p.exr", pixels)
    np.testing.assert_allclose(read_picture(tmp_path / "p.exr").pixels[1:], pixels[1:], rtol=3e-7)
    assert read_picture(tmp_path / "p.exr").pixels[0, 0, 3] == 0


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_is_written_without_loss(tmp_path, channels):
    pixels = noise(12, 10, channels, np.uint8)
    write_picture(tmp_path / "p.webp", pixels)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.webp").pixels, pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_bmp_is_exact(tmp_path, channels):
    pixels = noise(12, 10, channels, np.uint8)
    write_picture(tmp_path / "p.bmp", pixels)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.bmp").pixels, pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_near(tmp_path, channels):
    y, x = np.mgrid[0:40, 0:56]
    pixels = np.stack([4 * x, 4 * y, 200 - x - y], axis=2)[:, :, :channels].astype(np.uint8)
    write_picture(tmp_path / "p.jpg", pixels)
    back = read_picture(tmp_path / "p.jpg").pixels
    assert back.shape == pixels.shape
    assert np.abs(back.astype(int) - pixels).mean() < 1.5


def test_hdr_keeps_eight_bits_of_each_pixel_and_is_then_stable(tmp_path):
    pixels = noise(11, 9, 3, np.float32)
    pixels[0, 0] = 0
    pixels[0, 1] = [1e-42, 0, 0]
    pixels[0, 2] = [255.9, 1, 1]  # a mantissa that rounds up to the next exponent
    write_picture(tmp_path / "a.hdr", pixels)
    first = read_picture(tmp_path / "a.hdr").pixels
    largest = pixels.max(axis=2, keepdims=True)
    assert (np.abs(first - pixels) <= largest / 255 + 1e-38).all()
    assert (first[0, :2] == 0).all()
    write_picture(tmp_path / "b.hdr", first)
    np.testing.assert_array_equal(read_picture(tmp_path / "b.hdr").pixels, first)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_the_icc_profile_is_carried_through(tmp_path, suffix):
    source = tmp_path / f"in{suffix}"
    write_picture(source, noise(8, 8, 3, np.uint8), SRGB)
    picture = read_picture(source)
    assert picture.icc == SRGB
    write_picture(tmp_path / "out.png", picture.pixels, picture.icc)
    with Image.open(tmp_path / "out.png") as other:  # another program sees it too
        assert other.info["icc_profile"] == SRGB


def test_the_icc_profile_is_carried_at_16_bits(tmp_path):
    write_picture(tmp_path / "p.png", noise(8, 8, 3, np.uint16), SRGB)
    picture = read_picture(tmp_path / "p.png")
    assert picture.icc == SRGB and picture.bit_depth == 16


def test_a_profile_for_colour_is_dropped_from_a_grey_picture(tmp_path):
    write_picture(tmp_path / "p.png", noise(8, 8, 1, np.uint8), SRGB)
    assert read_picture(tmp_path / "p.png").icc is None


def test_floats_are_clamped_and_rounded_for_integer_formats(tmp_path):
    pixels = np.array([[-1.0, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 7.0]], np.float32)
    write_picture(tmp_path / "p.png", pixels)
    assert read_picture(tmp_path / "p.png").pixels[0, :, 0].tolist() == [0, 0, 0, 1, 255, 255]
    write_picture(tmp_path / "p.png", pixels, bit_depth=16)
    assert read_picture(tmp_path / "p.png").pixels[0, -3:, 0].tolist() == [129, 65535, 65535]
    write_picture(tmp_path / "p.tif", pixels, bit_depth=8)
    assert read_picture(tmp_path / "p.tif").bit_depth == 8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_become_floats_for_float_formats_and_come_back(tmp_path, dtype):
    pixels = noise(8, 8, 3, dtype)
    write_picture(tmp_path / "p.exr", pixels)
    bits = 8 * np.dtype(dtype).itemsize
    np.testing.assert_array_equal(quantise(read_picture(tmp_path / "p.exr").pixels, bits), pixels)


def test_sixteen_bits_are_rounded_to_eight_not_cut():
    pixels = np.array([[[0], [128], [129], [65535 - 128], [65535]]], np.uint16)
    assert quantise(pixels, 8).ravel().tolist() == [0, 0, 1, 255, 255]
    every = np.arange(256, dtype=np.uint8).reshape(1, -1, 1)
    np.testing.assert_array_equal(quantise(quantise(every, 16), 8), every)


@pytest.mark.parametrize(
    ("file", "pixels", "line"),
    [
        ("p.gif", np.zeros((2, 2, 3), np.uint8), "its suffix says no format"),
        ("p", np.zeros((2, 2, 3), np.uint8), "its suffix says no format"),
        ("p.jpg", np.zeros((2, 2, 4), np.uint8), "jpeg holds no alpha"),
        ("p.bmp", np.zeros((2, 2, 2), np.uint8), "bmp holds no alpha"),
        ("p.hdr", np.zeros((2, 2, 4), np.float32), "hdr holds no alpha"),
        ("p.jpg", np.zeros((1, 65501, 1), np.uint8), "65501 x 1 pixels are too many for jpeg"),
        ("p.webp", np.zeros((16384, 1, 3), np.uint8), "1 x 16384 pixels are too many for webp"),
        ("p.exr", np.full((2, 2, 3), np.nan, np.float32), "the pixels hold NaN"),
        ("p.png", np.full((2, 2, 3), np.inf, np.float32), "the pixels hold NaN or infinite"),
        ("p.png", np.zeros((2, 2, 5), np.uint8), "pixels must be [H, W, 1 to 4]"),
        ("p.png", np.zeros((0, 2, 3), np.uint8), "pixels must be [H, W, 1 to 4]"),
        ("p.png", np.zeros((2, 2, 3), np.int64), "pixels must be uint8, uint16 or floats"),
        ("no/such/p.png", np.zeros((2, 2, 3), np.uint8), "there is no folder"),
    ],
)
def test_what_cannot_be_written_gets_a_line_and_leaves_nothing(tmp_path, file, pixels, line):
    with pytest.raises(FieldsError) as caught:
        write_picture(tmp_path / file, pixels)
    assert line in str(caught.value) and "\n" not in str(caught.value)
    assert str(tmp_path / file) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_a_device_and_a_dangling_name_are_not_replaced(tmp_path):
    pixels = np.zeros((2, 2, 3), np.uint8)
    (tmp_path / "d.png").mkdir()
    with pytest.raises(FieldsError, match="is a folder; name a file in it"):
        write_picture(tmp_path / "d.png", pixels)
    os.mkfifo(tmp_path / "f.png")
    with pytest.raises(FieldsError, match="is a pipe or a device; name a file"):
        write_picture(tmp_path / "f.png", pixels)
    with pytest.raises(FieldsError, match="cannot be written: File name too long"):
        write_picture(tmp_path / ("n" * 300 + ".png"), pixels)


def test_a_link_is_followed_and_the_mode_kept(tmp_path):
    target = tmp_path / "target.png"
    target.write_bytes(b"old")
    target.chmod(0o640)
    (tmp_path / "link.png").symlink_to(target)
    write_picture(tmp_path / "link.png", np.zeros((2, 2, 3), np.uint8))
    assert (tmp_path / "link.png").is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert read_picture(target).width == 2


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path):
    before = os.umask(0o027)
    try:
        write_picture(tmp_path / "p.png", np.zeros((2, 2, 3), np.uint8))
    finally:
        os.umask(before)
    assert (tmp_path / "p.png").stat().st_mode & 0o777 == 0o640


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary(tmp_path, monkeypatch):
    write_picture(tmp_path / "p.png", np.zeros((2, 2, 3), np.uint8))
    before = (tmp_path / "p.png").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FieldsError, match=r"p\.png cannot be written: No space left on device"):
        write_picture(tmp_path / "p.png", np.ones((2, 2, 3), np.uint8))
    assert (tmp_path / "p.png").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]


def test_a_name_that_is_no_utf8_is_written_and_read(tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), b"\xe4")
    os.mkdir(folder)
    for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp", ".exr", ".hdr"):
        path = os.path.join(folder, b"\xff\xfe\n" + suffix.encode())
        write_picture(path, noise(4, 4, 3, np.uint8))
        assert read_picture(path).name == r"\xff\xfe\n"


def test_output_format_goes_by_the_suffix_in_any_case():
    assert output_format("a/b.c.JPeG") == "jpeg"
    with pytest.raises(FieldsError, match=r"end it in \.png, \.jpg"):
        output_format("a.svg")


def test_pictures_need_no_torch():
    code = (
        "import sys, fields.pictures; fields.pictures.read_picture('astronaut'); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n" and done.stderr == ""
