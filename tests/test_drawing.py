"""What a run is drawn as: its sizes, and how light is shown on a screen."""

import numpy as np
import pytest
from small import TINY, picture

import fields
from fields import FieldsError
from fields.pictures import read_picture, write_picture


@pytest.mark.parametrize("suffix", ["exr", "hdr"])
def test_a_black_picture_is_shown_black(tmp_path, suffix):
    source = tmp_path / f"black.{suffix}"
    write_picture(source, np.zeros((24, 32, 3), np.float32))
    run = fields.fit(source, out=tmp_path / "run", steps=100, **TINY)
    assert (read_picture(tmp_path / "run" / "preview.png").pixels == 0).all()
    (tmp_path / "run.png").write_bytes(run.png())
    assert (read_picture(tmp_path / "run.png").pixels == 0).all()


def test_a_picture_of_one_light_is_shown_as_one_grey(tmp_path):
    light = np.full((24, 32, 3), 3.7, np.float32)
    fields.fit(light, out=tmp_path / "run", steps=400, **TINY)
    shown = read_picture(tmp_path / "run" / "preview.png").pixels.astype(int)
    assert np.ptp(shown) <= 12 and abs(shown.mean() - 109) < 3  # middle grey: 0.18 / 1.18 in sRGB


def test_a_crop_of_light_is_as_bright_as_the_whole(tmp_path):
    from fields.cli import main

    run = fields.fit(picture(dtype=np.float32), out=tmp_path / "run", steps=100, **TINY)
    whole, part = tmp_path / "whole.png", tmp_path / "part.png"
    assert main(["render", str(run.path), "-o", str(whole)]) == 0
    assert main(["render", str(run.path), "-o", str(part), "--crop=9,8,50,33"]) == 0
    assert np.array_equal(read_picture(part).pixels, read_picture(whole).pixels[8:33, 9:50])
