"""`fields bench models`: every model of the catalogue on the same pictures, at one size.

Each is as large as a number of parameters lets it be and is trained as `fields fit` trains it by
default. Scores are taken after the same number of steps and after the same seconds of training, of
fits that were told to end there. FreSh chooses the frequency of a model that has one, once for a
picture; its seconds stand beside those of the training.

On two quiet cores it takes about twenty minutes, with --quick about one.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from fields.bench.options import check_amounts, check_numbers
from fields.catalogue import MODELS
from fields.errors import FieldsError
from fields.pictures.naming import shown

SAMPLES = ("astronaut", "coffee", "cat", "rocket", "camera")
OUT = Path("runs", "bench-models")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", metavar="DIR", help="pictures to fit; by default bundled samples")
    add("--json", action="store_true", help="print one JSON object")
    add("--models", nargs="+", choices=tuple(MODELS), default=list(MODELS), help="by default all")
    add("--pictures", type=int, default=3, metavar="N", help="so many of them (3)")
    add("--side", type=int, default=256, metavar="N", help="to which pictures are reduced (256)")
    add(
        "--parameters", type=int, metavar="N",
        help="the most of a model; by default one for each pixel",
    )  # fmt: skip
    add("--steps", type=int, default=500, metavar="N", help="of the fits at equal steps (500)")
    add("--seconds", type=float, default=10.0, metavar="S", help="of the longest timed fit (10)")
    add("--seeds", type=int, default=3, metavar="N", help="of each (3)")
    add("--quick", action="store_true", help="two pictures, one seed, 100 steps, one second")
    add("--threads", type=int, metavar="N", help="by default what may be used")
    add("--out", type=Path, default=OUT, metavar="DIR", help=f"where results are written ({OUT})")


def run(options: argparse.Namespace) -> None:
    check_numbers(options, "pictures", "side", "steps", "seeds")
    check_amounts(options, "seconds")
    if options.quick:
        options.pictures, options.seeds = min(options.pictures, 2), 1
        options.steps, options.seconds = min(options.steps, 100), min(options.seconds, 1.0)
    from fields import device
    from fields.bench import fits, machine, model_fits, models_shown, report
    from fields.pictures.replacing import replacing

    pictures = fits.squares(options.data, SAMPLES, options.pictures, options.side)
    configs = {picture: sized(picture, options) for picture in pictures}
    make_folder(options.out)
    with device.threads(options.threads) as threads:
        about = machine.describe(threads)
        options.threads = threads
        fitted = list(model_fits.measure(configs, options))
    rows = [row for one in fitted for row in one.rows()]
    rows += model_fits.means(rows)
    result = {"machine": about, "commit": machine.commit(), "rows": rows}
    # The figures first: whatever befalls the pictures, they are not measured twice.
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        models_shown.table(result, report.console())
        sys.stdout.flush()
    with replacing(options.out / "models.json") as file:
        file.write(json.dumps(result, indent=1).encode() + b"\n")
    with replacing(options.out / "table.txt") as file:
        file.write(models_shown.text(result).encode())
    models_shown.curves(options.out / "seconds.png", rows)
    models_shown.crops(options.out / "crops.png", fitted)
    if not options.json:
        print(f"table, figures, curves and crops: {options.out.absolute()}")


def make_folder(path: Path) -> None:
    """FieldsError, before anything is measured, where files cannot be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise FieldsError(f"{shown(path)} is no folder; name another --out") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise FieldsError(f"{shown(path)} cannot be written to; name another --out")


def sized(picture: Any, options: argparse.Namespace) -> dict[str, Any]:
    """By model the largest configuration of so many parameters."""
    from fields import catalogue
    from fields.configs import TooSmall

    most = options.parameters
    if most is None:
        most = picture.width * picture.height
    configs = {}
    for model in dict.fromkeys(options.models):
        try:
            configs[model] = catalogue.find(model).config.for_signal(
                picture.channels, (picture.width, picture.height), max_parameters=most
            )
        except TooSmall as error:
            raise FieldsError(
                f"--parameters {most:,} is too few for {model}: the least is {error.least:,}"
            ) from None
    return configs
