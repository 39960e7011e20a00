"""The learning rate over a fit, as a factor of the rate that it starts with."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Full rate for a while, then a cosine down to a last one; or one that fades from the start.

    Args:
        hold: share of the fit at the full rate, from 0 to 1; 1 is a constant rate.
        last: factor at the end, from 0 to 1.
        warming: steps in which the rate rises to the full one.
        fading: for a fit whose end is not known: steps after which the rate is 1 over the square
            root of 2, and falls on as 1 over that of the steps; 0 is never.
    """

    hold: float = 1.0
    last: float = 1.0
    warming: int = 0
    fading: float = 0.0

    def factor(self, done: float, step: int = 0) -> float:
        """The factor when `done` of the fit, from 0 to 1, and `step` steps lie behind."""
        faded = (1 + step / self.fading) ** -0.5 if self.fading else 1.0
        if step < self.warming:
            faded *= (step + 1) / self.warming
        if done <= self.hold or self.hold >= 1:
            return faded
        fallen = min((done - self.hold) / (1 - self.hold), 1.0)
        return faded * (self.last + (1 - self.last) * 0.5 * (1 + math.cos(math.pi * fallen)))


CONSTANT = Schedule()
