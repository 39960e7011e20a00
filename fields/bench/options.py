"""Checks of a benchmark's options, before anything is measured. Free of torch."""

import math
import os
from pathlib import Path
from typing import Any

from fields.device import check_threads
from fields.errors import FieldsError, flag
from fields.pictures.naming import shown


def check_numbers(options: Any, *names: str, least: int = 1) -> None:
    """FieldsError where one of the options, or the number of threads, is given and less than the
    least."""
    check_threads(options.threads)
    for name in names:
        given = getattr(options, name)
        if given is not None and given < least:
            raise FieldsError(f"{flag(name)} must be at least {least}, got {given}")


def check_amounts(options: Any, *names: str) -> None:
    """FieldsError where one of the options is given and is, or holds, what is no length of time and
    no other amount."""
    for name in names:
        given = getattr(options, name)
        for amount in given if isinstance(given, list) else [given]:
            if amount is not None and not 0 < amount < math.inf:
                raise FieldsError(f"{flag(name)} must be more than 0 and finite, got {amount:g}")


def check_plot(plot: Path, usual: Path) -> None:
    """FieldsError where a plot cannot be written; the folder of the usual one is made."""
    if plot == usual:
        usual.parent.mkdir(exist_ok=True)
    if not os.access(plot.absolute().parent, os.W_OK | os.X_OK):
        raise FieldsError(f"{shown(plot)} cannot be written; name another --plot")
