"""`fields bench image`: seconds to a score, and the score after so many seconds.

Every figure is of a whole `fields fit`, in a process of its own, as a user starts it: the training
clock with the checks of the target, and the score of the saved field, read back, on every pixel.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fields.bench.options import check_amounts, check_numbers, check_plot
from fields.bench.timing import spread
from fields.errors import FieldsError

SAMPLES = ("astronaut", "coffee", "cat", "rocket", "camera")
PLOT = Path("runs", "bench-image.png")
LEAST_BUDGET = 0.15  # seconds; the plot begins about there


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", metavar="DIR", help="pictures to fit; by default bundled samples"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--targets",
        nargs="*",
        type=float,
        default=[30.0, 35.0, 40.0],
        metavar="DB",
        help="scores to reach (30 35 40)",
    )
    parser.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="the longest fit (10)"
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="for each target (3)")
    parser.add_argument(
        "--size-kb", type=float, metavar="K", help="the largest model; by default as fit chooses"
    )
    parser.add_argument(
        "--precision", choices=("float32", "bf16"), help="by default that of the model"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="by default what may be used")
    parser.add_argument(
        "--plot", type=Path, default=PLOT, metavar="FILE", help=f"PSNR against seconds ({PLOT})"
    )


def run(options: argparse.Namespace) -> None:
    check_numbers(options, "seeds")
    check_amounts(options, "seconds", "size_kb", "targets")
    from fields import device
    from fields.bench import machine, plot, report

    pictures = find_pictures(options.folder)
    check_plot(options.plot, PLOT)
    with device.threads(options.threads) as threads:
        about = machine.describe(threads)
    fitted: list[Fitted] = []
    with tempfile.TemporaryDirectory() as folder:
        fit = fitter(Path(folder, "run"), options)
        for name, source in pictures.items():
            print(f"fitting: {name}", file=sys.stderr, flush=True)
            fitted.append(measure(name, source, fit, options))
    rows = [row for one in fitted for row in one.rows()]
    if len(fitted) > 1:
        rows += means(rows, len(fitted))
    result = {"machine": about, "commit": machine.commit(), "rows": rows}
    # The figures first: whatever befalls the plot, they are not measured twice.
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        report.image(result)
        sys.stdout.flush()
    plot.save(options.plot, rows)
    if not options.json:
        print(f"PSNR against seconds: {options.plot.absolute()}")


def find_pictures(folder: str | None) -> dict[str, str]:
    """The pictures of a folder by name, or the samples; FieldsError where there are none."""
    from fields.pictures import probe

    if folder is None:
        return {name: name for name in SAMPLES}
    if not Path(folder).is_dir():
        raise FieldsError(f"there is no folder {folder}; name one that holds pictures")
    found = {}
    for path in sorted(Path(folder).iterdir()):
        if path.is_file() and not path.name.startswith("."):
            try:
                probe(path)
                found[path.name] = str(path)
            except FieldsError as error:
                print(f"left out: {error}", file=sys.stderr)
    if not found:
        raise FieldsError(f"{folder} holds no picture that can be read")
    return found


Fit = Callable[..., dict[str, Any]]


def fitter(out: Path, options: argparse.Namespace) -> Fit:
    """Runs `fields fit` into `out`; takes a source and flags, returns the metrics."""
    common = {name: getattr(options, name) for name in ("size_kb", "precision", "threads")}

    def fit(source: str, **flags: Any) -> dict[str, Any]:
        command = [sys.executable, "-m", "fields", "fit", source, "--json"]
        for name, value in {"out": out, **common, **flags}.items():
            if value is not None:
                command += [f"--{name.replace('_', '-')}", str(value)]
        child = subprocess.run([*command, "--overwrite"], capture_output=True, text=True)
        if child.returncode:
            lines = child.stderr.strip().splitlines() or [f"status {child.returncode}"]
            raise FieldsError(f"the fit of {source} failed: {lines[-1].removeprefix('fields: ')}")
        return json.loads(child.stdout)

    return fit


@dataclass
class Fitted:
    """The metrics of all fits of one picture.

    Attributes:
        to_target: by target, those of each seed.
        after: by budget in seconds, those of one fit that was told to take so long.
        limit: seconds after which a fit towards a target was given up.
    """

    name: str
    to_target: dict[float, list[dict[str, Any]]]
    after: dict[float, dict[str, Any]]
    limit: float

    def rows(self) -> list[dict[str, Any]]:
        rows = []
        for target, fits in self.to_target.items():
            reached = [fit["ended_by"] == "target" for fit in fits]
            row = self._row(f"to {target:g} dB", fits[0])
            row |= {"target": target, "fits": len(fits), "reached": sum(reached)}
            row["limit"] = self.limit
            seconds = [
                fit["seconds"] if done else self.limit
                for fit, done in zip(fits, reached, strict=True)
            ]
            if 2 * sum(reached) > len(fits):  # else the median is one that was given up
                row |= spread(seconds).figures("seconds")
                row["wall_seconds"] = statistics.median(fit["wall_seconds"] for fit in fits)
            rows.append(row)
        for budget, fit in self.after.items():
            row = self._row(f"after {budget:g} s", fit)
            rows.append(row | {"budget": budget, "psnr": fit["psnr"], "steps": fit["steps"]})
        return rows

    def _row(self, work: str, fit: dict[str, Any]) -> dict[str, Any]:
        return {
            "work": f"{self.name} {work}",
            "engine": "fields",
            "picture": self.name,
            "parameters": fit["parameters"],
        }


def measure(name: str, source: str, fit: Fit, options: argparse.Namespace) -> Fitted:
    """All fits of one picture."""
    to_target = {
        target: [
            fit(source, target=target, seconds=options.seconds, seed=seed)
            for seed in range(options.seeds)
        ]
        for target in options.targets
    }
    budgets = [options.seconds]
    while budgets[0] / 2 >= LEAST_BUDGET:
        budgets.insert(0, budgets[0] / 2)
    after = {budget: fit(source, seconds=budget, seed=0) for budget in budgets}
    return Fitted(name, to_target, after, options.seconds)


def means(rows: list[dict[str, Any]], pictures: int) -> list[dict[str, Any]]:
    """A row for each target that every picture reached and for each budget: means over pictures."""
    result = []
    for key, figure in (("target", "seconds"), ("budget", "psnr")):
        for value in dict.fromkeys(row[key] for row in rows if key in row):
            found = [row[figure] for row in rows if row.get(key) == value and figure in row]
            if len(found) == pictures:
                work = f"to {value:g} dB" if key == "target" else f"after {value:g} s"
                result.append(
                    {
                        "work": f"mean of {pictures} pictures {work}",
                        "engine": "fields",
                        "picture": "mean of all",
                        key: value,
                        figure: statistics.mean(found),
                    }
                )
    return result
