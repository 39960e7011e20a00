"""Sources: a file by its content, a sample by its name."""

import io

import numpy as np
import pytest
from picture_files import noise, read_bytes
from PIL import Image

from fields.pictures import SAMPLES, find_source, probe, read_picture, write_picture


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
