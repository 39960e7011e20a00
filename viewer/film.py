"""A camera path as a film: every frame at full quality, from the field itself."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fields.errors import Cancelled
from fields.films import write_film
from fields_viewer.hub import Hub
from fields_viewer.protocol import FILM, MOST_SHOTS, Header, Refused
from fields_viewer.subjects import Solid
from fields_viewer.subjects.subject import Settings
from fields_viewer.views import View

MP4 = 2  # as headers name it


class Films:
    """Those of one page; one at a time.

    Args:
        hub: what is shown.
        send: see Client.
        tell: takes messages for the page.
    """

    def __init__(self, hub: Hub, send: Callable[[bytes], None], tell: Callable[..., None]):
        self.hub, self._send, self._tell = hub, send, tell
        self._shots: list[list[float]] = []
        self._cancel = torch.zeros(1, dtype=torch.uint8)
        self._thread: threading.Thread | None = None

    def shots(self, start: int, shots: list[list[float]]) -> None:
        """A part of the path: each the first three rows of the matrix from camera to world, the
        vertical field of view, and the time, or -1."""
        if start > len(self._shots) or start + len(shots) > MOST_SHOTS:
            raise Refused("shots come in order, and are no more than 10,000")
        self._shots[start:] = shots

    def begin(self, message: dict[str, Any], settings: Settings) -> None:
        """Draw the film that a message asks for, in a thread."""
        if not isinstance(self.hub.subject, Solid):
            raise Refused("a flat subject has no camera path")
        if self._thread is not None and self._thread.is_alive():
            return self._tell(type="note", text="a film is being drawn; stop it first")
        if message["count"] != len(self._shots):
            raise Refused(f"{message['count']} shots were announced, {len(self._shots)} came")
        self._cancel = torch.zeros(1, dtype=torch.uint8)
        arguments = (list(self._shots), message, settings, self._cancel)
        self._thread = threading.Thread(
            target=self._draw, args=arguments, name="fields-viewer-film", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._cancel.fill_(1)

    def join(self, seconds: float) -> None:
        """Wait for its thread, so long at the most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _draw(
        self,
        shots: list[list[float]],
        message: dict[str, Any],
        settings: Settings,
        cancel: torch.Tensor,
    ) -> None:
        width, height = (side - side % 2 for side in (message["w"], message["h"]))
        try:
            with tempfile.TemporaryDirectory(prefix="fields-film-") as folder:
                path = Path(folder) / "film.mp4"
                frames = self._frames(shots, (width, height), settings, cancel)
                write_film(path, frames, (width, height), message["fps"])
                data = path.read_bytes()
            header = Header(FILM, MP4, id=len(shots), width=width, height=height)
            self._send(header.pack() + data)
            self._tell(type="film", state="ended", done=1.0)
        except (Cancelled, ConnectionError):
            with contextlib.suppress(ConnectionError, RuntimeError):
                self._tell(type="film", state="stopped", done=0.0)
        except Exception as error:
            text = f"the film: {' '.join(str(error).split())}"[:400]
            with contextlib.suppress(ConnectionError, RuntimeError):
                self._tell(type="film", state="stopped", done=0.0)
                self._tell(type="error", text=text)

    def _frames(
        self,
        shots: list[list[float]],
        size: tuple[int, int],
        settings: Settings,
        cancel: torch.Tensor,
    ) -> Iterator[np.ndarray]:
        subject = self.hub.subject
        assert isinstance(subject, Solid)
        for i, shot in enumerate(shots):
            self._tell(type="film", state="drawing", done=i / len(shots))
            matrix = np.array([*shot[:12], 0, 0, 0, 1], np.float64).reshape(4, 4)
            camera = View(i, matrix, shot[12], *size).camera(*size)
            now = {**settings, "time": shot[13]} if shot[13] >= 0 else settings
            picture = np.zeros((size[1], size[0], 3), np.uint8)
            for (x, y, pixels), _ in self.hub.turns.each(subject.parts(camera, now, cancel)):
                if cancel.item():
                    raise Cancelled("cancelled")
                picture[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
            yield picture
