"""Interleaved timing: engines run in turn, A B C A B C, and are compared within a round.

On a machine that others use too, speeds drift by more than engines differ. Two engines that are
timed in the same round meet the same drift, so the ratio of a round is worth more than a ratio of
medians; the median over rounds and its quartiles are what is reported.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ROUNDS = 9  # at the least, for a figure that is quoted


@dataclass(frozen=True)
class Spread:
    """The middle of some values, and how far they scatter."""

    median: float
    q1: float
    q3: float

    def figures(self, name: str) -> dict[str, float]:
        """As figures of a row: `name`, `name_q1`, `name_q3`."""
        return {name: self.median, f"{name}_q1": self.q1, f"{name}_q3": self.q3}


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles, the ends included: of three values the quartiles lie halfway."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, q1, q3)


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The spread of above / below, round by round."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def seconds_per_call(call: Callable[[], object], least: float) -> Callable[[], float]:
    """A measure of how long `call` takes, over a slice of at least `least` seconds.

    The first call of a slice is not counted where more than one is made: it finds the caches as the
    engine before left them, which no loop of a user does.
    """

    def measure() -> float:
        begin = time.perf_counter()
        call()
        passed = time.perf_counter() - begin
        if passed >= least:
            return passed
        calls, begin = 0, time.perf_counter()
        while True:
            call()
            calls += 1
            passed = time.perf_counter() - begin
            if passed >= least:
                return passed / calls

    return measure


def interleave(
    measures: Mapping[str, Callable[[], float]], *, rounds: int, pause: float = 0.02
) -> dict[str, list[float]]:
    """Take every measure in turn, again and again.

    Args:
        measures: by name.
        rounds: how often each is taken.
        pause: seconds between two: threads of the one before stop spinning meanwhile.

    Returns what each gave, one value a round.
    """
    values: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            time.sleep(pause)
            values[name].append(measure())
    return values


def fastest(values: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    """Which of the named engines has the least median time."""
    return min(names, key=lambda name: statistics.median(values[name]))
