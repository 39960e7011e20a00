"""Decides when a look at the true score is worth its time, for a fit with a target."""

import time
from typing import Protocol

CHECK_SHARE = 0.05  # of the wall time may go into checks
BLIND_SHARE = 0.02  # of it into checks that the batch loss does not ask for: the guess may be wrong


class Scorer(Protocol):
    def score(self) -> float:
        """The score of the field as it is, on the whole signal."""
        ...

    def estimate(self, loss: float) -> float:
        """The score that a mean batch loss lets one expect."""
        ...

    def check_seconds(self) -> float:
        """A guess, before the first check, of what one costs."""
        ...


class TargetWatch:
    """Compares the running batch loss with a target and checks the true score when they meet.

    Checks are part of the training clock and take at most CHECK_SHARE of the wall time.

    Args:
        target: the score to reach, or None.
        scorer: gives the true score, and a guess of it from the batch loss.
        started: `time.perf_counter()` when the wall clock began.
    """

    def __init__(self, target: float | None, scorer: Scorer, started: float):
        self.target = target
        self.scorer = scorer
        self.started = started
        self.spent = 0.0
        self.cost: float | None = None
        self.offset = 0.0  # of the last true score over its guess

    def reached(self, loss: float) -> float | None:
        """The true score if a check was made now, else None."""
        if self.target is None:
            return None
        if self.cost is None:
            self.cost = self.scorer.check_seconds()
        guess = self.scorer.estimate(loss)
        near = guess + self.offset >= self.target
        share = CHECK_SHARE if near else BLIND_SHARE
        begin = time.perf_counter()
        if self.spent + self.cost > share * (begin - self.started):
            return None
        score = self.scorer.score()
        self.cost = time.perf_counter() - begin
        self.spent += self.cost
        self.offset = score - guess
        return score
