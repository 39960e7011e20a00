"""What a run is drawn as: its sizes, and how light is shown on a screen."""

import numpy as np
import pytest
from small import TINY, one_line, picture

import fields
from fields import FieldsError, Run
from fields.cli import main
from fields.pictures import read_picture, write_picture
from fields.runs import PictureRun


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
    run = fields.fit(picture(dtype=np.float32), out=tmp_path / "run", steps=100, **TINY)
    whole, part = tmp_path / "whole.png", tmp_path / "part.png"
    assert main(["render", str(run.path), "-o", str(whole)]) == 0
    assert main(["render", str(run.path), "-o", str(part), "--crop=9,8,50,33"]) == 0
    assert np.array_equal(read_picture(part).pixels, read_picture(whole).pixels[8:33, 9:50])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    here = tmp_path_factory.mktemp("waves")
    return fields.fit(picture(), out=here / "run", steps=5, precision="float32", **TINY)


@pytest.mark.parametrize(
    ("size", "shape"), [("4x", (160, 224)), ("2.5X", (100, 140)), (".01x", (1, 1))]
)
def test_a_size_may_be_a_multiple_of_the_source(run, tmp_path, size, shape):
    assert main(["render", str(run.path), f"--size={size}", "-o", str(tmp_path / "a.png")]) == 0
    assert read_picture(tmp_path / "a.png").pixels.shape == (*shape, 3)
    assert run.render(float(size[:-1])).shape == (*shape, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--crop -1,0,5,5", "--crop must lie within the picture of 56x40 pixels"),
        ("--crop=-1,0,5,5", "got -1,0,5,5"),
        ("--size 9x9 --crop 0,0,10,9", "within the picture of 9x9 pixels"),
        ("--size 0x", "--size must be more than 0 times the source"),
        ("--size -2x", "--size must be more than 0 times the source, got -2x"),
        ("--size -3x5", "--size must be at least 1x1, got -3x5"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_can(run, tmp_path, capsys, arguments, words):
    capsys.readouterr()
    out = tmp_path / "a.png"
    assert main(["render", str(run.path), "-o", str(out), *arguments.split()]) == 2
    assert words in one_line(capsys.readouterr().err) and not out.exists()


def test_arithmetic_that_is_not_here_is_said_by_render_and_eval(tmp_path, capsys, monkeypatch):
    path = str(tmp_path / "run")
    write_picture(tmp_path / "waves.png", picture())
    fields.fit(tmp_path / "waves.png", out=path, steps=3, **TINY)
    monkeypatch.setattr(Run, "fallback", "float32, as there is no bf16 on this machine")
    capsys.readouterr()
    for line in (["render", path], ["eval", path]):
        assert main(line) == 0
        said = one_line(capsys.readouterr().err)
        assert said == "computed in float32, as there is no bf16 on this machine"


def test_a_run_knows_the_arithmetic_that_it_lacks(run):
    assert run.fallback is None
    other = PictureRun(run.path, run.field, {**run.config, "config": {"precision": "bf16"}})
    assert other.fallback == "float32, as there is no bf16 on this machine"


def test_a_run_that_is_not_there_gets_a_remedy(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FieldsError, match=r"nope does not exist; name a run folder or a field.saf"):
        fields.load("nope")
    (tmp_path / "runs" / "waves-hashgrid").mkdir(parents=True)
    with pytest.raises(FieldsError, match=r"did you mean runs/waves-hashgrid\?"):
        fields.load("waves-hashgrid")
    with pytest.raises(FieldsError, match=r"did you mean runs/waves-hashgrid\?"):
        fields.load("runs/waves-hashgird")
    with pytest.raises(FieldsError, match=r"holds no field.safetensors; name a run folder"):
        fields.load("runs")
