"""Engines at the same work, timed in turn, and the rows that come of it.

A peer may enter in several variants; its fastest one by the median stands for it. The peak of the
multiply-adds is measured in every round like an engine, so a share of it is a ratio within a round.
"""

import contextlib
import itertools
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from fields import device, ops
from fields.bench.timing import fastest, interleave, ratios, seconds_per_call, spread
from fields.bench.torch_peer import MODES

EAGER, COMPILE, DRJIT = "torch eager", "torch.compile", "drjit"
TIMES = {EAGER: "times_eager", COMPILE: "times_compile", DRJIT: "times_drjit"}
CHECKED_STEPS = 6
PEAKS = ("float32", "bf16")


class Engine(Protocol):
    """Does the work of a contest."""

    def step(self, index: int) -> Tensor:
        """One training step on a batch; its loss before the step."""
        ...

    def infer(self) -> Any:
        """Values [points, C]."""
        ...


Make = Callable[[str, str | None], Engine]  # of the way it is written, and the compiler's mode


class Contest:
    """
    Args:
        work: what every engine does.
        own: makes our engine, which peers have to agree with.
        rounds: how often each has its turn.
        quick: a look whether all runs: short slices, two rounds, no compiler.
    """

    def __init__(
        self, work: Any, own: Callable[[Any], Engine], *, rounds: int, quick: bool = False
    ):
        self.work = work
        self.own = own
        self.quick = quick
        self.num_rounds = 2 if quick else rounds
        self.slice = 0.01 if quick else 0.2
        self.measures: dict[str, Callable[[], float]] = {}
        self.variants: dict[str, list[str]] = {}  # entry -> names of its measures
        self.absent: dict[str, str] = {}  # entry -> why it did not run
        self.values: dict[str, list[float]] = {}
        for precision in PEAKS[: 1 + ops.ACTIVE.bf16]:
            self.measures[precision] = lambda p=precision: ops.fma_peak(self.slice / 2, p)

    def another(self, work: Any = None) -> "Contest":
        """An empty one, of the same work if there is no other."""
        return Contest(work or self.work, self.own, rounds=self.num_rounds, quick=self.quick)

    def add(
        self,
        entry: str,
        call: Callable[[int], object],
        *,
        variant: str = "",
        threads: int | None = None,
    ) -> None:
        """Enter an engine: `call(i)` does its work the i-th time; it is warmed up at once.

        `threads` is another number than the contest's.
        """
        counter = itertools.count()
        timed = seconds_per_call(lambda: call(next(counter)), self.slice)

        def measure() -> float:
            with device.threads(threads) if threads else contextlib.nullcontext():
                return timed()

        measure()
        name = f"{entry}: {variant}"
        self.measures[name] = measure
        self.variants.setdefault(entry, []).append(name)

    def add_eager(self, method: str, make: Make, ways: Sequence[str]) -> None:
        """Enter plain torch, written in each of some ways; `method` is "step" or "infer"."""
        for way in ways:
            self.enter(EAGER, way, method, partial(make, way, None))

    def add_compiled(self, method: str, make: Make, ways: Sequence[str]) -> None:
        """The same, compiled in each mode."""
        if self.quick:
            self.absent[COMPILE] = "left out by --quick"
            return
        for mode, way in itertools.product(MODES, ways):
            self.enter(COMPILE, f"{mode}, {way}", method, partial(make, way, mode))

    def enter(self, entry: str, variant: str, method: str, make: Callable[[], Engine]) -> None:
        """Enter a peer; one that fails is named with its reason rather than ends the benchmark."""
        try:
            engine = make()
            self._check(engine, method)
            call = engine.step if method == "step" else lambda _: engine.infer()
            self.add(entry, call, variant=variant)
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            self.absent[entry] = f"{type(error).__name__}: {reason}"

    def _check(self, engine: Any, method: str) -> None:
        """ValueError unless a new peer computes what we do: compilers make mistakes too."""
        own = self.own(self.work)
        if method == "step":
            for i in range(CHECKED_STEPS):
                theirs, ours = float(engine.step(i)), float(own.step(i))
                if not abs(theirs - ours) <= 0.02 * ours:
                    raise ValueError(f"wrong: its loss {i + 1} is {theirs:.4f}, ours {ours:.4f}")
            return
        theirs = engine.values() if hasattr(engine, "values") else engine.infer()
        ours = own.infer()
        error = float((theirs - ours).norm() / ours.norm())
        if not error <= 0.02:
            raise ValueError(f"wrong: its values differ from ours by {100 * error:.0f} %")

    def run(self) -> None:
        """Time everything that was entered."""
        self.values = interleave(self.measures, rounds=self.num_rounds)

    def seconds(self, entry: str) -> list[float]:
        """Of one call of an entry, round by round: those of its fastest variant."""
        return self.values[fastest(self.values, self.variants[entry])]

    def rows(self, work: str, samples: int, multiply_adds: float) -> list[dict[str, Any]]:
        """A row for each entry.

        Args:
            work: what was done.
            samples: of one call.
            multiply_adds: for each sample, that count towards the share of the peak.
        """
        rows = []
        for entry, names in self.variants.items():
            times = self.seconds(entry)
            row: dict[str, Any] = {"work": work, "engine": entry, "settings": str(self.work)}
            row["samples"] = samples
            variant = fastest(self.values, names).removeprefix(f"{entry}: ")
            if variant:
                row["variant"] = variant
            row |= spread([samples / t for t in times]).figures("samples_per_second")
            if entry.startswith("fields"):
                if "one thread" not in entry:
                    row |= self._share(entry, samples * multiply_adds)
                for peer, figure in TIMES.items():
                    if peer in self.variants:
                        row |= ratios(self.seconds(peer), times).figures(figure)
            rows.append(row)
        for entry, reason in self.absent.items():
            if entry not in self.variants:
                rows.append({"work": work, "engine": entry, "absent": reason})
        return rows

    def _share(self, entry: str, multiply_adds: float) -> dict[str, float]:
        """Of the peak of the entry's own arithmetic."""
        peak = self.values["bf16" if "bf16" in entry else "float32"]
        reached = [multiply_adds / t for t in self.seconds(entry)]
        return ratios(reached, peak).figures("share_of_peak")

    def compare(self, rows: list[dict[str, Any]], entry: str, figure: str, other: str) -> None:
        """Add to the row of `entry` how many times as fast as `other` it is, as `figure`."""
        if entry in self.variants and other in self.variants:
            row = next(row for row in rows if row["engine"] == entry)
            row |= ratios(self.seconds(other), self.seconds(entry)).figures(figure)

    def peaks(self) -> list[dict[str, Any]]:
        """A row for each peak: multiply-adds a second of all threads, median over the rounds."""
        return [
            {
                "work": f"FMA peak, {precision}",
                "engine": "fields",
                **spread(self.values[precision]).figures("multiply_adds_per_second"),
                "best": max(self.values[precision]),
                "scatter": statistics.pstdev(self.values[precision])
                / statistics.mean(self.values[precision]),
            }
            for precision in PEAKS
            if precision in self.values
        ]
