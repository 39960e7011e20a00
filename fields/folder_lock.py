"""The lock on a run folder: an open descriptor, which the system drops with the process, and by
which the folder is found again where it was renamed."""

import fcntl
import os
from pathlib import Path

from fields.errors import FieldsError
from fields.pictures.naming import shown


class InUse(FieldsError):
    """Another fit holds the folder."""


def lock(folder: Path, path: Path) -> int:
    """Open a folder and lock it; InUse, naming `path`, if another fit has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The other fit may have given the hidden folder its name between the two calls above.
        if is_at(descriptor, folder):
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    raise InUse(f"another fit is writing to {shown(path)}; wait for it or name another --out")


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open folder is the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def name_of(descriptor: int) -> Path | None:
    """The name that an open folder has now, where the system tells; None if it was removed."""
    try:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    except OSError:
        return None
    return path if is_at(descriptor, path) else None
