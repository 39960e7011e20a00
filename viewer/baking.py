"""The proxy of what is shown: baked beside pictures and training, and again as a field changes."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fields_viewer.hub import Hub
    from fields_viewer.subjects import Subject

PROXIES = ("auto", "on", "off")  # auto: where a field is slow, which is on a CPU
_EVERY = 0.25  # seconds between two looks whether there is something to bake
_REST = 3.0  # times the seconds of a bake, before the next one of a field that is trained
_DONE = object()


class Baking:
    """A thread that bakes while somebody looks.

    Args:
        hub: whose subject is baked, in turns with its pictures and its training.
        proxy: of PROXIES.

    Attributes:
        version: grows with all that a page should hear of.
    """

    def __init__(self, hub: Hub, proxy: str = "auto"):
        self.hub, self.proxy = hub, proxy
        self.version = 0
        self._made: tuple[Subject, int] | None = None  # of which subject, at which step
        self._is_baking = False
        self._seconds = 0.0  # that the last one worked
        self._rested = 0.0  # when the next one may begin
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_wanted(self) -> bool:
        """There is a proxy of the subject, or will be."""
        return self.proxy != "off" and self.hub.subject.can_bake(self.proxy == "on")

    def state(self) -> dict[str, Any]:
        """For pages, as JSON."""
        made = self.hub.subject.proxy_state()
        is_awaited = self._is_baking or self._made is None
        word = "ready" if made else "baking" if is_awaited else "none"
        figures = {"is_baking": self._is_baking, "seconds": round(self._seconds, 2)}
        return {"state": word, **figures, **(made or {})}

    def start(self, is_watched: Callable[[], bool]) -> None:
        if self.proxy != "off":
            self._thread = threading.Thread(
                target=self._run, args=(is_watched,), name="fields-viewer-bake", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Returns once the part under way is done."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, is_watched: Callable[[], bool]) -> None:
        while not self._ended.wait(_EVERY):
            if is_watched() and self.is_wanted and self._is_due():
                try:
                    self._bake(self.hub.subject)
                except Exception:  # pictures are drawn from the field then
                    traceback.print_exc(file=sys.stderr)
                    return

    def _is_due(self) -> bool:
        made, now = self._made, (self.hub.subject, self.hub.step)
        if made is None or made[0] is not now[0]:
            return True
        return made != now and time.perf_counter() >= self._rested

    def _bake(self, subject: Subject) -> None:
        self._made = (subject, self.hub.step)
        self._is_baking = True
        self.version += 1
        begun, worked = time.perf_counter(), 0.0
        parts, is_done = subject.bake(), False
        try:
            while not (is_done or self._ended.is_set() or self.hub.subject is not subject):
                with self.hub.turns.bake():
                    before = time.perf_counter()
                    is_done = next(parts, _DONE) is _DONE
                    worked += time.perf_counter() - before
        finally:
            self._is_baking = False
            self._seconds = worked
            self._rested = time.perf_counter() + _REST * (time.perf_counter() - begun)
            self.version += 1
