"""What is worth a line on stderr beside a command's result."""

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fields.runs import Run


def say_fallback(run: "Run") -> None:
    """Say that a run is asked in other arithmetic than it was trained in, where it is so."""
    if run.fallback and sys.stderr is not None:  # print takes None for stdout
        with contextlib.suppress(OSError, ValueError):  # a closed stderr must not end a command
            print(f"computed in {run.fallback}", file=sys.stderr, flush=True)
