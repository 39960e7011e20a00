"""JPEG, WebP, GIF and BMP are read."""

import struct

import numpy as np
import pytest
from picture_files import noise, read_bytes
from PIL import Image, ImageCms

from fields.pictures import read_picture


def test_cmyk_jpeg_without_profile_is_read_as_ink(tmp_path):
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:8, :, 1:3] = 255  # magenta and yellow: red
    ink[8:, :, 3] = 255  # black
    Image.fromarray(ink, "CMYK").save(tmp_path / "p.jpg", quality=100, subsampling=0)
    pixels = read_picture(tmp_path / "p.jpg").pixels.astype(int)
    assert np.abs(pixels[:7] - [255, 0, 0]).max() <= 4 and pixels[9:].max() <= 4


def test_ycck_jpeg_is_read_as_cmyk(tmp_path):
    import imagecodecs

    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:, :, 0] = 255  # cyan
    data = imagecodecs.jpeg8_encode(255 - ink, level=100, colorspace="CMYK", outcolorspace="YCCK")
    pixels = read_bytes(tmp_path, data).pixels.astype(int)
    assert np.abs(pixels - [0, 255, 255]).max() <= 6


def test_cmyk_jpeg_with_a_broken_profile_is_still_read(tmp_path):
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    image.save(tmp_path / "p.jpg", quality=100, icc_profile=b"no profile")
    assert read_picture(tmp_path / "p.jpg").icc is None


def test_cmyk_goes_through_its_profile(tmp_path, monkeypatch):
    calls = []

    def spy(image, source, target, outputMode):
        calls.append((image.mode, outputMode))
        return Image.new("RGB", image.size, (1, 2, 3))

    monkeypatch.setattr(ImageCms, "profileToProfile", spy)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("CMYK", (8, 8)).save(tmp_path / "p.jpg", icc_profile=icc)
    picture = read_picture(tmp_path / "p.jpg")
    assert calls == [("CMYK", "RGB")] and picture.icc is None
    assert picture.pixels[0, 0].tolist() == [1, 2, 3]


def test_grey_and_progressive_jpeg(tmp_path):
    grey = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (24, 1))
    Image.fromarray(grey).save(tmp_path / "p.jpg", quality=98, progressive=True)
    picture = read_picture(tmp_path / "p.jpg")
    assert picture.channels == 1 and np.abs(picture.pixels[:, :, 0].astype(int) - grey).max() < 5


def test_the_first_picture_of_a_multi_picture_jpeg(tmp_path):
    frames = [Image.new("L", (16, 16), value) for value in (40, 200)]
    frames[0].save(tmp_path / "p.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert np.abs(read_picture(tmp_path / "p.jpg").pixels.astype(int) - 40).max() <= 1


def test_the_first_frame_of_a_gif_and_of_a_webp(tmp_path):
    first, second = Image.new("RGB", (6, 5), (255, 0, 0)), Image.new("RGB", (6, 5), (0, 0, 255))
    for name, options in (("p.gif", {}), ("p.webp", {"lossless": True})):
        first.save(tmp_path / name, save_all=True, append_images=[second], **options)
        assert (read_picture(tmp_path / name).pixels[:, :, :3] == [255, 0, 0]).all()


def test_transparent_gif_has_alpha(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    image.save(tmp_path / "p.gif", transparency=1)
    assert read_picture(tmp_path / "p.gif").pixels[0, :, 3].tolist() == [255, 0]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp_of_every_depth(tmp_path, mode):
    image = Image.fromarray(noise(7, 5, 3)).convert(mode)
    image.save(tmp_path / "p.bmp")
    expected = np.asarray(image.convert("L" if mode in "1L" else "RGB")).reshape(7, 5, -1)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.bmp").pixels, expected)


def test_bmp_with_the_top_row_first(tmp_path):
    head = struct.pack("<2sIHHI", b"BM", 54 + 8, 0, 0, 54)
    head += struct.pack("<IiiHHIIiiII", 40, 1, -2, 1, 24, 0, 8, 0, 0, 0, 0)
    data = head + bytes([1, 2, 3, 0]) + bytes([4, 5, 6, 0])
    assert read_bytes(tmp_path, data).pixels.tolist() == [[[3, 2, 1]], [[6, 5, 4]]]
