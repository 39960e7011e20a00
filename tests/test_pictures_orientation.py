"""A picture is turned upright, once, whatever its EXIF holds."""

import numpy as np
import pytest
import tifffile
from picture_files import noise, png, read_bytes
from PIL import Image

from fields.pictures import read_picture, write_picture


def oriented_by_hand(pixels, orientation):
    """The EXIF table, one case a line, independent of the package."""
    return {
        1: pixels,
        2: pixels[:, ::-1],
        3: np.rot90(pixels, 2),
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).swapaxes(0, 1),
        8: np.rot90(pixels, 1),
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_orientation_is_applied_once(tmp_path, suffix, orientation):
    pixels = noise(6, 4, 3)
    path = tmp_path / f"p{suffix}"
    if suffix == ".tif":
        tags = [(274, 3, 1, orientation, True)]
        tifffile.imwrite(path, pixels, photometric="rgb", extratags=tags)
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"lossless": True} if suffix == ".webp" else {}
        Image.fromarray(pixels).save(path, exif=exif, **options)
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels, oriented_by_hand(pixels, orientation))
    assert picture.pixels.flags.c_contiguous
    write_picture(tmp_path / "again.png", picture.pixels)
    np.testing.assert_array_equal(read_picture(tmp_path / "again.png").pixels, picture.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_jpeg_from_a_phone(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    y, x = np.mgrid[0:24, 0:16]
    smooth = np.stack([8 * y, 15 * x, 0 * x], axis=2).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "p.jpg", quality=100, subsampling=0, exif=exif)
    expected = oriented_by_hand(smooth, orientation).astype(int)
    got = read_picture(tmp_path / "p.jpg").pixels
    assert got.shape == expected.shape and np.abs(got - expected).max() <= 6


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_impossible_orientation_is_none(tmp_path, value):
    exif = Image.Exif()
    exif[0x0112] = value
    Image.fromarray(noise(3, 4, 3)).save(tmp_path / "p.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png").pixels, noise(3, 4, 3))


def test_broken_exif_does_not_matter(tmp_path):
    data = png(1, 1, 8, 0, [b"\7"], [(b"eXIf", b"II*\0\xff\xff\xff\xff")])
    assert read_bytes(tmp_path, data).pixels.tolist() == [[[7]]]
