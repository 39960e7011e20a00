"""Checks of a benchmark's options, before anything is measured. Free of torch."""

import os
from pathlib import Path
from typing import Any

from fields.errors import FieldsError, flag
from fields.pictures.naming import shown


def check_numbers(options: Any, *names: str) -> None:
    """FieldsError where one of the options is given and less than 1."""
    for name in names:
        given = getattr(options, name)
        if given is not None and given < 1:
            raise FieldsError(f"{flag(name)} must be at least 1, got {given}")


def check_seconds(options: Any) -> None:
    """FieldsError where `seconds` is not a length of time."""
    if not 0 < options.seconds < float("inf"):
        raise FieldsError(f"--seconds must be more than 0 and finite, got {options.seconds:g}")


def check_plot(plot: Path, usual: Path) -> None:
    """FieldsError where a plot cannot be written; the folder of the usual one is made."""
    if plot == usual:
        usual.parent.mkdir(exist_ok=True)
    if not os.access(plot.absolute().parent, os.W_OK | os.X_OK):
        raise FieldsError(f"{shown(plot)} cannot be written; name another --plot")
