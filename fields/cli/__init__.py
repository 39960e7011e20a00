"""The command `fields`. Nothing heavy is imported before the arguments are known to be right."""

import importlib
import io
import os
import sys
import time
from collections.abc import Sequence

_STARTED = time.perf_counter()

VERBS = {
    "fit": "store a picture, a shape, a volume or a scene in a field",
    "fit-many": "store each shape of a folder in a small field, as a data set",
    "render": "draw a fitted field, at any size",
    "mesh": "turn a fitted shape or scene into a mesh",
    "eval": "score a fitted field against its source",
    "view": "show a field in the browser, live, or fit one in view",
    "info": "what a run holds",
    "models": "the models that can be fitted",
    "scene": "make a scene of a mesh, drawn from many sides",
    "spectrum": "how FreSh chooses a frequency for a picture, drawn",
    "doctor": "what is active on this machine, and why not more",
    "bench": "measure the kernels, or the fit of pictures",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with its arguments; returns the exit status.

    0: done. 1: a mistake of ours, or a closed output. 2: one line on stderr says what is wrong and
    what would be right. 128 + n: stopped by Unix signal n (130: Ctrl-C).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a locale that lacks a letter
    # Threads that spin while they wait cost a fit three quarters of its speed beside another busy
    # process (measured). Read once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # NumPy's products are small here: its threads would spin beside ours (a scene took 1.6 times as
    # long to make). Read once, when numpy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from fields.cli import failures

    arguments = list(sys.argv[1:] if argv is None else argv)
    return failures.status_of(lambda: _dispatch(arguments))


def _dispatch(arguments: list[str]) -> None:
    from fields import __version__
    from fields.catalogue import suggestion
    from fields.errors import FieldsError

    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
    elif arguments[0] == "--version":
        print(f"fields {__version__}")
    elif arguments[0] not in VERBS:
        raise FieldsError(f"there is no command {arguments[0]!r}{suggestion(arguments[0], VERBS)}")
    else:
        module = f"fields.cli.{arguments[0].replace('-', '_')}"
        importlib.import_module(module).main(arguments[1:], _STARTED)


def _overview() -> str:
    lines = [f"  {verb:9} {summary}" for verb, summary in VERBS.items()]
    return "\n".join(
        [
            "usage: fields COMMAND ...",
            "",
            "A picture, or another signal, stored in a neural network and drawn back from it.",
            "",
            *lines,
            "",
            "fields COMMAND --help says more. To begin: fields fit astronaut",
        ]
    )
