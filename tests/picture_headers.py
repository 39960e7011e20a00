"""Beginnings of picture files, and the line that reading one is answered with."""

import struct
import zlib

import pytest

from fields.errors import FieldsError
from fields.pictures import read_picture


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


def jpeg_header(width, height):
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8\xff\xe0\x00\x04\0\0\xff\xc0" + frame
