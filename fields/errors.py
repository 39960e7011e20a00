"""The exceptions that `fields` raises on purpose."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class _OneLine(BaseException):
    """An exception whose message is all that a notebook shows: no traceback above it."""

    def _render_traceback_(self) -> list[str]:  # the hook of IPython
        return [f"{type(self).__name__}: {self}"]


class FieldsError(_OneLine, ValueError):
    """Something that the user can put right; its message is one line that says what and how."""


class SettingError(FieldsError):
    """A setting of a model is of no use.

    Attributes:
        names: of the settings that the message speaks of, as Python has them.
    """

    def __init__(self, message: str, *names: str):
        super().__init__(message)
        self.names = names

    def with_flags(self) -> str:
        """The message with the settings named as on the command line: --num-levels."""
        text = str(self)
        for name in self.names:
            text = re.sub(rf"\b{name}\b", flag(name), text, count=1)
        return text


class NoSurface(FieldsError):
    """A field has no surface at the level that was asked for, or none that is worth a mesh.

    Attributes:
        low, high: its least and largest value where it was asked; None where that says nothing.
    """

    def __init__(self, message: str, low: float | None = None, high: float | None = None):
        super().__init__(message)
        self.low, self.high = low, high


class MissingLibrary(FieldsError):
    """What was asked for needs a library that is not installed, or does not load."""


class Cancelled(_OneLine, RuntimeError):
    """The caller's cancel flag stopped a long computation; nothing was changed."""


class Interrupted(_OneLine, KeyboardInterrupt):
    """A fit was stopped from outside; what it had reached is kept where the message says.

    Attributes:
        number: of the Unix signal.
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number


def flag(name: str) -> str:
    """The option of the command line for a name of Python."""
    return "--" + name.replace("_", "-")


def either(choices: Iterable[object]) -> str:
    """What may be chosen, in words: `a, b or c`."""
    *rest, last = map(str, choices)
    return f"{', '.join(rest)} or {last}" if rest else last


@contextmanager
def cancelling() -> Iterator[None]:
    """Where an op that a flag has ended raises Cancelled."""
    try:
        yield
    except RuntimeError as error:
        if "cancelled" in str(error):
            raise Cancelled("cancelled") from None
        raise
