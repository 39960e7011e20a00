"""TIFF is read in every packing; what is no plain picture gets a line."""

import struct

import numpy as np
import pytest
import tifffile
from picture_files import noise, read_bytes
from PIL import Image

from fields.errors import FieldsError
from fields.pictures import read_picture


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_of_every_packing(tmp_path, planar, dtype, compression):
    pixels = noise(33, 21, 3, dtype)
    stored = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(
        tmp_path / "p.tif",
        stored,
        photometric="rgb",
        planarconfig=planar,
        compression=compression,
        predictor=compression in ("zlib", "lzw"),
        rowsperstrip=8,
        byteorder=">",
    )
    picture = read_picture(tmp_path / "p.tif")
    assert picture.pixels.dtype == dtype
    np.testing.assert_array_equal(picture.pixels, pixels)


def test_tiled_big_tiff_and_jpeg_inside_tiff(tmp_path):
    pixels = noise(70, 50, 3, np.uint16)
    tifffile.imwrite(tmp_path / "p.tif", pixels, photometric="rgb", tile=(32, 16), bigtiff=True)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.tif").pixels, pixels)
    smooth = np.full((40, 40, 3), [200, 100, 50], np.uint8)
    tifffile.imwrite(tmp_path / "j.tif", smooth, photometric="rgb", compression="jpeg")
    assert np.abs(read_picture(tmp_path / "j.tif").pixels.astype(int) - smooth).max() < 6


def test_tiff_where_0_is_white_where_bits_are_few_and_where_there_is_a_palette(tmp_path):
    grey = noise(8, 16, 1)[:, :, 0]
    tifffile.imwrite(tmp_path / "w.tif", grey, photometric="miniswhite")
    np.testing.assert_array_equal(read_picture(tmp_path / "w.tif").pixels[:, :, 0], 255 - grey)
    bilevel = Image.fromarray(grey).convert("1")
    bilevel.save(tmp_path / "b.tif")
    expected = np.asarray(bilevel.convert("L"))
    np.testing.assert_array_equal(read_picture(tmp_path / "b.tif").pixels[:, :, 0], expected)
    palette = Image.fromarray(noise(8, 16, 3)).quantize(200)
    palette.save(tmp_path / "p.tif")
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(read_picture(tmp_path / "p.tif").pixels, expected)


def test_a_fax_in_a_tiff_is_read_or_gets_a_line(tmp_path):
    bilevel = Image.fromarray(noise(8, 16, 1)[:, :, 0]).convert("1")
    bilevel.save(tmp_path / "p.tif", compression="group4")
    if 4 in tifffile.TIFF.DECOMPRESSORS:  # newer versions of imagecodecs
        expected = np.asarray(bilevel.convert("L"))
        np.testing.assert_array_equal(read_picture(tmp_path / "p.tif").pixels[:, :, 0], expected)
    else:
        with pytest.raises(FieldsError, match="is a TIFF packed with CCITT_T6, which is not read"):
            read_picture(tmp_path / "p.tif")


def test_an_unknown_packing_of_a_tiff_gets_a_line(tmp_path):
    tifffile.imwrite(tmp_path / "p.tif", noise(4, 4, 1)[:, :, 0])
    with tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        place = tiff.pages.first.tags[259].valueoffset
    data = bytearray((tmp_path / "p.tif").read_bytes())
    data[place : place + 2] = struct.pack("<H", 60000)
    with pytest.raises(FieldsError, match="packed with scheme 60000, which is not read; save it"):
        read_bytes(tmp_path, bytes(data))


def test_tiff_of_twelve_bits_is_stretched_to_sixteen(tmp_path):
    values = np.array([[0, 1, 2048, 4095]], np.uint16)
    packed = np.packbits(np.unpackbits(values.astype(">u2").view(np.uint8)).reshape(4, 16)[:, 4:])
    tifffile.imwrite(tmp_path / "p.tif", values, photometric="minisblack", metadata=None)
    data = bytearray((tmp_path / "p.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        tags = tiff.pages.first.tags
        bits, offset, count = (tags[name].valueoffset for name in (258, 273, 279))
    data[bits : bits + 2] = struct.pack("<H", 12)
    (at,) = struct.unpack("<I", data[offset : offset + 4])
    data[at : at + 6] = packed.tobytes()
    data[count : count + 4] = struct.pack("<I", 6)
    pixels = read_bytes(tmp_path, bytes(data)).pixels
    assert pixels[0, :, 0].tolist() == [0, 16, 32776, 65535]


def test_tiff_doubles_become_floats_and_halves_stay(tmp_path):
    for dtype, kept in ((np.float64, np.float32), (np.float16, np.float16)):
        pixels = noise(5, 4, 3, dtype)
        tifffile.imwrite(tmp_path / "p.tif", pixels, photometric="rgb")
        picture = read_picture(tmp_path / "p.tif")
        assert picture.pixels.dtype == kept
        np.testing.assert_array_equal(picture.pixels, pixels.astype(kept))


def test_tiff_premultiplied_alpha_becomes_straight(tmp_path):
    pixels = np.array([[[10, 0, 60, 51], [9, 9, 9, 0], [1, 2, 3, 255]]], np.uint8)
    tifffile.imwrite(tmp_path / "p.tif", pixels, photometric="rgb", extrasamples=["assocalpha"])
    assert read_picture(tmp_path / "p.tif").pixels.tolist() == [
        [[50, 0, 255, 51], [9, 9, 9, 0], [1, 2, 3, 255]]
    ]


def test_tiff_cmyk_becomes_rgb(tmp_path):
    ink = np.zeros((4, 4, 4), np.uint8)
    ink[:, :, 0] = 255
    tifffile.imwrite(tmp_path / "p.tif", ink, photometric="separated")
    assert (read_picture(tmp_path / "p.tif").pixels == [0, 255, 255]).all()


def test_the_first_page_of_a_tiff(tmp_path):
    pixels = noise(6, 5, 3)
    tifffile.imwrite(tmp_path / "p.tif", np.stack([pixels, 255 - pixels]), photometric="rgb")
    np.testing.assert_array_equal(read_picture(tmp_path / "p.tif").pixels, pixels)


@pytest.mark.parametrize(
    ("pixels", "options", "line"),
    [
        (np.zeros((4, 4), np.int16), {}, "is a TIFF with int16 values; save it with 8 or 16 bits"),
        (np.zeros((4, 4), np.uint32), {}, "is a TIFF with uint32 values"),
        (np.zeros((4, 4), np.complex64), {}, "is a TIFF with complex64 values"),
        (np.zeros((4, 4, 3), np.uint8), {"photometric": "cielab"}, "in an unusual colour space"),
        (np.zeros((4, 4), np.uint8), {"photometric": "cfa"}, "is a camera raw file"),
        (
            np.zeros((4, 4, 7), np.uint8),
            {"photometric": "minisblack"},
            "with 7 channels, not marked as",
        ),
    ],
)
def test_a_tiff_that_is_no_plain_picture_gets_a_line(tmp_path, pixels, options, line):
    options.setdefault("photometric", "minisblack")
    planar = "contig" if pixels.ndim == 3 else None
    tifffile.imwrite(tmp_path / "p.tif", pixels, planarconfig=planar, **options)
    with pytest.raises(FieldsError, match=line):
        read_picture(tmp_path / "p.tif")
