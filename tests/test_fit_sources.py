"""What is fitted, and with what: pictures, arrays, models, sizes."""

import math
import os

import numpy as np
import pytest
import torch
from fits import Net
from small import TINY, picture

import fields
from fields import FieldsError, catalogue, checkpoint
from fields.cli import main
from fields.configs import HashGridConfig
from fields.pictures import write_picture


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_every_kind_of_picture_is_fitted_and_drawn_in_its_kind(tmp_path, dtype, channels):
    pixels = picture(24, 20, channels, dtype)
    run = fields.fit(pixels, out=tmp_path / "run", steps=150, rate=1e-2, **TINY)
    assert run.metrics["psnr"] > 18
    drawn = fields.load(run.path).render()
    assert drawn.dtype == pixels.dtype and drawn.shape == pixels.shape
    assert run._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4096), (4096, 1), (3, 2)])
def test_a_picture_of_any_shape_is_fitted(tmp_path, height, width):
    run = fields.fit(picture(height, width), out=tmp_path / "run", steps=5, **TINY)
    assert run.render().shape == (height, width, 3) and math.isfinite(run.metrics["psnr"])


def test_arrays_that_are_no_picture_are_refused(tmp_path):
    wrong = [np.zeros((3, 4, 5), np.uint8), np.zeros((2, 2, 3), np.int64), np.zeros((0, 4, 3)),
             np.zeros(5), np.full((2, 2, 3), np.nan)]  # fmt: skip
    for pixels in wrong:
        with pytest.raises(FieldsError):
            fields.fit(pixels, out=tmp_path / "run", steps=1)
    assert list(tmp_path.iterdir()) == []


def test_tensors_and_grey_arrays_are_pictures(tmp_path):
    run = fields.fit(torch.from_numpy(picture()[..., 0]), out=tmp_path / "a", steps=1, **TINY)
    assert run.render().shape == (40, 56, 1)


def test_a_module_and_a_loss_of_ones_own_are_fitted_saved_and_loaded(tmp_path):
    net = Net()

    def loss(values, targets):
        return (values - targets).abs().pow(1.5).mean()

    run = fields.fit(
        picture(), net, out=tmp_path / "run", steps=60, batch=256, rate=1e-2, loss=loss
    )
    assert run.field is net and not net.training and net.calls == 60
    coords = torch.rand(7, 2)
    assert torch.equal(fields.load(run.path, model=Net()).field(coords), net(coords))
    with pytest.raises(FieldsError, match="Net"):
        fields.load(run.path)
    with pytest.raises(FieldsError, match="does not fit"):
        fields.load(run.path, model=Net(width=17))
    with pytest.raises(FieldsError, match="own loss"):
        fields.fit(picture(), Net(), out=run.path, steps=61, resume=True)
    assert fields.fit(picture(), Net(), out=run.path, steps=61, resume=True, loss=loss).steps == 61


def test_a_config_is_a_model(tmp_path):
    config = HashGridConfig(3, num_levels=3, log2_table_size=7, width=8, depth=1, seed=4)
    run = fields.fit(picture(), config, out=tmp_path / "run", steps=2)
    assert run.field.config == config and run.config["config"] == config.as_dict()


@pytest.mark.parametrize("size_kb", [5, 12, 40, 100])
def test_a_file_is_as_large_as_was_asked_and_no_larger(tmp_path, size_kb):
    run = fields.fit(picture(), out=tmp_path / "run", steps=1, size_kb=size_kb)
    size = (run.path / "field.safetensors").stat().st_size
    assert 0.45 * size_kb * 1000 < size <= size_kb * 1000


def test_a_size_that_is_too_small_is_refused_with_the_least(tmp_path):
    with pytest.raises(FieldsError, match="the least here is") as error:
        fields.fit(picture(), out=tmp_path / "run", steps=1, size_kb=2)
    least = int(str(error.value).rsplit(" ", 1)[1])
    fields.fit(picture(), out=tmp_path / "run", steps=1, size_kb=least)


def test_the_number_of_parameters_is_known_before_the_module_is_built():
    rng = np.random.default_rng(0)
    for _ in range(40):
        config = HashGridConfig(
            int(rng.integers(1, 5)), int(rng.integers(1, 5)), num_levels=int(rng.integers(1, 20)),
            log2_table_size=int(rng.integers(3, 12)), growth=float(rng.uniform(1, 2)),
            features_per_level=int(rng.choice([1, 2, 4, 8])), width=int(rng.integers(1, 70)),
            depth=int(rng.integers(0, 4)), bias=bool(rng.integers(2)),
            base_resolution=int(rng.integers(1, 40)),
        )  # fmt: skip
        built = sum(p.numel() for p in catalogue.build(config).parameters())
        assert built == config.parameters, config


def test_a_picture_may_come_from_a_file_of_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ä \n; rm.png"
    write_picture(path, picture())
    run = fields.fit(path, steps=1, **TINY)
    assert run.path.parent.name == "runs" and "\n" not in run.path.name
    assert fields.load(run.path).source().pixels.shape == (40, 56, 3)


def test_a_picture_made_smaller_is_fitted_and_scored_as_such(tmp_path):
    from fields.signals.picture_score import score

    write_picture(tmp_path / "a.png", picture())
    run = fields.fit(tmp_path / "a.png", out=tmp_path / "run", steps=9, downscale=2, **TINY)
    assert run.render().shape == (20, 28, 3)
    assert score(run.source(), run.render())["psnr"] == run.metrics["psnr"]
    with pytest.raises(FieldsError, match="--downscale 2"):
        fields.fit(tmp_path / "a.png", out=run.path, steps=12, resume=True, downscale=4)
    for steps, asked in ((12, {}), (15, {"downscale": 2})):
        again = fields.fit(tmp_path / "a.png", out=run.path, steps=steps, resume=True, **asked)
        assert again.metrics["steps"] == steps and again.metrics["downscale"] == 2


def test_a_module_of_the_catalogue_is_fitted_and_saved_as_its_config(tmp_path):
    settings = {name: value for name, value in TINY.items() if name != "batch"}
    named = fields.fit(picture(), out=tmp_path / "a", steps=20, **TINY)
    field = fields.HashGrid(**{**named.config["config"]})
    own = fields.fit(picture(), field, out=tmp_path / "b", steps=20, batch=TINY["batch"])
    files = [(tmp_path / name / "field.safetensors").read_bytes() for name in "ab"]
    assert files[0] == files[1] and own.field is field
    loaded = fields.load(tmp_path / "b")
    assert loaded.config["model"] == "hashgrid" and loaded.config["config"]["width"] == 16
    again = fields.HashGrid(3, **settings)
    with pytest.raises(FieldsError, match=r"num-levels|growth|base-resolution"):
        fields.fit(picture(), again, out=tmp_path / "b", steps=25, resume=True)
    field = fields.HashGrid(**named.config["config"])
    on = fields.fit(picture(), field, out=tmp_path / "b", steps=25, resume=True)
    assert on.steps == 25 and on.field is field
    with pytest.raises(FieldsError, match="the source has 2 and 1"):
        fields.fit(picture(channels=1), fields.HashGrid(3), out=tmp_path / "c", steps=1)


@pytest.mark.parametrize("model", [TINY, {"model": "fourier", "width": 8, "fresh": False}])
def test_a_field_trained_in_other_arithmetic_is_asked_in_float32(model, tmp_path):
    run = fields.fit(picture(), out=tmp_path / "run", steps=2, **model)
    assert run.fallback is None
    file = tmp_path / "run" / "field.safetensors"
    tensors, content = checkpoint.read(file)
    content["config"]["precision"] = "fp16"  # as from a GPU
    checkpoint.write(file, tensors, content)
    loaded = fields.load(tmp_path / "run")
    assert loaded.precision == "float32" and loaded.config["config"]["precision"] == "fp16"
    assert loaded.fallback == "float32, as there is no fp16 on this machine"
    assert np.array_equal(loaded.render(), run.render())


def test_a_long_name_of_a_source_keeps_within_size_kb(tmp_path):
    path = os.fsencode(tmp_path) + b"/" + b"\xff" * 240
    plain = tmp_path / "a.png"
    write_picture(plain, picture())
    os.rename(plain, path)
    run = fields.fit(os.fsdecode(path), out=tmp_path / "run", steps=1, size_kb=12)
    assert run.metrics["bytes"] <= 12_000


def test_a_fit_without_time_for_a_step_says_so(tmp_path, capsys):
    write_picture(tmp_path / "waves.png", picture())
    arguments = ["fit", str(tmp_path / "waves.png"), "--seconds=1e-9", f"--out={tmp_path / 'run'}"]
    assert main(arguments) == 0
    assert "0 steps" in (said := capsys.readouterr().out) and "nothing was learned" in said
