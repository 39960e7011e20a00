"""One page that looks: the newest view that it asked for, and what it gets to see.

A thread of its own draws. It takes the newest view and no older one; the page says which frames it
has shown, and no more than CREDIT are under way. A frame is encoded and sent while the next is
drawn. Once the hand rests, the picture is drawn in parts at its full size and sent without loss;
a new view ends that between two parts, and within one where the subject looks at `cancel`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from fields.errors import Cancelled, FieldsError
from fields_viewer import pacing
from fields_viewer.hub import Hub
from fields_viewer.outbox import Outbox
from fields_viewer.pacing import Frame, Pace
from fields_viewer.protocol import (
    FIELD,
    FLAT_TILE,
    FRAME,
    LAST,
    PART,
    PROXY,
    TILE,
    TRUTH,
    Refused,
)  # fmt: skip
from fields_viewer.subjects import Flat, Solid
from fields_viewer.views import View, flat_box, tile_box

CREDIT = 2  # frames under way
STILL = 0.15  # seconds without a new view after which the hand rests
_REFRESH = 1.0  # seconds between two pictures of a field that is trained, while nobody moves
_REFRESH_SECONDS = 0.2  # that such a picture may take
_BAND = 128  # rows of a part of a flat still picture
_TILE_QUALITY = 90


class Client:
    """
    Args:
        hub: what is shown.
        send: takes text or bytes to the page, and returns once they are on their way; called in
            threads. Raises ConnectionError once the page is gone.
    """

    def __init__(self, hub: Hub, send: Callable[[str | bytes], None]):
        self.hub, self._send = hub, send
        self._outbox = Outbox(send)
        self.settings = hub.first_settings()
        # Of frames in motion by what they show, and of those of a field that is trained meanwhile.
        self._paces = {FIELD: Pace(), PROXY: Pace()}
        self._still_pace = Pace()
        self._news = threading.Condition()
        self._view: View | None = None
        self._flat: dict[str, Any] | None = None
        self._wanted: tuple[int, list[list[int]]] = (0, [])  # tiles, of the message of that id
        self._came = 0.0  # when the last view or setting came
        self._version = 0  # of the settings
        self._drawn: Any = None  # what the last frame showed
        self._refined: Any = None  # what the last still picture showed
        self._drawn_at = 0.0
        self._under_way = 0
        self._cancel = torch.zeros(1, dtype=torch.uint8)
        # Of frames in motion, which a newer view does not end: they would never come.
        self._gone = torch.zeros(1, dtype=torch.uint8)
        self._is_welcome = self._closed = False
        self._thread = threading.Thread(target=self._run, name="fields-viewer", daemon=True)

    def start(self) -> None:
        """Welcome the page, which hears nothing before, and then what has changed meanwhile."""
        self.tell(type="welcome", **self.hub.describe(), values=self.settings)
        self._is_welcome = True
        for kind, thing in self.hub.told().items():
            self.tell(type=kind, **thing.state())
        self._thread.start()

    def close(self) -> None:
        """The page is gone; what is drawn for it is cancelled."""
        with self._news:
            self._closed = True
            self._cancel.fill_(1)
            self._gone.fill_(1)
            self._news.notify_all()

    def join(self, seconds: float) -> None:
        """Wait for its thread, so long at the most."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def tell(self, **message: Any) -> None:
        self._send(json.dumps(message))

    def post(self, text: str) -> None:
        """Send text that is JSON already, once the page is welcome."""
        if self._is_welcome:
            self._send(text)

    @property
    def wants_proxy(self) -> bool:
        """The page shows it, once there is one."""
        return bool(self.settings.get("use_proxy"))

    # What the page says; called by the server's thread, and never waits for a picture.

    def receive(self, message: dict[str, Any]) -> None:
        """Take a message that was checked; Refused where the subject does not know it."""
        kind = message["type"]
        with self._news:
            if kind == "view":
                if not isinstance(self.hub.subject, Solid):
                    raise Refused("a flat subject has no camera")
                self._view = View.of(message)
                self._moved()
            elif kind == "flat":
                self._flat = message
                self._moved(stills_only=True)
            elif kind == "tiles":
                self._wanted = (message["id"], [list(map(int, t)) for t in message["want"]])
                if message["moving"]:
                    self.hub.turns.moves()
            elif kind == "shown":
                self._under_way = max(self._under_way - 1, 0)
            elif kind == "set":
                self._set(message["name"], message["value"])
            self._news.notify_all()

    def _moved(self, stills_only: bool = False) -> None:
        self._came = time.perf_counter()
        self._cancel.fill_(1)
        if not stills_only:
            self.hub.turns.moves()

    def _set(self, name: str, value: Any) -> None:
        self.hub.check_setting(name, value)
        if name == "share":
            self.hub.turns.share = float(value)
            return
        self.settings = {**self.settings, name: value}
        self._version += 1
        self._moved()

    # The thread that draws

    def _run(self) -> None:
        try:
            while True:
                job = self._next()
                if job is None:
                    return
                self._guarded(job)
        except (ConnectionError, RuntimeError):
            if not self._closed:
                self.close()
        finally:
            self._outbox.close()

    def _guarded(self, job: Callable[[], None]) -> None:
        """What fails is told to the page, and ends nothing."""
        try:
            job()
        except (Cancelled, ConnectionError):
            pass
        except Exception as error:
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
            traceback.print_exc(file=sys.stderr)
            self._outbox.wait()  # what was drawn before is not told after it
            self.tell(type="error", text=text)

    def _next(self) -> Callable[[], None] | None:
        """The next thing to do, once there is one; None once the page is gone."""
        with self._news:
            while not self._closed:
                job, wait = self._due(time.perf_counter())
                if job is not None:
                    self._cancel = torch.zeros(1, dtype=torch.uint8)
                    return job
                self._news.wait(wait)
        return None

    def _due(self, now: float) -> tuple[Callable[[], None] | None, float | None]:
        """A job, or the seconds to wait for one; None: until there is news."""
        if isinstance(self.hub.subject, Flat):
            return self._due_flat(now)
        view, version = self._view, self._version
        if view is None:
            return None, None
        shown = (view.id, version)
        if shown != self._drawn:
            if self._under_way >= CREDIT:
                return None, None
            self._drawn = shown
            scale = self._pace.scale
            return (lambda: self._frame(view, scale)), None
        rest = self._came + STILL - now
        if rest > 0:
            return None, rest
        if self.hub.is_training:
            wait = self._drawn_at + _REFRESH - now
            if wait > 0 or self._under_way >= CREDIT:
                return None, max(wait, 0.05)
            # How long the field takes is told by such frames, or by those in motion.
            known = self._still_pace if self._still_pace.frames else self._paces[FIELD]
            scale = known.within(_REFRESH_SECONDS, view.pixels) if known.frames else known.scale
            return (lambda: self._frame(view, scale, still=True)), None
        goal = (*shown, self.hub.step)
        if goal == self._refined:
            return None, _REFRESH if self.hub.training else None
        self._refined = goal
        self._paces = {drawn: pace.rested(view.pixels) for drawn, pace in self._paces.items()}
        return (lambda: self._still(view)), None

    @property
    def _pace(self) -> Pace:
        subject = self.hub.subject
        assert isinstance(subject, Solid)
        return self._paces[subject.draws(self.settings)]

    def _due_flat(self, now: float) -> tuple[Callable[[], None] | None, float | None]:
        number, wanted = self._wanted
        if wanted:
            tile = wanted.pop(0)
            return (lambda: self._tile(number, tile)), None
        flat, rest = self._flat, self._came + STILL - now
        if flat is None or not flat["still"]:
            return None, None
        goal = (flat["id"], self._version, self.hub.step)
        if goal == self._refined or self.hub.is_training:
            return None, _REFRESH if self.hub.training else None
        if rest > 0:
            return None, rest
        self._refined = goal
        return (lambda: self._flat_still(flat)), None

    # What it draws

    def _frame(self, view: View, scale: float, still: bool = False) -> None:
        """One in motion, or of a field that is trained while the camera is still."""
        subject, settings = self.hub.subject, self.settings
        if still:
            settings = {**settings, "use_proxy": False}
        assert isinstance(subject, Solid)
        width, height = pacing.sized(view.width, view.height, scale)
        camera = view.camera(width, height)
        step = self.hub.step
        with self.hub.turns.draw():
            begun = time.perf_counter()
            pixels, drawn = subject.draw(camera, settings, self._gone)
            seconds = time.perf_counter() - begun
        with self._news:
            self._under_way += 1
        self._drawn_at = time.perf_counter()
        header = {
            "kind": FRAME, "id": view.id, "drawn": drawn, "step": step, "scale": width / view.width,
            "width": width, "height": height, "whole_width": view.width,
            "whole_height": view.height, "draw_us": round(1e6 * seconds),
        }  # fmt: skip

        def learn(took: float) -> None:
            frame, whole = Frame(width * height, seconds + took), view.pixels
            if still:
                self._still_pace = self._still_pace.after(frame, whole)
            else:
                self._paces[drawn] = self._paces[drawn].after(frame, whole)

        quality = None if settings["lossless"] else int(settings["quality"])
        self._outbox.put(pixels, header, quality, learn)

    def _still(self, view: View) -> None:
        """Drawn from the field itself, at full size, without loss."""
        subject, settings, cancel = self.hub.subject, self.settings, self._cancel
        assert isinstance(subject, Solid)
        camera = view.camera(view.width, view.height)
        base = {"kind": PART, "id": view.id, "step": self.hub.step}
        whole = {"whole_width": view.width, "whole_height": view.height}
        parts = subject.parts(camera, settings, cancel)
        self._parts(parts, {**base, **whole, "drawn": FIELD}, cancel)
        if settings.get("compare", "off") != "off":
            truth = subject.truth(camera, settings, cancel)
            self._noting(lambda: self._parts(truth, {**base, **whole, "drawn": TRUTH}, cancel))

    def _noting(self, job: Callable[[], None]) -> None:
        """There may be nothing to compare with; why, is no error."""
        try:
            job()
        except FieldsError as reason:
            self.tell(type="note", text=str(reason))

    def _parts(
        self,
        parts: Iterator[tuple[int, int, np.ndarray]],
        header: dict[str, Any],
        cancel: torch.Tensor,
    ) -> None:
        """Send parts as they come; the last one says so."""

        def send(part: tuple[int, int, np.ndarray], seconds: float, flags: int = 0) -> None:
            x, y, pixels = part
            height, width = pixels.shape[:2]
            more = {"x": x, "y": y, "width": width, "height": height, "flags": flags}
            self._outbox.put(pixels, {**header, **more, "draw_us": round(1e6 * seconds)})

        before: tuple[tuple[int, int, np.ndarray], float] | None = None
        for drawn in self.hub.turns.each(parts):
            if cancel.item():
                return
            if before is not None:
                send(*before)
            before = drawn
        if before is not None and not cancel.item():
            send(*before, LAST)

    def _tile(self, number: int, tile: list[int]) -> None:
        subject, settings = self.hub.subject, self.settings
        assert isinstance(subject, Flat)
        level, column, row = tile
        size, box = tile_box(subject.size(settings), level, column, row)
        header = {
            "kind": FLAT_TILE, "id": number, "x": column, "y": row, "scale": float(level),
            "whole_width": TILE, "whole_height": TILE, "step": self.hub.step,
        }  # fmt: skip

        def one(draw: Any, drawn: int) -> None:
            with self.hub.turns.draw():
                begun = time.perf_counter()
                pixels = draw(size, box, settings, self._gone)
                seconds = time.perf_counter() - begun
            height, width = pixels.shape[:2]
            more = {"width": width, "height": height, "drawn": drawn}
            more["draw_us"] = round(1e6 * seconds)
            self._outbox.put(pixels, header | more, _TILE_QUALITY)

        one(subject.crop, FIELD)
        if settings.get("compare", "off") != "off":
            self._noting(lambda: one(subject.truth_crop, TRUTH))

    def _flat_still(self, flat: dict[str, Any]) -> None:
        """What is seen of a flat picture, as `fields render --size --crop` draws it."""
        subject, settings, cancel = self.hub.subject, self.settings, self._cancel
        assert isinstance(subject, Flat)
        size, (x0, y0, x1, y1) = flat_box(flat)
        if x0 >= x1 or y0 >= y1:
            return
        base = {"kind": PART, "id": flat["id"], "step": self.hub.step}
        left, top = round(flat["crop"][0]), round(flat["crop"][1])

        def parts(draw: Any) -> Iterator[tuple[int, int, np.ndarray]]:
            for y in range(y0, y1, _BAND):
                box = (x0, y, x1, min(y + _BAND, y1))
                yield x0 - left, y - top, draw(size, box, settings, cancel)

        self._parts(parts(subject.crop), {**base, "drawn": FIELD}, cancel)
        if settings.get("compare", "off") != "off":
            self._noting(
                lambda: self._parts(parts(subject.truth_crop), {**base, "drawn": TRUTH}, cancel)
            )
