"""Checks of a benchmark's options. Free of torch."""

from typing import Any

from fields.errors import FieldsError, flag


def check_numbers(options: Any, *names: str) -> None:
    """FieldsError where one of the options is less than 1, or `seconds` not a length of time."""
    for name in names:
        given = getattr(options, name)
        if given < 1:
            raise FieldsError(f"{flag(name)} must be at least 1, got {given}")
    if not 0 < options.seconds < float("inf"):
        raise FieldsError(f"--seconds must be more than 0 and finite, got {options.seconds:g}")
