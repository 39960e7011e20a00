"""A large picture is read, scored and written in little more memory than its pixels take."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fields.pictures import probe, write_picture

HEIGHT, WIDTH = 4333, 3250  # 14 megapixels

MEASURE = """
import resource, sys
import numpy as np
from fields.pictures import PictureScore, read_picture, write_picture
import tifffile, imagecodecs, OpenEXR, PIL.Image, PIL.ImageCms
read_picture("coins")

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = peak()
picture = read_picture(sys.argv[1])
read = peak()
score = PictureScore(picture)
for top in range(0, picture.height, 64):
    score.add(top, picture.pixels[top : top + 64])
assert score.mse == 0
print(read - before, peak() - before)
"""


def peaks(path):
    """MB of resident memory, above that of the libraries: after reading, after scoring."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return tuple(map(float, done.stdout.split()))


@pytest.mark.parametrize(
    ("suffix", "channels", "dtype", "times"),
    [
        ("png", 3, np.uint8, 2.2),
        ("png", 3, np.uint16, 2.2),
        ("jpg", 3, np.uint8, 2.8),  # Pillow holds 4 bytes a pixel beside ours
        ("webp", 3, np.uint8, 4.5),  # libwebp holds RGBA and Pillow copies it
        ("tif", 3, np.uint16, 2.2),
        ("bmp", 3, np.uint8, 2.8),
        ("exr", 3, np.float16, 2.2),
    ],
)
def test_reading_takes_a_small_multiple_of_the_pixels(tmp_path, suffix, channels, dtype, times):
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    ramp = np.linspace(0, top, WIDTH).astype(dtype)
    pixels = np.broadcast_to(ramp[None, :, None], (HEIGHT // 2, WIDTH, channels))
    path = tmp_path / f"p.{suffix}"
    write_picture(path, pixels)
    size = pixels.size * np.dtype(dtype).itemsize / 2**20
    read, scored = peaks(path)
    assert read < times * size + 24, f"{read:.0f} MB for pixels of {size:.0f} MB"
    assert scored < read + 64


@pytest.mark.parametrize("width", [1, 4096, 60000])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "exr", "hdr"])
def test_strips_one_pixel_wide_or_high(tmp_path, suffix, width):
    for shape in ((1, width, 3), (width, 1, 3)):
        write_picture(tmp_path / f"p.{suffix}", np.full(shape, 128, np.uint8))
        found = probe(tmp_path / f"p.{suffix}")
        assert (found.height, found.width, 3) == shape


def test_a_14_megapixel_photo_takes_three_times_its_pixels():
    folder = os.environ.get("FIELDS_DATA")
    path = Path(folder or "") / "images" / "albert.jpg"
    if not folder or not path.is_file():
        pytest.skip("FIELDS_DATA names no folder with images/albert.jpg")
    with Image.open(path) as photo:
        size = photo.width * photo.height / 2**20
    read, _ = peaks(path)
    assert read < 3 * size + 16, f"{read:.0f} MB for pixels of {size:.0f} MB"
