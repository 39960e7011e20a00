"""The learning rate over a fit, as a factor of the rate that it starts with."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Full rate for a while, then a cosine down to a last one.

    Args:
        hold: share of the fit at the full rate, from 0 to 1; 1 is a constant rate.
        last: factor at the end, from 0 to 1.
    """

    hold: float = 1.0
    last: float = 1.0

    def factor(self, done: float) -> float:
        """The factor when `done` of the fit, from 0 to 1, lies behind."""
        if done <= self.hold or self.hold >= 1:
            return 1.0
        fallen = min((done - self.hold) / (1 - self.hold), 1.0)
        return self.last + (1 - self.last) * 0.5 * (1 + math.cos(math.pi * fallen))


CONSTANT = Schedule()
