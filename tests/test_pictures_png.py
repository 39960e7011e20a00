"""PNG is read: every depth, palettes, transparency, interlacing."""

import struct

import numpy as np
import pytest
from picture_files import noise, png, read_bytes
from PIL import Image

from fields.pictures import read_picture


@pytest.mark.parametrize(
    ("bits", "row", "expected"),
    [
        (1, b"\xa0", [255, 0, 255, 0]),
        (2, b"\x1b", [0, 85, 170, 255]),
        (4, b"\x0f\x3c", [0, 255, 51, 204]),
    ],
)
def test_png_of_few_bits_is_stretched_to_eight(tmp_path, bits, row, expected):
    picture = read_bytes(tmp_path, png(4, 1, bits, 0, [row]))
    assert picture.pixels.dtype == np.uint8 and picture.pixels[0, :, 0].tolist() == expected


@pytest.mark.parametrize(("bits", "row"), [(1, b"\x40"), (2, b"\x10"), (4, b"\x01"), (8, b"\0\1")])
def test_png_palette_becomes_rgb_and_its_trns_alpha(tmp_path, bits, row):
    palette = (b"PLTE", bytes([10, 20, 30, 40, 50, 60]))
    picture = read_bytes(tmp_path, png(2, 1, bits, 3, [row], [palette]))
    assert picture.pixels.tolist() == [[[10, 20, 30], [40, 50, 60]]]
    picture = read_bytes(tmp_path, png(2, 1, bits, 3, [row], [palette, (b"tRNS", b"\x80")]))
    assert picture.pixels.tolist() == [[[10, 20, 30, 128], [40, 50, 60, 255]]]


def test_png_trns_of_a_colour_makes_exactly_that_colour_transparent_at_16_bits(tmp_path):
    row = struct.pack(">6H", 1000, 2000, 3000, 1000, 2000, 3001)
    trns = (b"tRNS", struct.pack(">3H", 1000, 2000, 3000))
    pixels = read_bytes(tmp_path, png(2, 1, 16, 2, [row], [trns])).pixels
    assert pixels.dtype == np.uint16
    assert pixels.tolist() == [[[1000, 2000, 3000, 0], [1000, 2000, 3001, 65535]]]


def test_png_of_16_bits_is_not_cut_to_8(tmp_path):
    row = struct.pack(">3H", 1, 258, 65534)
    pixels = read_bytes(tmp_path, png(1, 1, 16, 2, [row])).pixels
    assert pixels.dtype == np.uint16 and pixels.tolist() == [[[1, 258, 65534]]]


def test_interlaced_png_of_16_bits_is_put_together(tmp_path):
    pixels = noise(9, 11, 3, np.uint16)
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    starts.append((1, 0, 2, 1))  # Adam7: first row, first column, row step, column step
    rows = [
        row.astype(">u2").tobytes()
        for top, left, down, right in starts
        for row in pixels[top::down, left::right]
        if row.size
    ]
    data = png(11, 9, 16, 2, rows, interlace=1)
    np.testing.assert_array_equal(read_bytes(tmp_path, data).pixels, pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_of_pillow_means_what_pillow_means(tmp_path, mode):
    image = Image.fromarray(noise(13, 9, 4)).convert("RGB").convert(mode)
    image.save(tmp_path / "p.png")
    plain = {"1": "L", "P": "RGB"}.get(mode, mode)
    expected = np.asarray(image.convert(plain)).reshape(13, 9, -1)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png").pixels, expected)


def test_an_animated_png_shows_its_still(tmp_path):
    frames = [Image.fromarray(noise(5, 4, 3, seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "p.png", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png").pixels, noise(5, 4, 3))
