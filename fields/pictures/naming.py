"""How a file is named to the user: one printable line, whatever bytes its name holds."""

import os
from pathlib import Path


def shown(path) -> str:
    """The path as the user gave it, with bytes that are no UTF-8 and control characters escaped.

    A name may hold a line break or a terminal's escape sequence; a message is one plain line.
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def stem(path) -> str:
    """The name of the file without its folder and last suffix, printable."""
    return shown(Path(os.fsdecode(path)).stem)
