"""Who computes: a frame or a training step, never both, since both would take twice as long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Part = TypeVar("Part")

SHARE = 0.2  # of the time goes to training while a camera moves, unless somebody says otherwise
STILL_SHARE = 0.8  # while none moves and pictures become finer
_MOVING = 0.3  # seconds after a view, in which the next is expected
_SAVED = 0.1  # seconds of its share that training may save up
BAKE_SHARE = 0.25  # of the time goes to a bake beside training, while no camera moves


class Turns:
    """Lets one at a time compute.

    While a camera moves training gets `share` of the time: after a step it waits until as much time
    has passed as makes the step no more than that. While none moves, training waits for pictures
    alone, and is given STILL_SHARE of the time.

    A bake waits for pictures while no camera moves, and leaves training most of the time. While one
    moves all that it takes is part of the share of training, half of it at the most.
    """

    def __init__(self, share: float = SHARE):
        self.share = share
        self._free = threading.Condition()
        self._taken = False
        self._drawers = 0  # that wait
        self._trainer = False  # waits
        self._moved = -1e9  # when a view came
        self._baker = False  # waits
        # Seconds that training, and that a bake may compute; while a camera moves a bake takes of
        # both.
        self._credit = self._bake_credit = 0.0
        self._counted = time.perf_counter()
        self.trained = self.drawn = self.baked = 0.0  # seconds, of all

    def moves(self) -> None:
        """A camera has moved."""
        self._moved = time.perf_counter()

    @contextmanager
    def draw(self) -> Iterator[None]:
        with self._free:
            self._drawers += 1
            # Frame after frame would leave no gap: what training has saved up comes first. Who may
            # compute changes with the clock as well, of which nobody is told.
            while (
                self._taken
                or (self._trainer and self._may_train())
                or (self._baker and self._may_bake())
            ):
                self._free.wait(0.01)
            self._drawers -= 1
            self._taken = True
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.drawn += time.perf_counter() - begun
            self._give_back()

    def each(self, parts: Iterator[Part]) -> Iterator[tuple[Part, float]]:
        """The parts of a picture, each drawn in its turn, with its seconds."""
        while True:
            with self.draw():
                begun = time.perf_counter()
                part = next(parts, None)
                seconds = time.perf_counter() - begun
            if part is None:
                return
            yield part, seconds

    @contextmanager
    def train(self) -> Iterator[float]:
        """Yields the seconds that the turn was waited for."""
        asked = time.perf_counter()
        with self._free:
            self._trainer = True
            while self._taken or not self._may_train() or (self._baker and self._may_bake()):
                self._free.wait(0.002 if not self._taken else None)
            self._trainer = False
            self._taken = True
        begun = time.perf_counter()
        try:
            yield begun - asked
        finally:
            spent = time.perf_counter() - begun
            self.trained += spent
            self._credit -= spent
            self._give_back()

    @contextmanager
    def bake(self) -> Iterator[None]:
        with self._free:
            self._baker = True
            while self._taken or not self._may_bake():
                self._free.wait(0.002 if not self._taken else None)
            self._baker = False
            self._taken = True
        begun = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begun
            self.baked += spent
            self._bake_credit -= spent
            if self._is_moving():
                self._credit -= spent
            self._give_back()

    def _give_back(self) -> None:
        with self._free:
            self._taken = False
            self._free.notify_all()

    def _may_train(self) -> bool:
        moving = self._earn()
        if not moving and not self._drawers:
            self._credit = max(self._credit, 0.0)
            return True
        return self._credit >= 0

    def _may_bake(self) -> bool:
        if self._earn():
            return min(self._credit, self._bake_credit) >= 0
        if self._drawers:
            return False
        if not self._trainer:
            self._bake_credit = max(self._bake_credit, 0.0)
        return self._bake_credit >= 0

    def _earn(self) -> bool:
        """Whether a camera moves; the time since it was last asked is credited."""
        now, moving = time.perf_counter(), self._is_moving()
        passed, self._counted = now - self._counted, now
        rate, bake_rate = (self.share, self.share / 2) if moving else (STILL_SHARE, BAKE_SHARE)
        self._credit = min(self._credit + rate * passed, _SAVED)
        self._bake_credit = min(self._bake_credit + bake_rate * passed, _SAVED)
        return moving

    def _is_moving(self) -> bool:
        return time.perf_counter() - self._moved < _MOVING
