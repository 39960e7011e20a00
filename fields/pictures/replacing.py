"""Writes a file so that nobody ever sees half of it: a temporary name beside it, then a rename."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from fields.errors import FieldsError
from fields.pictures.naming import shown


@contextlib.contextmanager
def replacing(path, known_as=None) -> Iterator[BinaryIO]:
    """An open binary file, readable too, that takes the name `path` once the block has ended well.

    The bytes are on the disk before the rename; what was at `path` stays until then, and stays for
    good if the block raises. A symbolic link is followed. The mode is that of the file replaced,
    or what the umask gives. Raises FieldsError, one line, if the system refuses; `known_as` is what
    it calls the file, where the user knows it by another name than `path`.
    """
    name, temporary = shown(path if known_as is None else known_as), None
    try:
        target = os.path.realpath(os.fsdecode(path))
        mode = _mode(target, name)
        folder = os.path.dirname(target)
        handle, temporary = tempfile.mkstemp(".tmp", ".fields-", folder)
        os.close(handle)
        with open(temporary, "w+b") as file:  # opened anew: libraries ask for a name
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
        temporary = None
        _sync_folder(folder)
    except (OSError, ValueError) as error:
        if isinstance(error, FieldsError):
            raise
        raise FieldsError(f"{name} cannot be written: {_reason(error)}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def require_place(path) -> None:
    """FieldsError where `replacing` could not write a file; so a command can refuse before it has
    computed anything."""
    name = shown(path)
    try:
        target = os.path.realpath(os.fsdecode(path))
        _mode(target, name)
    except (OSError, ValueError) as error:
        if isinstance(error, FieldsError):
            raise
        raise FieldsError(f"{name} cannot be written: {_reason(error)}") from None
    if not os.access(os.path.dirname(target), os.W_OK | os.X_OK):
        raise FieldsError(f"{name} cannot be written: its folder may not be written to by you")


def _mode(target: str, name: str) -> int:
    try:
        found = os.stat(target).st_mode
    except (FileNotFoundError, NotADirectoryError):
        folder = os.path.dirname(target)
        if not os.path.isdir(folder):
            raise FieldsError(
                f"{name} cannot be written: there is no folder {shown(folder)}; make it first"
            ) from None
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
    if stat.S_ISDIR(found):
        raise FieldsError(f"{name} is a folder; name a file in it")
    if not stat.S_ISREG(found):  # a rename would put a file in the place of /dev/null
        raise FieldsError(f"{name} is a pipe or a device; name a file")
    return stat.S_IMODE(found)


def _sync_folder(folder: str) -> None:
    """Make the new name itself last; not every system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error).splitlines()[0]
