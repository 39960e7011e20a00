"""Pictures as other programs write them: palettes, orientations, windows, packings, profiles."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from numpy.typing import DTypeLike
from PIL import Image, ImageCms

from fields.errors import FieldsError
from fields.pictures import SAMPLES, find_source, probe, read_picture, write_picture


def noise(height, width, channels, dtype: DTypeLike = np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "u":
        return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, channels)).astype(dtype)
    return rng.normal(size=(height, width, channels)).astype(dtype)


def png(width, height, bits, colour, rows, extra=(), interlace=0):
    """A PNG file of unfiltered rows (bytes each), with (type, body) chunks before the pixels."""

    def chunk(kind, body):
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunk(*pair) for pair in extra)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def read_bytes(tmp_path, data, name="p"):
    (tmp_path / name).write_bytes(data)
    return read_picture(tmp_path / name)


# PNG


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


# Orientation


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


# JPEG


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


# WebP, GIF, BMP


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


# TIFF


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


# OpenEXR


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


# Radiance HDR

RGBE = noise(6, 10, 4)
RGBE[:, :, 0] |= 128
RGBE[:, :, 3] = 120 + RGBE[:, :, 3] % 16
LIGHT = RGBE[:, :, :3] / 256 * 2.0 ** (RGBE[:, :, 3:] - 128.0)


def hdr(body, size=b"-Y 6 +X 10", extra=b""):
    return (
        b"#?RADIANCE\n# made by hand\n"
        + extra
        + b"FORMAT=32-bit_rle_rgbe\n\n"
        + size
        + b"\n"
        + body
    )


def by_channel(rgbe):
    """The packing of today's programs, with a run of two and a literal of the rest."""
    parts = []
    for row in rgbe:
        parts.append(bytes([2, 2, len(row) >> 8, len(row) & 255]))
        for channel in row.T:
            parts.append(bytes([1, channel[0], len(row) - 1]) + channel[1:].tobytes())
    return b"".join(parts)


@pytest.mark.parametrize("body", [RGBE.tobytes(), by_channel(RGBE)], ids=["flat", "packed"])
def test_hdr_flat_and_packed(tmp_path, body):
    picture = read_bytes(tmp_path, hdr(body))
    assert picture.is_hdr and picture.pixels.dtype == np.float32 and picture.format == "hdr"
    np.testing.assert_array_equal(picture.pixels, LIGHT)


def test_hdr_runs_in_both_packings(tmp_path):
    one = bytes([128, 64, 32, 129])
    old = one + bytes([1, 1, 1, 44, 1, 1, 1, 1])  # 1 + 44 + 256 pixels
    new = bytes([2, 2, 1, 45]) + b"".join(
        bytes([128 + 127, c, 128 + 127, c, 128 + 47, c]) for c in one
    )
    for body in (old, new):
        pixels = read_bytes(tmp_path, hdr(body, b"-Y 1 +X 301")).pixels
        assert pixels.shape == (1, 301, 3) and (pixels == [1, 0.5, 0.25]).all()


@pytest.mark.parametrize(
    ("size", "turn"),
    [
        (b"-Y 6 +X 10", lambda p: p),
        (b"-Y 6 -X 10", lambda p: p[:, ::-1]),
        (b"+Y 6 +X 10", lambda p: p[::-1]),
        (b"+Y 6 -X 10", lambda p: p[::-1, ::-1]),
        (b"+X 6 -Y 10", lambda p: p.swapaxes(0, 1)),
        (b"-X 6 -Y 10", lambda p: p.swapaxes(0, 1)[:, ::-1]),
        (b"+X 6 +Y 10", lambda p: p.swapaxes(0, 1)[::-1]),
        (b"-X 6 +Y 10", lambda p: p.swapaxes(0, 1)[::-1, ::-1]),
    ],
)
def test_hdr_of_every_orientation(tmp_path, size, turn):
    picture = read_bytes(tmp_path, hdr(by_channel(RGBE), size))
    np.testing.assert_array_equal(picture.pixels, turn(LIGHT))
    (tmp_path / "q.hdr").write_bytes(hdr(RGBE.tobytes(), size))
    found = probe(tmp_path / "q.hdr")
    assert (found.height, found.width) == picture.pixels.shape[:2]


def test_hdr_exposures_are_divided_out(tmp_path):
    picture = read_bytes(tmp_path, hdr(RGBE.tobytes(), extra=b"EXPOSURE=4\nEXPOSURE= 0.5\n"))
    np.testing.assert_array_equal(picture.pixels, LIGHT / 2)


def test_hdr_agrees_with_another_reader(tmp_path):
    import imagecodecs

    light = np.abs(noise(20, 30, 3, np.float32))
    data = imagecodecs.rgbe_encode(light, header=True, rle=True)
    expected = imagecodecs.rgbe_decode(data)
    np.testing.assert_array_equal(read_bytes(tmp_path, data).pixels, expected)


# Sources


def test_probe_tells_format_and_size_of_all_without_decoding(tmp_path):
    pixels = noise(6, 9, 3)
    for suffix in ("png", "jpg", "webp", "tif", "bmp", "exr", "hdr"):
        write_picture(tmp_path / f"p.{suffix}", pixels)
        found = probe(tmp_path / f"p.{suffix}")
        names = {"jpg": "jpeg", "tif": "tiff"}
        assert found == (names.get(suffix, suffix), 9, 6)
    Image.fromarray(pixels).save(tmp_path / "p.gif")
    assert probe(tmp_path / "p.gif") == ("gif", 9, 6)
    Image.fromarray(pixels).save(tmp_path / "lossy.webp", lossless=False)
    assert probe(tmp_path / "lossy.webp") == ("webp", 9, 6)
    Image.fromarray(noise(6, 9, 4)).save(tmp_path / "alpha.webp", lossless=False)
    assert probe(tmp_path / "alpha.webp") == ("webp", 9, 6)


def test_the_content_counts_not_the_suffix(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(noise(6, 9, 3)).save(buffer, "png")
    assert read_bytes(tmp_path, buffer.getvalue(), "p.jpg").format == "png"


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_read(name):
    picture = read_picture(name)
    assert picture.name == find_source(name).stem and picture.pixels.dtype == np.uint8


def test_the_astronaut_is_the_astronaut():
    skimage_data = pytest.importorskip("skimage.data")
    np.testing.assert_array_equal(read_picture("astronaut").pixels, skimage_data.astronaut())


def test_a_file_comes_before_a_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise(2, 3, 3)).save("astronaut", "png")
    assert read_picture("astronaut").width == 3
