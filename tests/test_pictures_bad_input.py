"""What cannot be read is answered with one line that names the file, soon and in little memory."""

import io
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from fields.errors import FieldsError
from fields.pictures import probe, read_picture, write_picture

WRITABLE = ("png", "jpg", "webp", "tif", "bmp", "exr", "hdr")


def line_for(path, **options):
    """The one line that reading `path` is answered with."""
    with pytest.raises(FieldsError) as caught:
        read_picture(path, **options)
    line = str(caught.value)
    assert "\n" not in line and line.isprintable()
    return line


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, bits, colour, *chunks):
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks)


def zeros_compressed(count):
    """`count` zero bytes, deflated, made without holding them."""
    packer, block = zlib.compressobj(9), bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & (1 << 20) - 1)), packer.flush()])


def tiff_header(width, height, order="<"):
    entries = [(256, 4, 1, width), (257, 4, 1, height)]
    directory = struct.pack(order + "H", len(entries))
    for tag, type_, count, value in entries:
        directory += struct.pack(order + "HHII", tag, type_, count, value)
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "I", 8) + directory + bytes(4)


def exr_header(data, display=None):
    def attribute(name, type_, value):
        return name + b"\0" + type_ + b"\0" + struct.pack("<I", len(value)) + value

    channel = b"Y\0" + struct.pack("<iIii", 1, 0, 1, 1) + b"\0"
    return (
        b"\x76\x2f\x31\x01\2\0\0\0"
        + attribute(b"channels", b"chlist", channel)
        + attribute(b"compression", b"compression", b"\0")
        + attribute(b"dataWindow", b"box2i", struct.pack("<4i", *data))
        + attribute(b"displayWindow", b"box2i", struct.pack("<4i", *(display or data)))
        + attribute(b"lineOrder", b"lineOrder", b"\0")
        + attribute(b"pixelAspectRatio", b"float", struct.pack("<f", 1))
        + attribute(b"screenWindowCenter", b"v2f", struct.pack("<2f", 0, 0))
        + attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1))
        + b"\0"
    )


def hdr_header(size):
    return b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n" + size + b"\n"


def bmp_header(width, height):
    return struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, width, height, 1, 24, *[0] * 6
    )


def gif_header(width, height, frame_width, frame_height):
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + b"\x2c" + struct.pack("<HHHHB", 0, 0, frame_width, frame_height, 0)


def webp_header(width, height):
    body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + body


def jpeg_header(width, height):
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8\xff\xe0\x00\x04\0\0\xff\xc0" + frame


# No such picture


def test_missing_empty_folder_and_text(tmp_path):
    assert line_for(tmp_path / "no.png") == f"{tmp_path}/no.png does not exist; check the path"
    (tmp_path / "empty.png").touch()
    assert "empty.png is empty (0 bytes)" in line_for(tmp_path / "empty.png")
    assert "is a folder; name one picture file" in line_for(tmp_path)
    (tmp_path / "text.png").write_text("Ceci n'est pas une image: é\n" * 500, encoding="utf-8")
    assert "text.png is text, not a picture; PNG, JPEG" in line_for(tmp_path / "text.png")
    assert line_for("") == "no picture is named; give a file or a sample, such as astronaut"
    assert line_for("a\0b") == r"a\x00b is no path; check it"
    assert "cannot be opened: File name too long" in line_for("n" * 5000)
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert "loop.png cannot be opened" in line_for(tmp_path / "loop.png")


def test_samples_that_are_not_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert line_for("astronaut.png") == (
        "astronaut.png does not exist; did you mean the sample astronaut?"
    )
    assert "did you mean the sample coffee?" in line_for("cofee")
    assert line_for("nope").startswith("nope is neither a file nor a sample; samples are astronaut")
    assert "eagle is a sample that scikit-image would have to download" in line_for("eagle")


def test_a_file_whose_name_was_mistyped_is_suggested(tmp_path):
    (tmp_path / "holiday-2.png").touch()
    assert line_for(tmp_path / "holyday-2.png").endswith(f"did you mean {tmp_path}/holiday-2.png?")


def test_a_fifo_and_a_device_do_not_block(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    assert "is a pipe or a device; save the picture as a file first" in line_for(
        tmp_path / "fifo.png"
    )
    assert "/dev/zero is a pipe or a device" in line_for("/dev/zero")


def test_a_file_that_may_not_be_read():
    folder = tempfile.mkdtemp()  # tmp_path cannot even be entered by the user this switches to
    os.chmod(folder, 0o755)
    path = os.path.join(folder, "p.png")
    user = os.geteuid()
    try:
        write_picture(path, np.zeros((2, 2, 3), np.uint8))
        os.chmod(path, 0)
        if user == 0:
            os.seteuid(65534)
        assert line_for(path) == f"{path} may not be read by you; change its permissions"
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)


def test_a_name_with_a_line_break_and_colours_stays_one_plain_line(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"a\n\x1b[31m\xff.png")
    assert line_for(path) == rf"{tmp_path}/a\n\x1b[31m\xff.png does not exist; check the path"
    with open(path, "wb") as file:
        file.write(b"words")
    assert r"a\n\x1b[31m\xff.png is text, not a picture" in line_for(path)


@pytest.mark.parametrize(
    ("start", "line"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC picture, which is not read; convert it"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "is an AVIF picture, which is not read; convert it to PNG"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "is a camera raw file, which is not read; develop it"),
        (b"II*\0\x10\0\0\0CR\2\0", "is a camera raw file"),
        (b"FUJIFILMCCD-RAW 0201", "is a camera raw file"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "is a video; save one frame as PNG"),
        (b"RIFF\0\0\0\0AVI LIST", "is a video; save one frame as PNG"),
        (b"RIFF\0\0\0\0WAVEfmt ", "is no picture that is known here; PNG"),
        (
            b"<?xml version='1.0'?>\n<!-- x -->\n<svg xmlns='",
            "is an SVG drawing, which is not read",
        ),
        (b"  <svg/>", "is an SVG drawing"),
        (b"<!DOCTYPE html><html>", "is a web page, not a picture; download the picture itself"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "is a PDF, which is not read; convert it to PNG"),
        (b"8BPS\0\1", "is a Photoshop document, which is not read; export it as PNG or TIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "is a JPEG 2000 picture"),
        (b"P6 3 2 255\n", "is a PNM or PFM picture"),
        (b"PK\3\4\x14\0", "is a zip archive; unpack it and name a picture"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer, not the picture"),
        (b"BM is not only for bitmaps", "is text, not a picture"),
        (b"\x00\x01\x02\x03" * 8, "is no picture that is known here; PNG, JPEG, WebP"),
        (b"\xff\xd8\xff", "is cut short; copy or download it again"),
        (b"II*\0", "is cut short"),
        (b"GIF89a", "is cut short"),
        (b"\x76\x2f\x31\x01", "is cut short"),
        (b"#?RADIANCE\nhello\n", "is a broken Radiance HDR picture: its header holds no size"),
        (b"\x76\x2f\x31\x01\2\x08\0\0", "is a deep EXR, which is not read; flatten it"),
    ],
)
def test_other_kinds_of_files_get_a_remedy(tmp_path, start, line):
    (tmp_path / "photo.png").write_bytes(start)
    assert f"photo.png {line}" in line_for(tmp_path / "photo.png")


# Broken pictures


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


# Too large

HUGE = 50_000
BOMB = 1 << 27  # bytes


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        ("png", png(HUGE, HUGE, 1, 0)),
        ("jpg", jpeg_header(HUGE, HUGE)),
        ("tif", tiff_header(HUGE, HUGE)),
        ("be.tif", tiff_header(HUGE, HUGE, ">")),
        ("bmp", bmp_header(HUGE, HUGE)),
        ("top.bmp", bmp_header(HUGE, -HUGE)),
        ("gif", gif_header(HUGE, HUGE, 1, 1)),
        ("frame.gif", gif_header(1, 1, HUGE, HUGE)),
        ("exr", exr_header((0, 0, HUGE - 1, HUGE - 1))),
        ("data.exr", exr_header((0, 0, HUGE - 1, HUGE - 1), (0, 0, 9, 9))),
        ("display.exr", exr_header((0, 0, 9, 9), (0, 0, HUGE - 1, HUGE - 1))),
        ("hdr", hdr_header(b"-Y 50000 +X 50000")),
        ("webp", webp_header(HUGE, HUGE)),
    ],
)
def test_a_header_that_claims_too_much_is_refused_before_decoding(tmp_path, suffix, data):
    path = tmp_path / f"p.{suffix}"
    path.write_bytes(data)
    line = (
        f"{path} claims 50000 x 50000 pixels (2,500 megapixels), more than the limit of 200; "
        "set FIELDS_MAX_MEGAPIXELS=2500 if it is meant"
    )
    assert line_for(path) == line
    with pytest.raises(FieldsError, match="more than the limit of 200"):
        probe(path)


def test_a_real_bomb_of_300_kb(tmp_path):
    body = zeros_compressed(HUGE * (HUGE // 8 + 1))
    data = png(HUGE, HUGE, 1, 0, chunk(b"IDAT", body), chunk(b"IEND", b""))
    assert len(data) < 400_000
    (tmp_path / "bomb.png").write_bytes(data)
    assert "bomb.png claims 50000 x 50000 pixels" in line_for(tmp_path / "bomb.png")


def test_the_limit_can_be_set(tmp_path, monkeypatch):
    path = tmp_path / "p.png"
    write_picture(path, np.zeros((100, 200, 1), np.uint8))
    assert "0 megapixels), more than the limit of 0.01" in line_for(path, max_megapixels=0.01)
    monkeypatch.setenv("FIELDS_MAX_MEGAPIXELS", "0.01")
    assert "more than the limit of 0.01" in line_for(path)
    assert read_picture(path, max_megapixels=1).width == 200
    monkeypatch.setenv("FIELDS_MAX_MEGAPIXELS", "many")
    assert line_for(path) == (
        "FIELDS_MAX_MEGAPIXELS must be a number of megapixels above 0, e.g. 500; got 'many'"
    )


def peak_megabytes(path):
    """Peak resident memory of a process that tries to read `path`, above one that does not."""
    code = (
        "import resource, sys\n"
        "from fields.pictures import read_picture\n"
        "read_picture('coins')\n"
        "import tifffile, imagecodecs, OpenEXR\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_picture(sys.argv[1]); print('read')\n"
        "except ValueError as error: print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    line, peak = done.stdout.splitlines()
    return line, float(peak)


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_a_chunk_that_inflates_without_end_is_stopped(tmp_path, kind):
    bomb = zeros_compressed(BOMB)
    body = b"Comment\0" + (b"\1\0en\0\0" if kind == b"iTXt" else b"\0") + bomb
    pixels = chunk(b"IDAT", zlib.compress(b"\0\7"))
    path = tmp_path / "p.png"
    path.write_bytes(png(1, 1, 8, 0, chunk(kind, body), pixels, chunk(b"IEND", b"")))
    line, peak = peak_megabytes(path)
    assert peak < 64
    if kind == b"iCCP":
        assert "p.png holds a colour profile of more than 16 MB; save it without" in line
    else:
        assert line == "read"


@pytest.mark.parametrize("compression", ["zlib", "lzma", "zstd"])
def test_a_tiff_strip_that_inflates_without_end_is_stopped(tmp_path, compression):
    import imagecodecs

    pixels = np.zeros((10, 10, 3), np.uint8)
    path = tmp_path / "p.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", compression=compression, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages.first.tags
        offset, count = tags[273].valueoffset, tags[279].valueoffset
        assert tags[279].dtype == 4
    bomb = getattr(imagecodecs, f"{compression}_encode")(bytes(BOMB))
    data = bytearray(path.read_bytes())
    data[offset : offset + 4] = struct.pack("<I", len(data))
    data[count : count + 4] = struct.pack("<I", len(bomb))
    path.write_bytes(data + bomb)
    line, peak = peak_megabytes(path)
    assert peak < 64
    assert line == "read" or "p.tif is damaged: " in line


def test_a_png_with_more_pixels_than_its_header_says_stays_small(tmp_path):
    body = chunk(b"IDAT", zeros_compressed(BOMB))
    path = tmp_path / "p.png"
    path.write_bytes(png(4, 4, 8, 0, body, chunk(b"IEND", b"")))
    assert peak_megabytes(path)[1] < 64


def test_warnings_and_logs_of_libraries_stay_inside(tmp_path, capfd, recwarn):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(buffer, "tiff")
    data = bytearray(buffer.getvalue())
    (directory,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[directory : directory + 2])
    data[directory + 2 + 12 * count :][:4] = b"\xff\xff\xff\x7f"  # the next page lies nowhere
    (tmp_path / "p.tif").write_bytes(data)
    read_picture(tmp_path / "p.tif")
    assert capfd.readouterr() == ("", "") and len(recwarn) == 0


def test_an_exr_tile_larger_than_the_picture_is_refused(tmp_path):
    import OpenEXR

    path = tmp_path / "p.exr"
    header = {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
    OpenEXR.File(header, {"RGB": np.ones((9, 9, 3), np.float32)}).write(str(path))
    data = path.read_bytes()
    at = data.index(b"tiledesc\0") + len(b"tiledesc\0") + 4
    path.write_bytes(data[:at] + struct.pack("<II", 1 << 24, 32) + data[at + 8 :])
    assert "p.exr is a broken EXR: a tile is larger than the picture" in line_for(path)


def test_a_tiff_tile_larger_than_the_picture_is_refused(tmp_path):
    path = tmp_path / "p.tif"
    pixels = np.zeros((9, 9, 3), np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        places = [tiff.pages.first.tags[tag].valueoffset for tag in (322, 323)]
    data = bytearray(path.read_bytes())
    for place in places:
        data[place : place + 2] = struct.pack("<H", 65520)
    path.write_bytes(data)
    assert "p.tif is a broken TIFF: a tile is larger than the picture" in line_for(path)


def test_threads_that_read_leave_the_streams_and_limits_as_they_were(tmp_path):
    code = (
        "import sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from PIL import Image\n"
        "from fields.pictures import read_picture\n"
        "limit = Image.MAX_IMAGE_PIXELS\n"
        "with ThreadPoolExecutor(4) as pool: list(pool.map(read_picture, ['coins'] * 40))\n"
        "assert limit == Image.MAX_IMAGE_PIXELS\n"
        "print('out'); print('err', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_process_without_stderr_reads_too():
    code = "import os; os.close(2)\nfrom fields.pictures import read_picture; read_picture('coins')"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
