"""The folder of a run on the disk: its name, its lock, and the rule that it is absent or loads.

A new run is written into a hidden folder beside its place (`.NAME.partial`) and takes its name in
one step with its first files, so a kill leaves either nothing under that name or something that
loads. In a folder that stands, empty or with a run to be replaced, the hidden folder (`.partial`)
lies inside, and its files move up once they are whole: until then nothing of the old run is
touched. Two fits into one place: the second is refused, by a lock that the system drops with the
process.
"""

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import BinaryIO

from fields.errors import FieldsError
from fields.folder_lock import InUse, is_at, lock, name_of
from fields.pictures.naming import shown
from fields.pictures.replacing import replacing

RUNS = Path("runs")  # where runs without an --out go
FIELD = "field.safetensors"
STATE = "state.safetensors"
METRICS = "metrics.json"
LOG = "log.jsonl"
PREVIEW = "preview.png"
HIDDEN = ".partial"


class RunFolder:
    """A run folder that this process alone writes to; made by the three functions below."""

    def __init__(self, path: Path, here: Path, lock: int, made: list[Path]):
        self.path = path  # the name that the user knows
        self._here = here  # where the files are now: `path`, or the hidden folder before it
        self._lock = lock
        self._made = made  # folders made on the way, removed if nothing comes of the run

    @property
    def published(self) -> bool:
        """The files stand under the name that the user knows."""
        return self._here == self.path

    def file(self, name: str) -> Path:
        """Where a file of the run is now; FieldsError if the folder is gone."""
        self._follow()
        return self._here / name

    def known_as(self, name: str) -> Path:
        """What the user knows a file of the run by, wherever it is now."""
        return self.path / name

    def replacing(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """As pictures.replacing, for a file of the run."""
        return replacing(self.file(name), self.known_as(name))

    def publish(self) -> None:
        """Once a field is written: the files take the place that the user knows.

        Where the system refuses, they stay under another name, which `path` is from then on, and
        FieldsError is raised.
        """
        self._follow()
        if self.published:
            return
        place = self.path
        try:
            if self._here.parent == place:
                self._move_up()
            else:
                os.rename(self._here, place)
                _sync(place.parent)
            self._here = place
        except OSError as error:
            self.path = self._here = self._put_beside()
            raise FieldsError(f"{shown(place)} cannot be written: {error.strerror}") from None

    def _move_up(self) -> None:
        """Out of the hidden folder in `path`; what a run that is replaced leaves, goes.

        Its field stays until the new one takes its place, so that the folder always loads. All is
        done inside the folder that is locked, whatever else takes its name meanwhile.
        """
        inside = self._lock
        for name in (METRICS, PREVIEW, LOG, STATE):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=inside)
        for name in (FIELD, STATE, LOG, PREVIEW, METRICS):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{HIDDEN}/{name}", name, src_dir_fd=inside, dst_dir_fd=inside)
        with contextlib.suppress(OSError):
            os.rmdir(HIDDEN, dir_fd=inside)
        _sync(self.path)

    def _put_beside(self) -> Path:
        """A name that can be had for files that cannot take theirs; where they are, if none can."""
        if self._here.parent != self.path:
            for number in range(2, 100):
                beside = numbered(self.path.parent, self.path.name, number)
                if not os.path.lexists(beside):
                    with contextlib.suppress(OSError):
                        os.rename(self._here, beside)
                        return beside
        return self._here

    def _follow(self) -> None:
        """Find the folder that is locked: it may have been renamed while the fit ran, and another
        may have taken its name, in which nothing is to be touched."""
        inside = self._here.parent == self.path
        locked = self.path if inside else self._here
        if is_at(self._lock, locked):
            return
        moved = name_of(self._lock)
        if moved is None:
            raise FieldsError(
                f"{shown(self.path)} was removed while the fit ran; name another --out"
            )
        if inside or self.published:
            self.path = moved
        self._here = moved / HIDDEN if inside else moved

    def log(self, text: str) -> None:
        """Append lines to the log."""
        try:
            with open(self.file(LOG), "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            name = shown(self.known_as(LOG))
            raise FieldsError(f"{name} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Drop the lock, and what was made for a run that came to nothing."""
        with contextlib.suppress(OSError, FieldsError):
            self._follow()
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
    name = shown(path)
    if not path.exists():
        if path.is_symlink():
            raise FieldsError(f"{name} is a link to nothing; name another --out")
        return _make(path)
    if not path.is_dir():
        raise FieldsError(f"{name} is a file; name another --out")
    if not is_run(path):
        if any(found.name != HIDDEN for found in _inside(path)):
            raise FieldsError(f"{name} exists and is no run; name another --out")
    elif not overwrite:
        raise FieldsError(f"{name} exists; --overwrite replaces it, --resume goes on with it")
    return _take(path, anew=True)


def existing(path: Path) -> RunFolder:
    """The folder of a run that goes on; FieldsError if there is none or it is in use."""
    if not path.is_dir():
        raise FieldsError(f"{shown(path)} does not exist: nothing to resume; leave --resume away")
    if not (path / STATE).is_file():
        raise FieldsError(f"{shown(path)} holds no {STATE}: nothing to resume")
    return _take(path, anew=False)


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
        held = lock(hidden, path)
        if os.path.lexists(path):  # of a fit that held the lock until now
            shutil.rmtree(hidden)
            os.close(held)
            raise InUse(f"{shown(path)} was made by another fit just now; name another --out")
        for left in hidden.iterdir():  # by a fit that was killed before its first checkpoint
            left.unlink()
    except InUse:
        _remove(made)
        raise
    except OSError as error:
        _remove(made)
        raise _refused(path, error) from None
    return RunFolder(path, hidden, held, made)


def _take(path: Path, *, anew: bool) -> RunFolder:
    """A folder that stands, locked; `anew` for a run that does not go on with what it holds."""
    if not os.access(path, os.W_OK | os.X_OK):
        raise FieldsError(f"{shown(path)} cannot be written; name another --out")
    held = lock(path, path)
    hidden = path / HIDDEN
    try:
        for left in path.glob(".fields-*.tmp"):  # by a fit that was killed while it wrote
            left.unlink(missing_ok=True)
        if hidden.exists():
            shutil.rmtree(hidden)
        if anew:
            hidden.mkdir()
    except OSError as error:
        os.close(held)
        raise _refused(path, error) from None
    return RunFolder(path, hidden if anew else path, held, [])


def _inside(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError as error:
        raise _refused(path, error) from None


def _refused(path: Path, error: OSError) -> FieldsError:
    return FieldsError(f"{shown(path)} cannot be written: {error.strerror}; name another --out")


def _sync(folder: Path) -> None:
    """Make a new name in a folder outlast a loss of power; not every system lets it be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(folders: list[Path]) -> None:
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()
