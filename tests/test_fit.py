"""A fit from outside: when it ends, what it leaves, what it refuses."""

import math
import signal as unix_signals
import threading

import numpy as np
import pytest
import torch
from fits import Net, log_of
from small import TINY, one_line, picture

import fields
from fields import FieldsError, ops, plan
from fields.configs import HashGridConfig
from fields.plan import Stop


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


def test_a_log_is_json_and_names_no_score_that_a_loss_does_not_tell(tmp_path):
    plain = np.full((1, 1, 3), 255, np.uint8)
    met = fields.fit(plain, out=tmp_path / "met", target=60, seconds=20, threads=1, **TINY)
    text = (met.path / "log.jsonl").read_text()
    assert met.metrics["ended_by"] == "target" and "Infinity" not in text
    for loss, tells in (("l2", True), ("l1", False)):
        run = fields.fit(picture(), out=tmp_path / loss, steps=40, loss=loss, **TINY)
        text = (run.path / "log.jsonl").read_text()
        assert '"loss"' in text and ("expected_psnr" in text) is tells


def test_arithmetic_that_the_kernels_lack_is_refused_before_anything_is_read(tmp_path):
    lacking = ["fp16"] if ops.ACTIVE.bf16 else ["fp16", "bf16"]
    for precision in lacking:
        with pytest.raises(FieldsError, match=f"no {precision} arithmetic") as error:
            fields.fit(tmp_path / "missing.png", precision=precision, device="cpu")
        one_line(error.value)
