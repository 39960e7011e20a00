"""`fields eval RUN [SOURCE]`: score a fitted field against its source."""

import json
import time
from collections.abc import Sequence
from typing import Any

from fields.cli.notes import say_fallback, scored
from fields.cli.parser import Parser
from fields.errors import FieldsError, either

SPLITS = ("train", "val", "test")

# The clocks of metrics.json, named so that they are told from that of the evaluation.
_OF_FIT = {name: f"fit_{name}" for name in ("seconds", "wall_seconds", "check_seconds")}


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("eval", "Score a fitted field against its source.")
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, or a field.safetensors")
    add(
        "source",
        metavar="SOURCE",
        nargs="?",
        help="what to compare with (what was fitted); of a scene also the mesh of its surface",
    )
    add("--split", metavar="NAME", help=f"of a scene: {either(SPLITS)} (test)")
    add("--json", action="store_true", help="print the scores as one JSON object")
    parsed = parser.parse(arguments)
    if parsed.split not in (None, *SPLITS):
        raise FieldsError(f"--split must be {either(SPLITS)}, got {parsed.split!r}")
    from fields.device import threads
    from fields.runs import SceneRun, load
    from fields.shapes import find_kind, read_shape

    run = load(parsed.run)
    say_fallback(run)
    if parsed.split and not isinstance(run, SceneRun):
        raise FieldsError(f"--split is not for the {run.kind} that this run stores")
    with threads():
        if not isinstance(run, SceneRun):
            scores = run.scores(run.source(parsed.source))
        elif parsed.source and find_kind(parsed.source) == "mesh":
            if parsed.split:
                raise FieldsError(f"--split is of views; {parsed.source} is a mesh")
            scores = run.surface_scores(read_shape(parsed.source))
        else:
            scores = _of_scene(run, run.source(parsed.source), parsed.split or "test")
    fitted = {_OF_FIT.get(name, name): value for name, value in run.figures().items()}
    figures = fitted | scores | {"eval_seconds": round(time.perf_counter() - started, 4)}
    print(json.dumps(figures) if parsed.json else _line(scores))


def _of_scene(run: Any, scene: Any, split: str) -> dict[str, Any]:
    """The means of a split, and every view."""
    from fields.cli.render_scene import Told

    told = Told(len(scene.splits.get(split, ())))
    views: dict[str, Any] = {}

    def each(name: str, figures: dict[str, Any]) -> None:
        views[name if name not in views else f"{name} ({told.number + 1})"] = figures
        told.one()

    scores = run.scores(scene, split, each)
    told.close()
    return scores | {"per_view": views}


def _line(scores: dict[str, Any]) -> str:
    s = "s" if scores.get("views") != 1 else ""
    views = f"; {scores['views']} {scores['split']} view{s}" if "views" in scores else ""
    views += f", {scores['left_out']} more of which no pixel counts" if "left_out" in scores else ""
    return scored(scores) + views
