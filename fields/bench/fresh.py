"""`fields bench fresh`: does the frequency that FreSh chooses fit best, and what does it cost?

Small pictures are fitted with every candidate, at a constant rate as published; large ones as a
user fits them, with FreSh and with the usual frequency. On two quiet cores that is half an hour,
with --quick a quarter of a minute.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from fields.bench.options import check_numbers, check_plot

SAMPLES = ("astronaut", "coffee", "page", "retina", "brick", "shepp_logan_phantom")
MODELS = ("siren", "finer", "fourier")
PLOT = Path("runs", "bench-fresh.png")
LARGE_SIDE, LARGE_PICTURES = 512, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--data", nargs="+", metavar="PATH",
        help="pictures, or folders of them; by default bundled samples",
    )  # fmt: skip
    add("--json", action="store_true", help="print one JSON object")
    add("--models", nargs="+", choices=MODELS, default=list(MODELS), help="by default all three")
    add("--width", type=int, default=64, metavar="N", help="of the small fits (64)")
    add("--steps", type=int, default=400, metavar="N", help="of the small fits (400)")
    add(
        "--batch", type=int, default=1 << 14, metavar="N",
        help=f"of the small fits ({1 << 14}: as many samples as there are pixels)",
    )  # fmt: skip
    add("--every", type=int, default=1, metavar="N", help="only each N-th candidate (1)")
    add("--seed", type=int, default=0, metavar="N", help="of weights and batches (0)")
    add("--large-width", type=int, default=256, metavar="N", help="of the large fits (256)")
    add(
        "--large", type=int, default=LARGE_PICTURES, metavar="N",
        help=f"so many pictures of {LARGE_SIDE} pixels a side are fitted whole ({LARGE_PICTURES})",
    )  # fmt: skip
    add("--quick", action="store_true", help="two pictures, every fourth candidate, 50 small steps")
    add("--threads", type=int, metavar="N", help="by default what may be used")
    add(
        "--plot", type=Path, default=PLOT, metavar="FILE",
        help=f"PSNR and distance by frequency ({PLOT})",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    check_numbers(options, "width", "steps", "batch", "every", "large_width")
    check_numbers(options, "seed", "large", least=0)
    if options.quick:
        options.steps, options.batch = min(options.steps, 50), min(options.batch, 1 << 12)
        options.every, options.large = max(options.every, 4), 0
    from fields import device
    from fields.bench import fresh_shown, machine, sweep

    sources = find_sources(options.data)
    if options.quick:
        sources = dict(list(sources.items())[:2])
    check_plot(options.plot, PLOT)
    sweeps = []
    with device.threads(options.threads) as threads:
        about = machine.describe(threads)
        known = sweep.known_frequencies()
        small = {name: sweep.picture_of(source) for name, source in sources.items()}
        for name, picture in small.items():
            for model in options.models:
                say(f"sweeping: {name}, {model}")
                sweeps.append(
                    sweep.sweep(
                        picture,
                        model,
                        width=options.width,
                        batch=options.batch,
                        seed=options.seed,
                        count=options.steps,
                        every=options.every,
                    )
                )
    rows = [one.row() for one in sweeps]
    rows += means(rows) + known + whole_fits(sources, options)
    result = {"machine": about, "commit": machine.commit(), "rows": rows}
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        fresh_shown.table(result)
        sys.stdout.flush()
    fresh_shown.save(options.plot, sweeps, small)
    if not options.json:
        print(f"PSNR by frequency: {options.plot.absolute()}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def find_sources(paths: list[str] | None) -> dict[str, str]:
    """Pictures by name; FieldsError where a path is none."""
    from fields.bench.image import find_pictures
    from fields.pictures import find_source, probe

    if paths is None:
        return {name: name for name in SAMPLES}
    found: dict[str, str] = {}
    for path in paths:
        if Path(path).is_dir():
            found |= find_pictures(path)
        else:
            probe(find_source(path))
            name = Path(path).name
            found[name if name not in found else path] = path
    return found


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each model what its choice lost to the best of the sweep and won over the usual one."""
    result = []
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        lost = [row["psnr_best"] - row["psnr_chosen"] for row in mine]
        won = [row["psnr_chosen"] - row["psnr_usual"] for row in mine]
        ranks = [r for row in mine if (r := row["rank_correlation"]) is not None]
        result.append(
            {
                "work": f"mean of {len(mine)} pictures {model}",
                "engine": "fields",
                "mean_of": model,
                "lost_to_best": statistics.mean(lost),
                "lost_to_best_most": max(lost),
                "won_over_usual": statistics.mean(won),
                "rank_correlation": statistics.mean(ranks) if ranks else None,
            }
        )
    return result


def whole_fits(sources: dict[str, str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Large pictures, each fitted by a command of its own as long as a fit lasts by default, with
    FreSh and with the usual frequency."""
    from fields import catalogue
    from fields.bench.image import fitter
    from fields.pictures import find_source, probe

    def is_large(source: str) -> bool:
        size = probe(find_source(source))
        return min(size.width, size.height) >= LARGE_SIDE

    large = [name for name, source in sources.items() if is_large(source)][: options.large]
    rows = []
    common = argparse.Namespace(size_kb=None, precision=None, threads=options.threads)
    with tempfile.TemporaryDirectory() as folder:
        fit = fitter(Path(folder, "run"), common)
        for name in large:
            for model in options.models:
                say(f"fitting: {name}, {model}")
                config = catalogue.find(model).config.for_signal(3, (LARGE_SIDE, LARGE_SIDE))
                setting = config.frequency
                assert setting is not None
                flags = {"model": model, "width": options.large_width, "seed": options.seed}
                usual = fit(sources[name], **flags, **{setting: getattr(config, setting)})
                chosen = fit(sources[name], **flags)
                fresh = chosen["fresh"]
                rows.append(
                    {
                        "work": f"{name} whole {model}",
                        "engine": "fields",
                        "whole": name,
                        "model": model,
                        "setting": setting,
                        "chosen": fresh["chosen"],
                        "usual": fresh["usual"],
                        "psnr_chosen": chosen["psnr"],
                        "psnr_usual": usual["psnr"],
                        "seconds": chosen["seconds"],
                        "steps": chosen["steps"],
                        "search_seconds": fresh["seconds"],
                        "search_share": fresh["seconds"] / chosen["seconds"],
                    }
                )
    return rows
