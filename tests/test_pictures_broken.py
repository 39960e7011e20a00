"""A broken picture is answered with one line that names the file and says what is wrong."""

import zlib

import numpy as np
import pytest
import tifffile
from picture_headers import (
    bmp_header,
    chunk,
    exr_header,
    gif_header,
    hdr_header,
    jpeg_header,
    line_for,
    png,
    tiff_header,
)
from PIL import Image

from fields.errors import FieldsError
from fields.pictures import read_picture, write_picture

WRITABLE = ("png", "jpg", "webp", "tif", "bmp", "exr", "hdr")


@pytest.mark.parametrize("suffix", [*WRITABLE, "gif"])
def test_a_picture_cut_anywhere_is_refused_or_whole_and_nothing_is_printed(tmp_path, suffix, capfd):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    whole = tmp_path / f"p.{suffix}"
    if suffix == "gif":
        Image.fromarray(pixels).save(whole)
    else:
        write_picture(whole, pixels)
    expected = read_picture(whole).pixels
    data = whole.read_bytes()
    for keep in [*range(1, 64), *np.linspace(64, len(data) - 1, 40).astype(int), len(data) - 1]:
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(data[:keep])
        try:
            picture = read_picture(cut)
        except FieldsError as error:
            assert str(cut) in str(error) and "\n" not in str(error)
        else:  # only an end that carries no pixels may be missing
            assert keep > 0.98 * len(data)
            np.testing.assert_array_equal(picture.pixels, expected)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [*WRITABLE, "gif"])
def test_flipped_bytes_never_raise_anything_else_and_print_nothing(tmp_path, suffix, capfd):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (12, 9, 3)).astype(np.uint8)
    whole = tmp_path / f"p.{suffix}"
    if suffix == "gif":
        Image.fromarray(pixels).save(whole)
    else:
        write_picture(whole, pixels)
    data = whole.read_bytes()
    for _ in range(150):
        broken = bytearray(data)
        for at in rng.integers(0, min(len(data), rng.choice([64, 400, 10**6])), rng.integers(1, 4)):
            broken[at] = rng.integers(0, 256)
        whole.write_bytes(broken)
        try:
            read_picture(whole, max_megapixels=1)
        except FieldsError as error:
            assert "\n" not in str(error)
    assert capfd.readouterr() == ("", "")


def test_a_png_with_a_broken_checksum_names_the_part(tmp_path):
    write_picture(tmp_path / "p.png", np.zeros((9, 9, 3), np.uint8))
    data = bytearray((tmp_path / "p.png").read_bytes())
    data[50] ^= 1
    (tmp_path / "p.png").write_bytes(data)
    assert "p.png is damaged: the checksum of its part 'IDAT' at byte 33 is wrong" in line_for(
        tmp_path / "p.png"
    )


def test_a_png_whose_pixels_end_early_though_its_checksums_are_right(tmp_path):
    short = png(8, 8, 8, 0, chunk(b"IDAT", zlib.compress(bytes(20))), chunk(b"IEND", b""))
    (tmp_path / "p.png").write_bytes(short)
    line = f"{tmp_path}/p.png is damaged: it ends early; copy or download it again"
    assert line_for(tmp_path / "p.png") == line


@pytest.mark.parametrize(
    ("suffix", "at", "value", "line"),
    [
        ("jpg", slice(-200, None), b"", "is damaged: it ends early; copy or download it again"),
        ("bmp", slice(-200, None), b"", "is damaged: it ends early"),
        ("bmp", slice(28, 30), b"\5\0", "is packed in a way that is not read, or damaged; save it"),
        ("webp", slice(60, 90), bytes(30), "is damaged: what it holds cannot be decoded; copy"),
        ("exr", slice(-200, None), bytes(200), "is damaged: what it holds cannot be decoded"),
    ],
)
def test_damage_is_told_without_the_words_of_decoders(tmp_path, suffix, at, value, line):
    path = tmp_path / f"p.{suffix}"
    write_picture(path, np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8))
    data = bytearray(path.read_bytes())
    data[at] = value
    path.write_bytes(data)
    assert line_for(path).startswith(f"{path} {line}")


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        ("png", png(0, 5, 8, 2)),
        ("jpg", jpeg_header(5, 0)),
        ("tif", tiff_header(0, 5)),
        ("bmp", bmp_header(0, 5)),
        ("gif", gif_header(0, 0, 0, 0)),
        ("exr", exr_header((0, 0, -1, 4))),
        ("hdr", hdr_header(b"-Y 0 +X 5")),
    ],
)
def test_a_picture_without_pixels(tmp_path, suffix, data):
    (tmp_path / f"p.{suffix}").write_bytes(data)
    assert "pixels; a picture needs at least 1 x 1" in line_for(tmp_path / f"p.{suffix}")


@pytest.mark.parametrize("suffix", ["exr", "tif", "hdr"])
def test_nan_and_infinite_values_are_counted_and_placed(tmp_path, suffix):
    pixels = np.ones((7, 11, 3), np.float32)
    path = tmp_path / f"p.{suffix}"
    if suffix == "hdr":  # the largest exponents overflow once the exposure is divided out
        body = bytearray(bytes([128, 128, 128, 129]) * 77)
        body[4 * (2 * 11 + 5) : 4 * (2 * 11 + 5) + 4] = [255, 255, 255, 255]
        path.write_bytes(
            hdr_header(b"-Y 7 +X 11").replace(b"FORMAT", b"EXPOSURE=1e-3\nFORMAT") + body
        )
    else:
        pixels[2, 5, 1:] = np.nan, np.inf
        pixels[6, 10, 0] = -np.inf
        if suffix == "exr":
            import OpenEXR

            OpenEXR.File({}, {"RGB": pixels}).write(str(path))
        else:
            tifffile.imwrite(path, pixels, photometric="rgb")
    assert line_for(path) == (
        f"{path} holds 3 values that are NaN or infinite, the first at x=5, y=2; "
        "replace them by finite numbers"
    )
