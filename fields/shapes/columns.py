"""Reads lines of numbers; where one is wrong, says which and why."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from fields.errors import either
from fields.pictures.naming import plain
from fields.shapes.shape import Broken


def read(
    lines: Callable[[], Iterable[str]],
    allowed: Sequence[int],
    *,
    first: int = 1,
    most: int | None = None,
) -> np.ndarray:
    """Lines of numbers as an array [N, C] float64; what follows a # is a comment.

    Args:
        lines: gives them, from the first one on; called again where one is wrong.
        allowed: numbers on a line, which are as many on all: C is one of these.
        first: the number of the first line in its file.
        most: lines with numbers that are read; what comes behind them is not looked at.

    Raises Broken, with the number of the first line that is wrong.
    """
    try:
        array = np.loadtxt(lines(), np.float64, ndmin=2, max_rows=most)
    except ValueError:
        array = None
    if array is None or (array.size and array.shape[1] not in allowed):
        raise Broken(_wrong(lines(), allowed, first))
    return array


def _wrong(lines: Iterable[str], allowed: Sequence[int], first: int) -> str:
    """What is wrong with the first line that holds no point, or not one as those before it."""
    for number, line in enumerate(lines, first):
        words = line.partition("#")[0].split()
        strange = next((word for word in words if not _is_number(word)), None)
        if strange is not None:
            return f"must hold numbers alone, but line {number} holds '{plain(strange[:40])}'"
        if words and len(words) not in allowed:
            return (
                f"must hold {either(allowed)} numbers on each line, but line {number} holds"
                f" {len(words)}"
            )
        allowed = [len(words)] if words else allowed
    return f"must hold {either(allowed)} numbers on each line"


def _is_number(word: str) -> bool:
    """As NumPy has it, whose numbers have no underscores."""
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word
