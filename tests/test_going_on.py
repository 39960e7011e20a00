"""A fit that goes on reaches what one that never stopped reaches; what may not change."""

import os
import signal as unix_signals
from dataclasses import replace

import pytest
import torch
from fits import Net, log_of, same
from small import TINY, one_line, picture

import fields
from fields import FieldsError, checkpoint, plan, steps
from fields.configs import HashGridConfig
from fields.errors import Interrupted
from fields.plan import Stop
from fields.runs import PictureRun


def weights(run):
    return checkpoint.read(run.path / "field.safetensors")[0]


def test_a_fit_that_goes_on_has_the_bits_of_one_that_never_stopped(tmp_path):
    whole = fields.fit(picture(), out=tmp_path / "whole", steps=60, **TINY)
    part = fields.fit(picture(), out=tmp_path / "part", steps=25, rate=5e-3, **TINY)
    assert not same(weights(part), weights(whole))
    state = checkpoint.read(part.path / "state.safetensors")
    # As after a kill: the state is of a fit of 60 steps.
    planned = plan.make(Stop(steps=60), model="hashgrid", batch=TINY["batch"]).as_dict()
    checkpoint.write(part.path / "state.safetensors", state[0], {**state[1], "plan": planned})
    before = checkpoint.read(part.path / "state.safetensors")[1]["seconds"]
    on = fields.fit(picture(), out=tmp_path / "part", resume=True)
    assert on.metrics["steps"] == 60 and on.metrics["seconds"] > before
    assert [line["step"] for line in log_of(on) if line["event"] == "resume"] == [25]


def killing_itself(at):
    """As steps.choose, with a signal to this process after step `at`."""
    choose = steps.choose

    class Step:
        def __init__(self, *arguments):
            self.inner = choose(*arguments)
            self.tensors = self.inner.tensors

        def __call__(self, step, factor):
            loss = self.inner(step, factor)
            if step == at:
                os.kill(os.getpid(), unix_signals.SIGTERM)
            return loss

    return Step


@pytest.mark.parametrize("at", [1, 17, 39])
@pytest.mark.parametrize("own", [False, True])
def test_a_fit_stopped_by_a_signal_goes_on_to_the_same_bits(tmp_path, monkeypatch, at, own):
    def model():
        torch.manual_seed(1)
        return Net() if own else None

    options = {"steps": 40, "batch": 200, **({} if own else TINY)}
    whole = fields.fit(picture(), model(), out=tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        patch.setattr(steps, "choose", killing_itself(at))
        with pytest.raises(Interrupted, match=f"step {at} is kept") as stop:
            fields.fit(picture(), model(), out=tmp_path / "part", **options)
    one_line(stop.value)
    assert stop.value.number == unix_signals.SIGTERM
    half = fields.load(tmp_path / "part", model=model())
    assert half.steps == at and not half.is_finished
    on = fields.fit(picture(), model(), out=tmp_path / "part", resume=True)
    assert same(weights(on), weights(whole)) and on.metrics["psnr"] == whole.metrics["psnr"]
    assert [line["step"] for line in log_of(on) if line["event"] == "resume"] == [at]


@pytest.mark.parametrize("number", [unix_signals.SIGINT, unix_signals.SIGTERM])
def test_a_signal_ends_the_scoring_at_once_and_leaves_the_field(tmp_path, monkeypatch, number):
    whole = fields.fit(picture(), out=tmp_path / "whole", steps=20, **TINY)

    def finish(self, signal, place):
        os.kill(os.getpid(), number)
        pytest.fail("it went on")

    with monkeypatch.context() as patch:
        patch.setattr(PictureRun, "finish", finish)
        with pytest.raises(Interrupted, match=r"step 20 is kept in .*run, --resume") as stop:
            fields.fit(picture(), out=tmp_path / "run", steps=20, **TINY)
    assert stop.value.number == number and one_line(stop.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "whole"]
    run = fields.load(tmp_path / "run")
    assert run.steps == 20 and not run.is_finished and same(weights(run), weights(whole))
    on = fields.fit(picture(), out=tmp_path / "run", resume=True)
    assert on.is_finished and on.metrics["psnr"] == whole.metrics["psnr"]


def test_a_finished_run_can_be_taken_further(tmp_path):
    fields.fit(picture(), out=tmp_path / "run", steps=10, **TINY)
    again = fields.fit(picture(), out=tmp_path / "run", steps=10, resume=True)
    assert again.metrics["steps"] == 10
    further = fields.fit(picture(), out=tmp_path / "run", steps=25, resume=True)
    assert further.metrics["steps"] == 25 and fields.load(further.path).steps == 25


def test_the_latest_run_of_a_source_is_the_one_that_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for count in (5, 6):
        fields.fit(picture(), steps=count, **TINY)
    on = fields.fit(picture(), steps=9, resume=True)
    assert str(on.path) == "runs/array-hashgrid-2"
    assert fields.load("runs/array-hashgrid").steps == 5


@pytest.mark.parametrize(
    ("given", "word"),
    [({"seed": 3}, "--seed 0"), ({"batch": 7}, "--batch 512"), ({"rate": 0.5}, "--rate"),
     ({"width": 32}, "--width 16"), ({"loss": "l1"}, "--loss l2"), ({"downscale": 2}, "downscale"),
     ({"model": Net()}, "--model hashgrid")],
    ids=str,
)  # fmt: skip
def test_what_shapes_a_fit_cannot_change_when_it_goes_on(tmp_path, given, word):
    run = fields.fit(picture(), out=tmp_path / "run", steps=4, **TINY)
    before = (run.path / "state.safetensors").read_bytes()
    with pytest.raises(FieldsError, match=word) as error:
        fields.fit(picture(), out=run.path, steps=9, resume=True, **given)
    one_line(error.value)
    assert (run.path / "state.safetensors").read_bytes() == before
    same_seed = fields.fit(picture(), out=run.path, steps=5, resume=True, seed=0, width=16)
    assert same_seed.metrics["steps"] == 5


def test_a_changed_source_is_refused(tmp_path):
    run = fields.fit(picture(), out=tmp_path / "run", steps=4, **TINY)
    with pytest.raises(FieldsError, match="another picture"):
        fields.fit(picture(seed=1), out=run.path, steps=9, resume=True)


def test_fewer_steps_than_a_run_has_end_it_by_steps(tmp_path):
    fields.fit(picture(), out=tmp_path / "run", steps=4, **TINY)
    run = fields.fit(picture(), out=tmp_path / "run", steps=1, resume=True)
    assert run.metrics["ended_by"] == "steps" and run.steps == 4


def test_a_config_given_to_resume_is_compared(tmp_path):
    config = HashGridConfig(3, num_levels=4, log2_table_size=8, width=8)
    fields.fit(picture(), config, out=tmp_path / "run", steps=2, batch=512)
    with pytest.raises(FieldsError, match="--width 8, not 16"):
        fields.fit(picture(), replace(config, width=16), out=tmp_path / "run", steps=3, resume=True)
    assert fields.fit(picture(), config, out=tmp_path / "run", steps=3, resume=True).steps == 3
