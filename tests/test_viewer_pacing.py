"""Pacing finds the size of a frame that comes in time, soon, and keeps to it."""

import itertools

import numpy as np
import pytest

from fields_viewer.pacing import AIM, LADDER, LATE, Frame, Pace, fitted, sized

WHOLE = 800 * 800


def drive(machine, frames, pace=None, rest_every=None):
    """Scales that pacing chose, frame after frame, on a machine: (frame, pixels) -> seconds."""
    pace, scales, times = pace or Pace(), [], []
    for i in range(frames):
        if rest_every and i and i % rest_every == 0:
            pace = pace.rested(WHOLE)
        scales.append(pace.scale)
        pixels = round(WHOLE * pace.scale**2)
        times.append(machine(i, pixels))
        pace = pace.after(Frame(pixels, times[-1]), WHOLE)
    return pace, scales, times


def best(a, b):
    """The largest scale that a machine holds."""
    return next((s for s in LADDER if a + b * WHOLE * s * s <= AIM), LADDER[-1])


def noisy(a, b, share, seed=0):
    rng = np.random.default_rng(seed)
    return lambda i, pixels: (a + b * pixels) * (1 + share * rng.standard_normal() ** 2)


@pytest.mark.parametrize("a", [0.0, 0.001, 0.005, 0.009])
@pytest.mark.parametrize("rate", [1e6, 5e6, 20e6, 100e6, 1e9])
def test_it_settles_within_20_frames_near_what_the_machine_can_do(a, rate):
    machine = lambda i, pixels: a + pixels / rate  # noqa: E731
    _, scales, times = drive(machine, 60)
    assert len(set(scales[20:])) == 1
    wanted = LADDER.index(best(a, 1 / rate))
    assert abs(LADDER.index(scales[-1]) - wanted) <= 1
    if scales[-1] > LADDER[-1]:
        assert max(times[20:]) <= LATE


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
def test_noise_makes_it_neither_hunt_nor_fail(seed, share):
    _, scales, times = drive(noisy(0.002, 1 / 30e6, share, seed), 600)
    changes = sum(a != b for a, b in itertools.pairwise(scales[20:]))
    assert changes <= 4
    assert np.quantile(times[20:], 0.9) <= LATE


@pytest.mark.parametrize("at", [0, 5, 30, 200])
def test_a_stall_costs_one_step_and_not_for_good(at):
    machine = lambda i, pixels: 0.5 if i == at else 0.001 + pixels / 60e6  # noqa: E731
    _, scales, _ = drive(machine, 900)
    settled = scales[at - 1] if at >= 20 else best(0.001, 1 / 60e6)
    assert LADDER.index(scales[at + 1]) <= LADDER.index(scales[at]) + 1
    assert abs(LADDER.index(scales[-1]) - LADDER.index(settled)) <= 1


def test_a_machine_that_becomes_slow_is_followed_down_at_once():
    machine = lambda i, pixels: pixels / (60e6 if i < 100 else 3e6)  # noqa: E731
    _, scales, times = drive(machine, 130)
    assert max(times[106:]) <= LATE
    assert scales[106] < scales[99]


def test_it_rises_when_the_hand_rests_and_not_while_it_moves():
    slow, quick = (lambda i, pixels: pixels / 4e6), (lambda i, pixels: pixels / 8e6)
    pace, scales, _ = drive(slow, 40)
    pace, moving, _ = drive(quick, 60, pace)
    assert set(moving) == {scales[-1]}
    assert pace.rested(WHOLE).scale > scales[-1]


def test_after_a_burst_of_late_frames_it_comes_back_while_the_hand_moves():
    machine = lambda i, pixels: pixels / (1e6 if 100 <= i < 120 else 80e6)  # noqa: E731
    _, scales, _ = drive(machine, 260)
    assert scales[119] < 0.2 < 0.7 < scales[220]
    assert len(set(scales[220:])) == 1


@pytest.mark.parametrize(("every", "late"), [(60, 3), (90, 6)])
def test_bursts_that_come_again_and_again_do_not_make_it_hunt(every, late):
    machine = lambda i, pixels: pixels / (1e6 if i % every < late else 80e6)  # noqa: E731
    _, scales, _ = drive(machine, 6000)
    assert sum(a != b for a, b in itertools.pairwise(scales[200:])) <= 60


def test_a_size_from_which_on_all_is_slow_is_not_tried_again_and_again():
    machine = lambda i, pixels: 0.02 if pixels >= WHOLE / 4 else 0.001  # noqa: E731
    _, scales, _ = drive(machine, 6000)
    assert sum(a != b for a, b in itertools.pairwise(scales[200:])) <= 40


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e-3, 10.0])
@pytest.mark.parametrize("pixels", [1, 900, WHOLE])
def test_nothing_divides_by_zero(seconds, pixels):
    pace = Pace()
    for _ in range(40):
        pace = pace.after(Frame(pixels, seconds), WHOLE).rested(WHOLE)
        assert pace.scale in LADDER
        assert np.isfinite(pace.expected(WHOLE))
        assert pace.within(0.1, WHOLE) in LADDER
    assert Pace().expected(WHOLE) == 0.0


def test_the_model_is_found_from_frames_of_two_sizes():
    frames = tuple(Frame(n, 0.003 + n * 2e-8) for n in (10_000, 40_000, 90_000, 10_000))
    a, b, spread = fitted(frames)
    assert (a, b) == pytest.approx((0.003, 2e-8))
    assert spread < 1e-9


def test_frames_are_at_least_30_pixels_high_where_there_are_so_many():
    assert sized(800, 800, 1.0) == (800, 800)
    assert sized(800, 100, 1 / 8) == (240, 30)
    assert sized(10, 10, 1 / 8) == (10, 10)
