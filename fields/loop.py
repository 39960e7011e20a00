"""The fit loop: the same for every model and every signal.

It takes steps until the plan's stop, a Unix signal or a broken number ends it. In between, at a
bounded cost, it reads the loss, checks the target and keeps checkpoints. It knows no files.
"""

import math
import signal as unix_signals
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from fields.errors import FieldsError, Interrupted
from fields.plan import Plan
from fields.steps import Step
from fields.target import Scorer, TargetWatch

READ_EVERY = 16  # steps between two looks at the loss: a look costs about 10 us
READ_SECONDS = 0.1  # no longer than this between two, where steps are slow
CHECKPOINT_SECONDS = 2.0  # between two checkpoints, at the least
CHECKPOINT_SHARE = 0.03  # of the time may go into checkpoints


class Diverged(FieldsError):
    """A number of the training is no longer finite, or nothing is left that could learn."""


@dataclass
class Standing:
    """Where a fit stands.

    Attributes:
        step: steps taken since the run began.
        seconds: of training, over all sessions of the run.
        loss: mean over the last batches.
        score: the true score, once it has reached the target.
        check_seconds: since the fit began or went on, in checks that found the target not reached.
        done: share of the fit that lies behind.
    """

    step: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    score: float | None = None
    check_seconds: float = 0.0
    done: float = 0.0


class Observer(Scorer, Protocol):
    """What the loop tells while it runs, and what it asks."""

    def advance(self, standing: Standing) -> None:
        """The loss was read."""
        ...

    def checkpoint(self, standing: Standing) -> None:
        """Keep what is needed to go on from here."""
        ...


class Gate(Protocol):
    """Lets a fit pass, a step at a time."""

    @property
    def is_shut(self) -> bool:
        """The fit shall stand still."""
        ...

    def wait(self) -> float:
        """Wait for a moment while it is shut; returns the seconds, which are none of training."""
        ...

    def asks_to_keep(self) -> bool:
        """Whether a checkpoint was asked for since the last call."""
        ...

    def __enter__(self) -> float:
        """A step begins once it may; returns the seconds until then, none of training."""
        ...

    def __exit__(self, *error: Any) -> None: ...


class Open:
    """A gate that is."""

    is_shut = False

    def wait(self) -> float:
        return 0.0

    def asks_to_keep(self) -> bool:
        return False

    def __enter__(self) -> float:
        return 0.0

    def __exit__(self, *error: Any) -> None:
        pass


def run(
    take: Step,
    plan: Plan,
    standing: Standing,
    observer: Observer,
    *,
    started: float,
    wall_started: float,
    caught: Sequence[unix_signals.Signals] = (),
    gate: Gate | None = None,
) -> str:
    """Take steps until the end; `standing` is kept up to date.

    Args:
        take: the step.
        plan: when to stop, and the learning rate over time.
        standing: where to begin.
        observer: is told, and asked for scores.
        started: `time.perf_counter()` when the training clock began, or went on.
        wall_started: the same for the whole command.
        caught: of `caught_signals`; the first one in it ends the fit.
        gate: each step passes it; open without one.

    Returns why it ended: steps, seconds, target, or the name of a Unix signal.
    Raises Diverged if a number is not finite; the checkpoints until then stand.
    """
    begin = started - standing.seconds
    gate = gate or Open()
    watch = TargetWatch(plan.stop.target, observer, wall_started)
    last_read = last_saved = time.perf_counter()
    pause = CHECKPOINT_SECONDS
    losses: list[Tensor] = []
    reason = ""
    while not reason:
        now = time.perf_counter()
        standing.seconds = now - begin
        standing.done = plan.stop.done(standing.step, standing.seconds)
        if caught:
            reason = caught[0].name
        elif standing.done >= 1:
            reason = "steps" if standing.step >= (plan.stop.steps or math.inf) else "seconds"
        if losses and (reason or len(losses) >= READ_EVERY or now - last_read > READ_SECONDS):
            standing.loss = _mean(losses, standing.step, take)
            losses.clear()
            last_read = now
            observer.advance(standing)
            if not reason:
                standing.score = watch.reached(standing.loss)
                standing.check_seconds = watch.spent
                if standing.score is not None:
                    # The weights are final since before the score was taken, which does not count.
                    return "target"
            if not reason and now - last_saved > pause:
                observer.checkpoint(standing)
                last_saved = time.perf_counter()
                pause = max(CHECKPOINT_SECONDS, (last_saved - now) / CHECKPOINT_SHARE)
        if not reason and gate.asks_to_keep():
            observer.checkpoint(standing)
        if not reason and gate.is_shut:
            begin += gate.wait()
        elif not reason:
            standing.step += 1
            with gate as waited:
                begin += waited
                factor = plan.schedule.factor(standing.done, standing.step)
                losses.append(take(standing.step, factor))
    standing.seconds = time.perf_counter() - begin
    return reason


def _mean(losses: list[Tensor], step: int, take: Step) -> float:
    """The mean of the last losses, the last of which belongs to `step`."""
    values = torch.stack([loss.reshape(()) for loss in losses])
    mean = values.mean().item()
    if not math.isfinite(mean):
        first = step - len(losses) + 1 + int((~values.isfinite()).nonzero()[0])
        broken = broken_tensor(take) or "the prediction"
        raise Diverged(f"step {first}: the loss is not finite; {broken} holds NaN or infinity")
    return mean


def broken_tensor(take: Step) -> str | None:
    """The first tensor of a step that holds NaN or infinity."""
    for name, tensor in take.tensors().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return name
    return None


class Caught(list[unix_signals.Signals]):
    """The signals that came.

    Attributes:
        at_once: they end what is done, by Interrupted; else they are only noted.
    """

    at_once = False

    def note(self, number: int, frame: object) -> None:
        if self and number == unix_signals.SIGINT:
            raise KeyboardInterrupt
        self.append(unix_signals.Signals(number))
        if self.at_once:
            raise Interrupted(f"stopped by {self[0].name}", number)


@contextmanager
def caught_signals() -> Iterator[Caught]:
    """Within, Ctrl-C and its kin are only noted, so that no step is cut in two.

    Yields the list of those that came. A second Ctrl-C interrupts at once. Nothing is changed in a
    thread, where Python allows no handlers, nor for a signal that the process ignores (nohup).
    """
    caught = Caught()

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(unix_signals, name, None)
            if number and unix_signals.getsignal(number) not in (None, unix_signals.SIG_IGN):
                before[number] = unix_signals.signal(number, caught.note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            unix_signals.signal(number, handler)
