"""A fit in view: the same field as without a viewer, in turns with the pictures."""

import signal
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small import TINY, picture
from viewers import InView, Page, until

import fields
from fields import loop, plan
from fields_viewer.protocol import FLAT_TILE
from fields_viewer.turns import Turns


@pytest.fixture(autouse=True)
def _closed_in_the_end():
    yield
    Page.close_all()


def test_a_viewer_that_looks_changes_nothing_of_the_field(tmp_path):
    alone = fields.fit(picture(), out=tmp_path / "alone", steps=150, **TINY)
    with InView(tmp_path / "seen", 150, slow=0.002) as fit:
        page = Page(fit.viewer)
        page.message("welcome")
        for number in range(1, 20):
            page.send("tiles", id=number, want=[[3, 0, 0]], moving=1)
            page.picture(FLAT_TILE)
    ours = dict(fit.run.field.named_parameters())
    for name, value in alone.field.named_parameters():
        assert torch.equal(value, ours[name])
    assert fit.run.metrics["psnr"] == alone.metrics["psnr"]


def test_it_pauses_goes_on_and_keeps_a_checkpoint(tmp_path):
    with InView(tmp_path / "run", 400, slow=0.003) as fit:
        page = Page(fit.viewer)
        assert page.message("welcome")["training"]["state"] == "running"
        until(lambda: fit.training.step > 20)
        page.send("do", name="pause")
        until(lambda: fit.training.state()["state"] == "paused")
        time.sleep(0.05)  # the step that was under way
        step, seconds = fit.training.step, fit.session.standing.seconds
        time.sleep(0.3)
        assert fit.training.step == step
        assert not (tmp_path / "run" / "field.safetensors").exists()
        page.send("do", name="save")
        until((tmp_path / "run" / "field.safetensors").exists)
        assert fields.load(tmp_path / "run").steps == step
        assert fit.session.standing.seconds - seconds < 0.25  # time that stood still is none
        page.send("do", name="resume")
        until(lambda: fit.training.step > step)
        while page.message("training")["state"] != "running":
            pass
    assert fit.run.steps == 400


def test_a_page_hears_nothing_before_its_welcome(tmp_path, monkeypatch):
    with InView(tmp_path / "run", 300, slow=0.005) as fit:
        hub = fit.viewer.hub
        describe = hub.describe
        monkeypatch.setattr(hub, "describe", lambda: (time.sleep(0.6), describe())[1])
        assert Page(fit.viewer).next()["type"] == "welcome"


def test_pages_hear_of_the_curves_and_of_the_end(tmp_path):
    with InView(tmp_path / "run", 200, slow=0.003) as fit:
        page = Page(fit.viewer)
        state = page.message("training")
        while state["state"] != "ended":
            state = page.message("training")
    assert state["step"] == 200
    seconds, loss, score = state["points"][-1]
    assert seconds > 0
    assert loss > 0
    assert score is None or score > 5


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_training_takes_the_share_that_it_was_given_while_a_camera_moves(share):
    turns, stop = Turns(share), threading.Event()

    def train():
        while not stop.is_set():
            with turns.train():
                time.sleep(0.004)

    thread = threading.Thread(target=train)
    begun = time.perf_counter()
    turns.moves()
    thread.start()
    while time.perf_counter() - begun < 1.0:
        turns.moves()
        with turns.draw():
            time.sleep(0.002)
    took = turns.trained
    stop.set()
    thread.join()
    passed = time.perf_counter() - begun
    # It may have saved up a tenth of a second, and the last step may be longer than what is left.
    assert took <= share * passed + 0.15
    assert took >= 0.3 * share * passed


def test_training_has_all_the_time_while_nobody_looks():
    turns = Turns(0.0)
    begun = time.perf_counter()
    for _ in range(50):
        with turns.train():
            pass
    assert time.perf_counter() - begun < 1.0


def test_a_bake_takes_its_turns_within_the_share_while_a_camera_moves():
    share, turns, stop = 0.3, Turns(0.3), threading.Event()

    def work(turn):
        while not stop.is_set():
            with turn():
                time.sleep(0.004)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in (turns.train, turns.bake)]
    begun = time.perf_counter()
    turns.moves()
    for thread in threads:
        thread.start()
    while time.perf_counter() - begun < 1.0:
        turns.moves()
        with turns.draw():
            time.sleep(0.002)
    trained, baked, passed = turns.trained, turns.baked, time.perf_counter() - begun
    stop.set()
    for thread in threads:
        thread.join()
    # As above: one saving for both.
    assert trained + baked <= share * passed + 0.15
    assert baked <= share / 2 * passed + 0.15
    assert min(trained, baked) >= 0.15 * share * passed


def test_a_bake_leaves_training_most_of_the_time_and_waits_for_pictures():
    turns, stop = Turns(), threading.Event()

    def work(turn):
        while not stop.is_set():
            with turn():
                time.sleep(0.004)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in (turns.train, turns.bake)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    stop.set()
    for thread in threads:
        thread.join()
    assert turns.trained > 1.5 * turns.baked > 0.1


def test_time_in_which_pictures_had_their_turn_is_none_of_training():
    class Busy(loop.Open):
        def __enter__(self):
            time.sleep(0.05)
            return 0.05

    observer: Any = SimpleNamespace(advance=lambda standing: None)
    standing, begun = loop.Standing(), time.perf_counter()
    reason = loop.run(
        lambda step, factor: torch.zeros(1),
        plan.make(plan.Stop(steps=10), model="hashgrid"), standing, observer,
        started=begun, wall_started=begun, gate=Busy(),
    )  # fmt: skip
    assert reason == "steps"
    assert time.perf_counter() - begun > 0.5
    assert standing.seconds < 0.3


def test_a_turn_says_how_long_it_was_waited_for():
    turns, drawing = Turns(), threading.Event()

    def draw():
        with turns.draw():
            drawing.set()
            time.sleep(0.2)

    thread = threading.Thread(target=draw)
    thread.start()
    drawing.wait()
    with turns.train() as waited:
        assert waited > 0.1
    thread.join()
    with turns.train() as waited:
        assert waited < 0.1


def test_a_fit_that_is_paused_ends_at_a_signal():
    class Shut(loop.Open):
        is_shut = True
        waited = 0

        def wait(self):
            self.waited += 1
            if self.waited > 3:
                caught.append(signal.SIGINT)
            return 0.0

    caught = []
    take = lambda step, factor: torch.zeros(1)  # noqa: E731
    reason = loop.run(
        take, plan.make(plan.Stop(steps=10), model="hashgrid"), loop.Standing(), None,
        started=0.0, wall_started=0.0, caught=caught, gate=Shut(),
    )  # fmt: skip
    assert reason == "SIGINT"
