"""A picture that is too large is refused soon and in little memory."""

import struct
import subprocess
import sys
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

from fields.errors import FieldsError
from fields.pictures import probe, read_picture, write_picture


def zeros_compressed(count):
    """`count` zero bytes, deflated, made without holding them."""
    packer, block = zlib.compressobj(9), bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & (1 << 20) - 1)), packer.flush()])


def webp_header(width, height):
    body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + body


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
