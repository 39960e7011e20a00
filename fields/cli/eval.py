"""`fields eval RUN [SOURCE]`: score a fitted field against its source."""

import json
import time
from collections.abc import Sequence

from fields.cli.notes import say_fallback, scored
from fields.cli.parser import Parser

# The clocks of metrics.json, named so that they are told from that of the evaluation.
_OF_FIT = {name: f"fit_{name}" for name in ("seconds", "wall_seconds", "check_seconds")}


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("eval", "Score a fitted field against its source.")
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, or a field.safetensors")
    add("source", metavar="SOURCE", nargs="?", help="what to compare with (what was fitted)")
    add("--json", action="store_true", help="print the scores as one JSON object")
    parsed = parser.parse(arguments)
    from fields.device import threads
    from fields.runs import load

    run = load(parsed.run)
    say_fallback(run)
    source = run.source(parsed.source)
    with threads():
        scores = run.scores(source)
    fitted = {_OF_FIT.get(name, name): value for name, value in run.figures().items()}
    figures = fitted | scores | {"eval_seconds": round(time.perf_counter() - started, 4)}
    print(json.dumps(figures) if parsed.json else scored(scores))
