"""`fields eval RUN [SOURCE]`: score a fitted field against its source."""

import json
import time
from collections.abc import Sequence

from fields.cli.notes import say_fallback
from fields.cli.parser import Parser


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("eval", "Score a fitted field against its source.")
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, or a field.safetensors")
    add("source", metavar="SOURCE", nargs="?", help="a picture (the one that was fitted)")
    add("--json", action="store_true", help="print the scores as one JSON object")
    parsed = parser.parse(arguments)
    from fields.device import threads
    from fields.runs import load
    from fields.signals.picture_score import score

    run = load(parsed.run)
    say_fallback(run)
    picture = run.source(parsed.source)
    with threads():
        scores = score(picture, run.render())
    figures = run.figures() | scores | {"wall_seconds": round(time.perf_counter() - started, 4)}
    if parsed.json:
        print(json.dumps(figures))
        return
    ssim = "" if scores["ssim"] is None else f", SSIM {scores['ssim']:.4f}"
    print(f"{scores['psnr']:.2f} dB{ssim}")
