"""How a file is named to the user: one printable line, whatever bytes its name holds."""

import difflib
import os
from pathlib import Path


def shown(path) -> str:
    """The path as the user gave it, with bytes that are no UTF-8 and control characters escaped.

    A name may hold a line break or a terminal's escape sequence; a message is one plain line.
    """
    return plain(os.fsencode(path).decode("utf-8", "backslashreplace"))


def plain(text: str) -> str:
    """The text with what is not printable escaped: names inside a file can hold it too."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def stem(path) -> str:
    """The name of the file without its folder and last suffix, printable."""
    return shown(Path(os.fsdecode(path)).stem)


def likely_path(path, *folders) -> Path | None:
    """What was meant by a path that does not exist: what has its name in one of `folders`, or the
    nearest name beside it."""
    path = Path(os.fsdecode(path))
    for folder in folders:
        if os.path.lexists(folder / path.name):
            return folder / path.name
    try:
        names = os.listdir(path.parent)
    except (OSError, ValueError):
        return None
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return path.with_name(near[0]) if near else None
