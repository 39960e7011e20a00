"""The fit: its steps, its stops, going on bit for bit, and what it refuses."""

import json
import math
import os
import signal as unix_signals
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from small import TINY, one_line, picture
from torch import nn

import fields
from fields import FieldsError, catalogue, checkpoint, loop, ops, plan, steps
from fields.configs import HashGridConfig
from fields.errors import Interrupted
from fields.pictures import Picture, write_picture
from fields.plan import Plan, Stop, Training
from fields.schedule import CONSTANT, Schedule
from fields.signals.picture import PictureSignal
from fields.target import BLIND_SHARE, CHECK_SHARE, TargetWatch

CPU = torch.device("cpu")


class Net(nn.Module):
    """A user's own module, with a dropout so that torch's random state matters."""

    def __init__(self, channels=3, width=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, channels)
        )
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, coords):
        if self.training:
            self.calls += 1
        return self.layers(coords)


def log_of(run):
    return [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]


def weights(run):
    return checkpoint.read(run.path / "field.safetensors")[0]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# Steps


@pytest.mark.parametrize("loss", ["l2", "l1"])
@pytest.mark.parametrize("touched_only", [False, True])
def test_the_fused_step_is_the_step_of_autograd(loss, touched_only):
    signal = PictureSignal(Picture(picture(), "waves", "png"), CPU)
    training = Training(
        batch=300, rate=3e-3, table_rate=1e-2, weight_decay=1e-3, touched_only=touched_only
    )
    config = HashGridConfig(3, num_levels=4, log2_table_size=8, width=16, bias=True)
    fits = {}
    for kind in (steps.HashGridStep, steps.AutogradStep):
        field = catalogue.build(config)
        step = kind(field, signal, Plan(training, CONSTANT, Stop(steps=20)), loss)
        losses = [step(i, 1.0 / i).item() for i in range(1, 21)]
        fits[kind] = losses, step.tensors()
    (fused, fused_tensors), (plain, plain_tensors) = fits.values()
    assert fused == pytest.approx(plain, rel=1e-4)
    assert fused_tensors.keys() == plain_tensors.keys()
    for name, tensor in fused_tensors.items():
        assert torch.allclose(tensor, plain_tensors[name], rtol=1e-3, atol=1e-5), name


def test_the_default_step_is_that_of_torch_adam():
    signal = PictureSignal(Picture(picture(), "waves", "png"), CPU)
    training = Training(batch=64, rate=1e-2, beta2=0.999, eps=1e-8, weight_decay=0.01)
    ours, theirs = Net().eval(), Net().eval()
    theirs.load_state_dict(ours.state_dict())
    step = steps.AutogradStep(ours, signal, Plan(training, CONSTANT, Stop(steps=9)), "l2")
    adam = torch.optim.Adam(theirs.parameters(), lr=1e-2, weight_decay=0.01)
    for i in range(1, 10):
        coords, values = signal.batch(64, 0, i)
        loss = nn.functional.mse_loss(theirs(coords), values)
        adam.zero_grad()
        loss.backward()
        adam.step()
        assert step(i, 1.0).item() == pytest.approx(loss.item(), rel=1e-5)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_frozen_and_unused_parameters_stay_as_they_are(tmp_path):
    net = Net()
    net.layers[0].weight.requires_grad_(False)
    net.spare = nn.Parameter(torch.ones(3))
    before = net.layers[0].weight.clone()
    fields.fit(picture(), net, out=tmp_path / "run", steps=5, batch=64)
    assert torch.equal(net.layers[0].weight, before) and torch.equal(net.spare, torch.ones(3))


def test_weights_that_cannot_be_trained_are_refused(tmp_path):
    for net, word in ((Net().bfloat16(), "bfloat16"), (nn.Identity(), "no parameters")):
        with pytest.raises(FieldsError, match=word):
            steps.Moments(net)


# Stops


def test_a_fit_takes_the_steps_that_were_asked_for(tmp_path):
    run = fields.fit(picture(), out=tmp_path / "run", steps=37, **TINY)
    assert run.metrics["steps"] == 37 and run.metrics["ended_by"] == "steps"
    assert log_of(run)[0]["event"] == "start" and log_of(run)[-1]["event"] == "end"


def test_a_fit_stops_after_the_seconds_that_were_asked_for(tmp_path):
    run = fields.fit(picture(), out=tmp_path / "run", seconds=0.3, **TINY)
    assert run.metrics["ended_by"] == "seconds" and 0.3 <= run.metrics["seconds"] < 2


def test_a_fit_stops_at_its_target_and_the_saved_field_has_it(tmp_path):
    run = fields.fit(picture(), out=tmp_path / "run", target=20, seconds=60, **TINY)
    assert run.metrics["ended_by"] == "target" and run.metrics["psnr"] >= 20
    assert [line for line in log_of(run) if line["event"] == "check"][-1]["psnr"] >= 20


def test_the_first_stop_that_is_reached_counts(tmp_path):
    run = fields.fit(picture(), out=tmp_path / "run", steps=3, seconds=60, target=99, **TINY)
    assert run.metrics["ended_by"] == "steps" and run.metrics["target"] == 99


def test_a_fit_without_flags_ends_by_itself():
    made = plan.make(Stop(), model="hashgrid")
    assert made.stop.seconds is not None and made.stop.seconds <= 8
    assert plan.make(Stop(target=30), model="hashgrid").stop.seconds is not None


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"steps": -3}, {"steps": 2.5}, {"steps": True}, {"seconds": 0},
     {"seconds": math.nan}, {"seconds": math.inf}, {"target": -1}, {"size_kb": 0.1}, {"batch": 0},
     {"rate": 0.0}, {"rate": math.nan}, {"seed": -1}, {"threads": 0}, {"downscale": 0},
     {"downscale": 57}, {"loss": "l3"}, {"device": "tpu"}, {"model": "siren?"}, {"width": 0},
     {"widht": 64}, {"channels": 3}, {"resume": True, "overwrite": True}, {"out": ""},
     {"resume": True, "size_kb": 9}, {"model": Net(), "width": 3}, {"model": Net(), "size_kb": 9},
     {"model": Net(channels=4)}, {"model": HashGridConfig(4)}],
    ids=str,
)  # fmt: skip
def test_what_is_of_no_use_is_refused_in_one_line_and_nothing_is_written(
    wrong, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FieldsError) as error:
        fields.fit(picture(), **{"steps": 5, **wrong})
    one_line(error.value)
    assert list(tmp_path.iterdir()) == []


# Going on


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


# Randomness and surroundings


def test_the_same_seed_gives_the_same_file_for_any_number_of_threads(tmp_path):
    runs = [
        fields.fit(picture(), out=tmp_path / str(i), steps=20, seed=seed, threads=count, **TINY)
        for i, (seed, count) in enumerate([(5, 1), (5, 2), (6, 1)])
    ]
    one, two, other = ((run.path / "field.safetensors").read_bytes() for run in runs)
    assert one == two and one != other
    assert [run.metrics["threads"] for run in runs] == [1, 2, 1]


def test_a_fit_leaves_threads_signals_and_random_state_as_they_were(tmp_path):
    net = Net()
    before = torch.get_rng_state(), torch.get_num_threads()
    handlers = [unix_signals.getsignal(s) for s in (unix_signals.SIGINT, unix_signals.SIGTERM)]
    fields.fit(picture(), net, out=tmp_path / "run", steps=3, threads=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    after = [unix_signals.getsignal(s) for s in (unix_signals.SIGINT, unix_signals.SIGTERM)]
    assert after == handlers


def test_a_fit_works_outside_the_main_thread(tmp_path):
    runs = []
    work = threading.Thread(
        target=lambda: runs.append(fields.fit(picture(), out=tmp_path / "run", steps=3, **TINY))
    )
    work.start()
    work.join()
    assert runs[0].metrics["steps"] == 3


# Sources and models


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


# Numbers that break


def test_a_loss_that_is_not_finite_stops_the_fit_and_names_step_and_tensor(tmp_path):
    class Breaks(Net):
        def forward(self, coords):
            out = super().forward(coords)
            return out * math.nan if self.training and self.calls == 5 else out

    with pytest.raises(FieldsError, match=r"step 5: .*layers\.\d.*nothing was written") as error:
        fields.fit(picture(), Breaks(), out=tmp_path / "run", steps=50)
    one_line(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_checkpoint_before_a_broken_number_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "READ_EVERY", 1)

    class Breaks(Net):
        def forward(self, coords):
            out = super().forward(coords)
            return out / 0 if self.training and self.calls == 30 else out

    with pytest.raises(FieldsError, match=r"step 30: .* is kept in .*--resume"):
        fields.fit(picture(), Breaks(), out=tmp_path / "run", steps=50)
    kept = fields.load(tmp_path / "run", model=Breaks())
    assert 0 < kept.steps < 30
    assert all(tensor.isfinite().all() for tensor in kept.field.state_dict().values())


def test_weights_that_break_in_the_last_step_are_not_saved(tmp_path, monkeypatch):
    class Breaks(steps.HashGridStep):
        def __call__(self, step, factor):
            loss = super().__call__(step, factor)
            if step == 20:
                self.field.table.data[0, 0] = math.inf
            return loss

    monkeypatch.setattr(steps, "choose", Breaks)
    with pytest.raises(FieldsError, match=r"step 20: field\.table holds NaN or infinity"):
        fields.fit(picture(), out=tmp_path / "run", steps=20, **TINY)
    assert list(tmp_path.iterdir()) == []


# The parts


def test_a_schedule_holds_then_falls_to_its_last_factor():
    schedule = Schedule(hold=0.25, last=0.1)
    assert schedule.factor(0) == schedule.factor(0.25) == 1
    assert schedule.factor(1) == schedule.factor(1.3) == pytest.approx(0.1)
    values = [schedule.factor(i / 50) for i in range(51)]
    assert values == sorted(values, reverse=True)
    assert {CONSTANT.factor(i / 9) for i in range(10)} == {1.0}


def test_a_plan_survives_the_way_through_json():
    made = replace(plan.make(Stop(steps=3, target=1.5), model="hashgrid", seed=9), seed=9)
    assert Plan.from_dict(json.loads(json.dumps(made.as_dict()))) == made


class Clock:
    """A scorer whose scores cost time on a clock that only it moves."""

    def __init__(self, cost, truth):
        self.now, self.cost, self.truth, self.checks = 0.0, cost, truth, 0

    def perf_counter(self):
        return self.now

    def estimate(self, loss):
        return loss

    def sampled_seconds(self):
        return self.cost

    def sampled_score(self):
        self.now += self.cost
        return self.truth(self.now) - 0.05

    def score(self):
        self.now += 20 * self.cost
        self.checks += 1
        return self.truth(self.now)


@pytest.mark.parametrize("cost", [0.001, 0.02, 0.5])
@pytest.mark.parametrize("bias", [-3.0, 0.0, 2.0])
def test_checks_find_the_target_soon_and_cost_a_twentieth(cost, bias, monkeypatch):
    clock = Clock(cost, truth=lambda t: 20 + t)  # reaches 35 dB at 15 s
    monkeypatch.setattr("fields.target.time", clock)
    watch = TargetWatch(35.0, clock, started=0.0)
    score = None
    while score is None:
        clock.now += 0.01
        score = watch.reached(20 + clock.now + bias)
        assert watch.spent <= CHECK_SHARE * clock.now + 1e-9
    assert score >= 35 and clock.checks == 1
    assert clock.now - 20 * cost < 15 + max(cost / BLIND_SHARE, 0.5) + cost


def test_a_fit_without_a_target_is_never_checked():
    watch = TargetWatch(None, Clock(0, lambda t: 99), time.perf_counter())
    assert watch.reached(99) is None


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
        fields.fit(tmp_path / "a.png", out=run.path, steps=12, resume=True)
    again = fields.fit(tmp_path / "a.png", out=run.path, steps=12, resume=True, downscale=2)
    assert again.metrics["steps"] == 12


def test_a_log_is_json_and_names_no_score_that_a_loss_does_not_tell(tmp_path):
    plain = np.full((1, 1, 3), 255, np.uint8)
    met = fields.fit(plain, out=tmp_path / "met", target=60, seconds=20, threads=1, **TINY)
    text = (met.path / "log.jsonl").read_text()
    assert met.metrics["ended_by"] == "target" and "Infinity" not in text
    for loss, tells in (("l2", True), ("l1", False)):
        run = fields.fit(picture(), out=tmp_path / loss, steps=40, loss=loss, **TINY)
        text = (run.path / "log.jsonl").read_text()
        assert '"loss"' in text and ("expected_psnr" in text) is tells


def test_fewer_steps_than_a_run_has_end_it_by_steps(tmp_path):
    fields.fit(picture(), out=tmp_path / "run", steps=4, **TINY)
    run = fields.fit(picture(), out=tmp_path / "run", steps=1, resume=True)
    assert run.metrics["ended_by"] == "steps" and run.steps == 4


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


def test_a_config_given_to_resume_is_compared(tmp_path):
    config = HashGridConfig(3, num_levels=4, log2_table_size=8, width=8)
    fields.fit(picture(), config, out=tmp_path / "run", steps=2, batch=512)
    with pytest.raises(FieldsError, match="--width 8, not 16"):
        fields.fit(picture(), replace(config, width=16), out=tmp_path / "run", steps=3, resume=True)
    assert fields.fit(picture(), config, out=tmp_path / "run", steps=3, resume=True).steps == 3


@pytest.mark.parametrize("frozen", ["table", "params"])
def test_a_frozen_part_of_a_hash_grid_stays(tmp_path, frozen):
    field = fields.HashGrid(3, num_levels=2, log2_table_size=6, width=8)
    getattr(field, frozen).requires_grad_(False)
    before = {name: value.clone() for name, value in field.state_dict().items()}
    fields.fit(picture(), field, out=tmp_path / "run", steps=3, batch=64)
    same = {name: torch.equal(value, before[name]) for name, value in field.state_dict().items()}
    assert same == {name: name == frozen for name in before}


def test_weights_that_are_not_float32_are_refused_at_the_start(tmp_path):
    for field in (fields.HashGrid(3).double(), nn.Linear(2, 3).double(), nn.Linear(2, 3).half()):
        with pytest.raises(FieldsError, match="needs float32 weights"):
            fields.fit(picture(), field, out=tmp_path / "run", steps=2)
    assert list(tmp_path.iterdir()) == []


def test_arithmetic_that_the_kernels_lack_is_refused_before_anything_is_read(tmp_path):
    lacking = ["fp16"] if ops.ACTIVE.bf16 else ["fp16", "bf16"]
    for precision in lacking:
        with pytest.raises(FieldsError, match=f"no {precision} arithmetic") as error:
            fields.fit(tmp_path / "missing.png", precision=precision, device="cpu")
        one_line(error.value)


def test_a_field_trained_in_other_arithmetic_is_asked_in_float32(tmp_path):
    run = fields.fit(picture(), out=tmp_path / "run", steps=2, **TINY)
    file = tmp_path / "run" / "field.safetensors"
    tensors, content = checkpoint.read(file)
    content["config"]["precision"] = "fp16"  # as from a GPU
    checkpoint.write(file, tensors, content)
    loaded = fields.load(tmp_path / "run")
    assert loaded.precision == "float32" and loaded.config["config"]["precision"] == "fp16"
    assert np.array_equal(loaded.render(), run.render())


def test_a_long_name_of_a_source_keeps_within_size_kb(tmp_path):
    path = os.fsencode(tmp_path) + b"/" + b"\xff" * 240
    plain = tmp_path / "a.png"
    write_picture(plain, picture())
    os.rename(plain, path)
    run = fields.fit(os.fsdecode(path), out=tmp_path / "run", steps=1, size_kb=12)
    assert run.metrics["bytes"] <= 12_000
