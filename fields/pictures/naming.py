"""How a file is named to the user: one printable line, whatever bytes its name holds."""

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
