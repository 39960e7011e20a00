"""Keeps what libraries say about a file away from the user, who gets our one line instead."""

import contextlib
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator

_LOCK = threading.RLock()
"""Held while the whole process is changed: two threads would restore in the wrong order."""


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within, Python warnings, tifffile's log, what C code prints and Pillow's size limit are off.

    Pillow's limit (179 megapixels) is lifted since `probe.py` has checked the size against ours.
    """
    from PIL import Image

    log = logging.getLogger("tifffile")
    with quiet_streams(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        was_disabled, was_limit = log.disabled, Image.MAX_IMAGE_PIXELS
        log.disabled, Image.MAX_IMAGE_PIXELS = True, None
        try:
            yield
        finally:
            log.disabled, Image.MAX_IMAGE_PIXELS = was_disabled, was_limit


@contextlib.contextmanager
def quiet_streams() -> Iterator[None]:
    """Within, nothing reaches stdout (from Python) or stderr (from any code of this process).

    OpenEXR prints about a broken file on both, libpng on descriptor 2.
    """
    with _LOCK, contextlib.redirect_stdout(io.StringIO()):
        try:
            kept = os.dup(2)
        except OSError:  # a process without stderr: nothing to keep quiet
            yield
            return
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os.dup2(sink, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(sink)
