"""Weights in 8 bits: how near they come, how large their files are, and what is made of them."""

import json

import pytest
import torch
from fits import log_of, same
from scene_fits import SMALL, make
from small import TINY, one_line, picture

import fields
from fields import checkpoint, eight_bits
from fields.cli import main
from fields.configs import HashGridConfig
from fields.errors import FieldsError
from fields.request import Request

FIELD, STATE = "field.safetensors", "state.safetensors"


@pytest.mark.parametrize("shape", [(1,), (256,), (257,), (64, 33), (0, 2), (3, 5, 7)])
def test_no_value_is_further_off_than_half_a_step_of_its_block(shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3 + 1
    stored, ranges = eight_bits.packed(values)
    assert stored.dtype == torch.uint8 and stored.shape == values.shape
    back = eight_bits.unpacked(stored, ranges)
    steps = ranges[:, 0].repeat_interleave(eight_bits.BLOCK)[: values.numel()].view(shape)
    assert ((back - values).abs() <= 0.5 * steps * 1.001 + 1e-6).all()
    assert (steps * 255 <= 1.001 * (values.max() - values.min())).all() if values.numel() else True


def test_levels_of_a_table_have_ranges_of_their_own():
    values = torch.cat([torch.randn(1024), 1e-4 * torch.randn(1024)])
    back = eight_bits.unpacked(*eight_bits.packed(values))
    assert (back - values)[1024:].abs().max() < 2e-6


def test_values_that_are_all_alike_come_back_exactly():
    values = torch.full((300,), 0.1)
    assert torch.equal(eight_bits.unpacked(*eight_bits.packed(values)), values)


def test_a_small_tensor_beside_a_large_one_takes_half_floats():
    tensors = {"table": torch.randn(4096), "params": torch.randn(256), "wide": torch.randn(300)}
    packed = eight_bits.pack(tensors, tensors)
    kinds = {name: tensor.dtype for name, tensor in packed.items()}
    assert kinds["params"] == torch.float16 and kinds["table"] == kinds["wide"] == torch.uint8
    size = sum(tensor.nbytes for tensor in packed.values())
    assert size <= eight_bits.WEIGHT_BYTES * 4652 + 2 * 8
    huge = eight_bits.pack({**tensors, "params": 1e6 * torch.randn(256)}, tensors)
    assert huge["params"].dtype == torch.uint8


def test_configurations_know_what_a_weight_takes():
    config = HashGridConfig(3)
    assert config.file_bytes(8) == eight_bits.WEIGHT_BYTES * config.parameters
    assert config.file_bytes(32) == 4 * config.parameters


def test_what_is_not_named_stays_as_it_is():
    tensors = {"a": torch.randn(9), "b": torch.arange(4), "c": torch.randn(5)}
    back = eight_bits.unpack(eight_bits.pack(tensors, ["a"]))
    assert back.keys() == tensors.keys() and torch.equal(back["c"], tensors["c"])
    assert back["b"].dtype == torch.int64 and not torch.equal(back["a"], tensors["a"])


@pytest.mark.parametrize(
    "harm",
    [
        {"range.field.a": torch.zeros(2, 2)},
        {"range.field.a": torch.zeros(1, 2, dtype=torch.float64)},
        {"range.field.b": torch.zeros(1, 2)},
        {"field.a": torch.zeros(9)},
    ],
)
def test_ranges_that_do_not_fit_are_refused(tmp_path, harm):
    stored, ranges = eight_bits.packed(torch.randn(9))
    tensors = {"field.a": stored, "range.field.a": ranges, **harm}
    checkpoint.write(tmp_path / "x", tensors, {})
    with pytest.raises(FieldsError) as error:
        checkpoint.read(tmp_path / "x")
    one_line(error.value)


def test_a_picture_takes_a_quarter_of_the_bytes_and_looks_the_same(tmp_path):
    runs = [
        fields.fit(picture(), out=tmp_path / f"{b}", steps=150, bits=b, **TINY) for b in (32, 8)
    ]
    assert runs[0].metrics["psnr"] - runs[1].metrics["psnr"] < 0.3
    weights = runs[0].metrics["parameters"]
    assert runs[1].metrics["bytes"] < weights * 1.1 + 3000 < runs[0].metrics["bytes"]
    again = fields.load(runs[1].path)
    assert (again.render() == runs[1].render()).all()
    assert again.figures()["bits"] == 8 and fields.load(runs[0].path).figures()["bits"] == 32


def test_a_target_is_compared_with_what_will_be_stored(tmp_path):
    run = fields.fit(picture(), out=tmp_path / "run", target=32.0, seconds=20, bits=8, **TINY)
    assert run.metrics["ended_by"] == "target" and run.metrics["psnr"] >= 32.0
    looks = [line["psnr"] for line in log_of(run) if line["event"] == "check"]
    assert looks[-1] == pytest.approx(run.metrics["psnr"], abs=1e-3)


def test_rounding_is_undone(tmp_path):
    field = fields.Siren(3, width=16, depth=2)
    before = {name: tensor.clone() for name, tensor in field.state_dict().items()}
    with eight_bits.rounded(field):
        assert not same(field.state_dict(), before)
    assert same(field.state_dict(), before)


@pytest.mark.parametrize("model", ["hashgrid", "cam", "rbf", "triplane", "fourier"])
@pytest.mark.parametrize("size_kb", [12, 40])
def test_a_size_counts_the_bytes_as_they_are_stored(tmp_path, model, size_kb):
    options = {"size_kb": size_kb, "bits": 8, "model": model, "fresh": False}
    run = fields.fit(picture(), out=tmp_path / "run", steps=1, **options)
    size = (run.path / FIELD).stat().st_size
    assert 0.4 * size_kb * 1000 < size <= size_kb * 1000


def test_what_is_too_small_names_the_least_that_is_not(tmp_path):
    with pytest.raises(FieldsError) as error:
        fields.fit(picture(), out=tmp_path / "run", steps=1, size_kb=3, bits=8)
    least = int(one_line(error.value).rpartition(" ")[2])
    run = fields.fit(picture(), out=tmp_path / "run", steps=1, size_kb=least, bits=8)
    assert (run.path / FIELD).stat().st_size <= least * 1000


def test_a_fit_that_goes_on_keeps_its_bits_and_loses_nothing(tmp_path):
    options = {**TINY, "target": 99.0}  # is never reached; the rate is that of fits without an end
    whole = fields.fit(picture(), out=tmp_path / "whole", steps=30, bits=8, **options)
    fields.fit(picture(), out=tmp_path / "part", steps=15, bits=8, **options)
    on = fields.fit(picture(), out=tmp_path / "part", steps=30, resume=True, target=99.0)
    assert on.metrics["bits"] == 8
    assert (on.path / FIELD).read_bytes() == (whole.path / FIELD).read_bytes()
    state = checkpoint.read(on.path / STATE)[0]
    assert state["field.table"].dtype == torch.float32
    with pytest.raises(FieldsError, match="fitted with --bits 8, not 32"):
        fields.fit(picture(), out=tmp_path / "part", steps=40, resume=True, bits=32)


def test_a_scene_and_what_is_asked_of_it(tmp_path, capsys):
    folder = make(tmp_path / "scene", views=8, size=24)
    run = fields.fit(folder, out=tmp_path / "run", steps=120, bits=8, **SMALL)
    assert run.metrics["bytes"] < 1.1 * run.metrics["parameters"] + 40_000
    assert main(["eval", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["psnr"] == pytest.approx(run.metrics["psnr"])
    assert main(["info", str(run.path)]) == 0
    assert "8 bits a weight" in capsys.readouterr().out
    mesh = [str(run.path), "--resolution", "16", "--level", "1", "-o", str(tmp_path / "m.ply")]
    assert main(["mesh", *mesh]) == 0


def test_a_scene_of_many_cameras_keeps_within_its_size(tmp_path):
    folder = make(tmp_path / "scene", views=90, size=8)
    for bits in (8, 32):
        run = fields.fit(folder, out=tmp_path / f"{bits}", steps=1, size_kb=400, bits=bits)
        assert 150_000 < (run.path / FIELD).stat().st_size <= 400_000


@pytest.mark.parametrize("bits", [7, 16, 0, True, "8"])
def test_other_bits_are_refused(bits):
    with pytest.raises(FieldsError, match="--bits must be 8 or 32"):
        Request(bits=bits)


def test_the_command_refuses_other_bits(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "astronaut", "--bits", "4"]) == 2
    assert "--bits must be 8 or 32, got 4" in one_line(capsys.readouterr().err)
    assert not list(tmp_path.iterdir())
