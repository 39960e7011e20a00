"""The folder of a run on the disk: its name, its lock, and the rule that it is absent or loads.

A new run is written into a hidden folder beside its place (`.NAME.partial`) and takes its name in
one step with its first files, so a kill leaves either nothing under that name or something that
loads. A run that is replaced stays until the new one has its first files. Two fits into one place:
the second is refused, by a lock that the system drops with the process.
"""

import contextlib
import fcntl
import os
import re
import shutil
from pathlib import Path

from fields.errors import FieldsError
from fields.pictures.naming import shown

FIELD = "field.safetensors"
STATE = "state.safetensors"
METRICS = "metrics.json"
LOG = "log.jsonl"
PREVIEW = "preview.png"


class RunFolder:
    """A run folder that this process alone writes to; made by the three functions below."""

    def __init__(self, path: Path, here: Path, lock: int, made: list[Path], replaces: bool):
        self.path = path  # the name that the user knows
        self._here = here  # where the files are now: `path`, or the hidden folder before it
        self._lock = lock
        self._made = made  # folders made on the way, removed if nothing comes of the run
        self._replaces = replaces

    @property
    def published(self) -> bool:
        """The files stand under the name that the user knows."""
        return self._here == self.path

    def file(self, name: str) -> Path:
        """Where a file of the run is now."""
        return self._here / name

    def begin(self) -> None:
        """Before the first file of a new run: what a run that it replaces leaves, goes.

        Its field stays until the new one takes its place, so that the folder always loads.
        """
        if self._replaces:
            for name in (METRICS, PREVIEW, LOG, STATE):
                self.file(name).unlink(missing_ok=True)
            self._replaces = False

    def publish(self) -> None:
        """Once a field is written: the folder takes the name that the user knows."""
        if not self.published:
            os.rename(self._here, self.path)
            _sync(self.path.parent)
            self._here = self.path

    def log(self, text: str) -> None:
        """Append lines to the log."""
        with open(self.file(LOG), "a", encoding="utf-8") as file:
            file.write(text)

    def close(self) -> None:
        """Drop the lock, and what was made for a run that came to nothing."""
        with contextlib.suppress(OSError):
            if not self.published:
                shutil.rmtree(self._here)
                for folder in reversed(self._made):
                    folder.rmdir()
        os.close(self._lock)


def is_run(path: Path) -> bool:
    return (path / FIELD).is_file() or (path / STATE).is_file()


def new(path: Path, *, overwrite: bool = False) -> RunFolder:
    """A folder for a run at `path`; FieldsError if it is taken, in use or cannot be written.

    With `overwrite` a run that stands there is replaced; a folder that is no run never is.
    """
    if not path.exists():
        return _make(path)
    name = shown(path)
    if not path.is_dir():
        raise FieldsError(f"{name} is a file; name another --out")
    if not is_run(path):
        if any(path.iterdir()):
            raise FieldsError(f"{name} exists and is no run; name another --out")
        return _make(path)
    if not overwrite:
        raise FieldsError(f"{name} exists; --overwrite replaces it, --resume goes on with it")
    return _take(path, replaces=True)


def existing(path: Path) -> RunFolder:
    """The folder of a run that goes on; FieldsError if there is none or it is in use."""
    if not path.is_dir():
        raise FieldsError(f"{shown(path)} does not exist: nothing to resume; leave --resume away")
    if not (path / STATE).is_file():
        raise FieldsError(f"{shown(path)} holds no {STATE}: nothing to resume")
    return _take(path, replaces=False)


def next_free(parent: Path, stem: str) -> RunFolder:
    """A new folder `parent/stem`, or stem-2, stem-3, ... where that is taken."""
    for number in range(1, 10_000):
        path = numbered(parent, stem, number)
        if not os.path.lexists(path):
            with contextlib.suppress(InUse):
                return _make(path)
    raise FieldsError(f"{shown(parent / stem)}-2 and on are all taken; name an --out")


def latest(parent: Path, stem: str) -> Path:
    """The newest of the runs that `next_free` named; `parent/stem` where there is none."""
    named = re.compile(re.escape(stem) + r"(-\d+)?")
    found = [p for p in parent.iterdir() if named.fullmatch(p.name)] if parent.is_dir() else []
    states = [p / STATE for p in found if (p / STATE).is_file()]
    return max(states, key=lambda p: p.stat().st_mtime, default=parent / stem / STATE).parent


def numbered(parent: Path, stem: str, number: int) -> Path:
    return parent / (stem if number == 1 else f"{stem}-{number}")


def plain_name(name: str) -> str:
    """A source's name as part of a folder's: letters, digits, dot, dash and underscore."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._-")[:80]
    try:
        os.fsencode(plain)
    except UnicodeEncodeError:  # a locale that cannot name it
        plain = re.sub(r"[^A-Za-z0-9.-]+", "_", plain).strip("._-")
    return plain or "source"


class InUse(FieldsError):
    """Another fit holds the folder."""


def _make(path: Path) -> RunFolder:
    """A hidden folder beside `path`, locked."""
    hidden = path.with_name(f".{path.name}.partial")
    made: list[Path] = []
    try:
        for folder in reversed(path.parents):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                made.append(folder)
        hidden.mkdir(exist_ok=True)
        lock = _lock(hidden, path)
        for left in hidden.iterdir():  # by a fit that was killed before its first checkpoint
            left.unlink()
    except OSError as error:
        _remove(made)
        raise FieldsError(
            f"{shown(path)} cannot be written: {error.strerror}; name another --out"
        ) from None
    return RunFolder(path, hidden, lock, made, replaces=False)


def _take(path: Path, *, replaces: bool) -> RunFolder:
    """A folder that stands, locked."""
    if not os.access(path, os.W_OK | os.X_OK):
        raise FieldsError(f"{shown(path)} cannot be written; name another --out")
    lock = _lock(path, path)
    for left in path.glob(".fields-*.tmp"):  # by a fit that was killed while it wrote
        left.unlink(missing_ok=True)
    return RunFolder(path, path, lock, [], replaces)


def _lock(folder: Path, path: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The other fit may have given the hidden folder its name between the two calls above.
        if os.fstat(descriptor).st_ino == os.stat(folder).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    raise InUse(f"another fit is writing to {shown(path)}; wait for it or name another --out")


def _sync(folder: Path) -> None:
    """Make a new name in a folder outlast a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folders: list[Path]) -> None:
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()
