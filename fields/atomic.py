"""Files that are there whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_file(path: str | os.PathLike, parts: Iterable[bytes | memoryview]) -> None:
    """Put the bytes at `path` in one step: a kill or a full disk leaves what was there before.

    They go to a new file beside it, onto the disk, and then to their name. Raises OSError.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: str | os.PathLike) -> None:
    """Make the names in a folder last through a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
