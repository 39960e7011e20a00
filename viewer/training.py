"""A fit in view: it takes its turns with the pictures, can be paused and kept, and tells its
curves."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from fields.loop import Standing
from fields.progress import Figures, Progress, Stand
from fields_viewer.turns import Turns

_MOST_POINTS = 1000  # of a curve


class Training:
    """The gate of a fit (see fields.loop.Gate), and its reporter.

    Args:
        reporter: that the fit would have without a viewer; told as well.
        turns: shared with the pictures.

    Attributes:
        standing: of the fit; None before it begins.
        version: grows with all that a page should hear of.
    """

    def __init__(self, reporter: Progress, turns: Turns | None = None):
        self.reporter, self.turns = reporter, turns or Turns()
        self.standing: Standing | None = None
        self.version = 0
        self.word = "beginning"  # or running, paused, ended, failed
        self.text = ""
        self._points: list[tuple[float, float, float | None]] = []  # seconds, loss, score
        self._rate, self._unit, self._done = 0.0, "", 0.0
        self._paused, self._asked = threading.Event(), threading.Event()
        self._going_on = threading.Condition()
        self._turn: Any = None

    @property
    def step(self) -> int:
        """Steps taken."""
        return self.standing.step if self.standing else 0

    @property
    def is_running(self) -> bool:
        return self.word == "running" and not self._paused.is_set()

    # What pages ask for

    def pause(self) -> None:
        self._paused.set()
        self.version += 1

    def resume(self) -> None:
        self._paused.clear()
        self.version += 1
        with self._going_on:
            self._going_on.notify_all()

    def save(self) -> None:
        """Keep a checkpoint before the next step."""
        self._asked.set()
        with self._going_on:
            self._going_on.notify_all()

    def state(self) -> dict[str, Any]:
        """For pages, as JSON."""
        word = "paused" if self.word == "running" and self._paused.is_set() else self.word
        return {
            "state": word,
            "text": self.text,
            "step": self.step,
            "rate": self._rate,
            "unit": self._unit.strip(),
            "done": self._done,
            "share": self.turns.share,
            "points": self._points[:: max(1, len(self._points) // 300)],
        }

    # The gate

    @property
    def is_shut(self) -> bool:
        return self._paused.is_set()

    def wait(self) -> float:
        begun = time.perf_counter()
        with self._going_on:
            self._going_on.wait(0.05)
        return time.perf_counter() - begun

    def asks_to_keep(self) -> bool:
        if not self._asked.is_set():
            return False
        self._asked.clear()
        return True

    def __enter__(self) -> float:
        self._turn = self.turns.train()
        return self._turn.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._turn.__exit__(*error)

    # The reporter

    def say(self, line: str) -> None:
        self.reporter.say(line)

    def advance(self, figures: Stand) -> None:
        self.reporter.advance(figures)
        if not isinstance(figures, Figures):
            return
        score = figures.score
        loss = figures.loss if math.isfinite(figures.loss) else None
        if loss is not None:
            self._points.append((round(figures.seconds, 3), loss, score))
        if len(self._points) > _MOST_POINTS:
            del self._points[::2]
        self._rate, self._unit, self._done = figures.rate, figures.unit, figures.done
        self.version += 1

    def close(self) -> None:
        self.reporter.close()

    # What the program says

    def begins(self, standing: Standing) -> None:
        self.word, self.standing = "running", standing
        self.version += 1

    def ends(self, text: str, *, failed: bool = False) -> None:
        self.word, self.text = "failed" if failed else "ended", text
        self.version += 1
