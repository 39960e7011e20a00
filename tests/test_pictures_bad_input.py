"""What is no picture is answered with one line that names the file and a remedy."""

import os
import shutil
import tempfile

import numpy as np
import pytest
from picture_headers import line_for

from fields.pictures import write_picture


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
