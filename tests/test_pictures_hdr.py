"""Radiance HDR is read in all its packings and orientations."""

import numpy as np
import pytest
from picture_files import noise, read_bytes

from fields.pictures import probe

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
