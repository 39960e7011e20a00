"""Pictures on their way to a page: encoded and sent while the next one is drawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from fields_viewer import encode
from fields_viewer.protocol import LOSSLESS, Header


class Outbox:
    """A thread that encodes and sends.

    Args:
        send: takes bytes to the page, and returns once they are on their way.
    """

    def __init__(self, send: Callable[[bytes], None]):
        self._send = send
        self._sending: Future[None] | None = None
        self._encoder = ThreadPoolExecutor(1, "fields-viewer-encode")

    def put(
        self,
        pixels: np.ndarray,
        header: dict[str, Any],
        quality: int | None = None,
        encoded: Callable[[float], None] | None = None,
    ) -> None:
        """Encode and send; waits for the picture before, so that no more than two are in memory.

        Args:
            pixels: [H, W, 3] uint8.
            header: what a Header says but for format and encoding.
            quality: of a JPEG; None sends all of it, as PNG.
            encoded: told the seconds that encoding took, before anything is sent.

        Raises what sending the picture before has raised.
        """
        self.wait()
        self._sending = self._encoder.submit(self._sent, pixels, header, quality, encoded)

    def wait(self) -> None:
        """Until all is on its way; raises as `put`."""
        if self._sending is not None:
            self._sending.result()

    def close(self) -> None:
        """Returns once all is sent."""
        self._encoder.shutdown(wait=True)

    def _sent(
        self,
        pixels: np.ndarray,
        header: dict[str, Any],
        quality: int | None,
        encoded: Callable[[float], None] | None,
    ) -> None:
        begun = time.perf_counter()
        data = encode.png(pixels) if quality is None else encode.jpeg(pixels, quality)
        took = time.perf_counter() - begun
        if encoded is not None:
            encoded(took)
        flags = header.pop("flags", 0) | (LOSSLESS if quality is None else 0)
        kind = encode.PNG if quality is None else encode.JPEG
        full = Header(format=kind, flags=flags, encode_us=round(1e6 * took), **header)
        self._send(full.pack() + data)
