"""When a fit ends: the schedule, the plan, the checks of the target."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from fields import plan
from fields.plan import Plan, Stop
from fields.schedule import CONSTANT, Schedule
from fields.target import BLIND_SHARE, CHECK_SHARE, TargetWatch


def test_a_schedule_holds_then_falls_to_its_last_factor():
    schedule = Schedule(hold=0.25, last=0.1)
    assert schedule.factor(0) == schedule.factor(0.25) == 1
    assert schedule.factor(1) == schedule.factor(1.3) == pytest.approx(0.1)
    values = [schedule.factor(i / 50) for i in range(51)]
    assert values == sorted(values, reverse=True)
    assert {CONSTANT.factor(i / 9) for i in range(10)} == {1.0}


def test_a_rate_that_warms_up_rises_evenly_and_then_is_as_without():
    warm, cold = Schedule(hold=0.5, last=0.1, warming=10), Schedule(hold=0.5, last=0.1)
    assert [warm.factor(0.0, step) for step in range(12)] == pytest.approx(
        [*np.arange(1, 11) / 10, 1, 1]
    )
    assert warm.factor(0.8, 10) == cold.factor(0.8, 10)


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


def test_a_rate_that_fades_falls_as_one_over_the_square_root_of_the_steps():
    schedule = Schedule(fading=20)
    assert schedule.factor(0.0, 0) == 1
    assert schedule.factor(0.0, 20) == pytest.approx(0.5**0.5)
    assert schedule.factor(0.9, 180) == pytest.approx(0.1**0.5)
    assert Schedule(hold=0.5, last=0.1).factor(1.0, 10_000) == pytest.approx(0.1)
