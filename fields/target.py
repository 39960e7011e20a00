"""Decides when a look at the true score is worth its time, for a fit with a target."""

import time
from typing import Protocol

CHECK_SHARE = 0.05  # of the wall time may go into checks that find the target not reached
BLIND_SHARE = (
    0.005  # of it into checks that the batch loss does not ask for: its guess may be wrong
)


class Scorer(Protocol):
    def estimate(self, loss: float) -> float | None:
        """The score that a mean batch loss lets one expect, where it says."""
        ...

    def sampled_score(self) -> float:
        """The score of the field as it is on a part of the signal, rather too low than too high."""
        ...

    def sampled_seconds(self) -> float:
        """A guess, before the first, of what a sampled score costs."""
        ...

    def score(self) -> float:
        """The score of the field as it is, on the whole signal."""
        ...


class TargetWatch:
    """Compares the running batch loss with a target, then a sample, then the whole signal.

    Each stage costs more and is right more often. The last one is nearly always the last of the
    fit, and then takes the place of nothing but the final score.

    Args:
        target: the score to reach, or None.
        scorer: gives the scores.
        started: `time.perf_counter()` when the wall clock began.

    Attributes:
        spent: seconds that went into checks which found the target not reached.
    """

    def __init__(self, target: float | None, scorer: Scorer, started: float):
        self.target = target
        self.scorer = scorer
        self.started = started
        self.spent = 0.0
        self._cost: float | None = None  # of the last sampled score
        self._offset = 0.0  # of the last sampled score over its estimate

    def reached(self, loss: float) -> float | None:
        """The true score, if it was looked at and has the target; else None.

        Args:
            loss: mean of the last batches.
        """
        if self.target is None:
            return None
        guess = self.scorer.estimate(loss)
        near = guess is None or guess + self._offset >= self.target
        cost = self.scorer.sampled_seconds() if self._cost is None else self._cost
        begin = time.perf_counter()
        affordable = (CHECK_SHARE if near else BLIND_SHARE) * (begin - self.started)
        if self.spent + cost > affordable:
            return None
        sampled = self.scorer.sampled_score()
        self._cost = time.perf_counter() - begin
        self._offset = 0.0 if guess is None else sampled - guess
        if sampled >= self.target:
            score = self.scorer.score()
            if score >= self.target:
                return score
            self._offset += score - sampled
        self.spent += time.perf_counter() - begin
        return None
