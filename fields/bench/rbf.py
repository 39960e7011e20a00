"""`fields bench rbf`: what decodes a grid's features best, and at what cost.

Behind the same grid, with the same seeds and samples, stand a linear layer, MLPs of one to three
hidden layers, and 64 Gaussian kernels, whose centres are flat or spread before training, with and
without an affine part. All have biases. Each gets the learning rate that is best for it: rates are
swept with the first seed on all pictures, at equal steps. Scores are taken at equal steps and at
equal seconds, both with that rate.

On two quiet cores it takes about twenty minutes, with --quick about one.
"""

import argparse
import json
import sys
from pathlib import Path

from fields.bench.options import check_amounts, check_numbers, check_plot
from fields.errors import FieldsError

SAMPLES = ("astronaut", "coffee", "cat", "rocket", "camera")
PLOT = Path("runs", "bench-rbf.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", metavar="DIR", help="pictures to fit; by default bundled samples")
    add("--json", action="store_true", help="print one JSON object")
    add("--pictures", type=int, default=4, metavar="N", help="so many of them (4)")
    add("--side", type=int, default=256, metavar="N", help="to which pictures are reduced (256)")
    add(
        "--log2-table-size", type=int, default=13, metavar="N",
        help="log2 of the largest rows of a level of the grid (13)",
    )  # fmt: skip
    add("--steps", type=int, default=1000, metavar="N", help="of the fits at equal steps (1000)")
    add("--seconds", type=float, default=3.0, metavar="S", help="of those at equal seconds (3)")
    add("--batch", type=int, default=8192, metavar="N", help="samples of a step (8192)")
    add("--seeds", type=int, default=3, metavar="N", help="of each (3)")
    add(
        "--rates", nargs="+", type=float, default=[3e-3, 1e-2, 3e-2, 0.1], metavar="X",
        help="learning rates to choose from (0.003 0.01 0.03 0.1)",
    )  # fmt: skip
    add("--quick", action="store_true", help="one picture, one seed, two rates, short fits")
    add("--threads", type=int, metavar="N", help="by default what may be used")
    add("--plot", type=Path, default=PLOT, metavar="FILE", help=f"PSNR by rate and cost ({PLOT})")


def run(options: argparse.Namespace) -> None:
    check_numbers(options, "pictures", "side", "steps", "batch", "seeds")
    check_amounts(options, "seconds")
    if not all(0 < rate <= 10 for rate in options.rates):
        raise FieldsError("--rates must be more than 0 and at most 10")
    if options.quick:
        options.pictures, options.seeds, options.rates = 1, 1, options.rates[1:3] or options.rates
        options.steps, options.seconds = min(options.steps, 100), min(options.seconds, 0.5)
    from fields import device
    from fields.bench import decoders, fits, machine, rbf_shown

    pictures = fits.squares(options.data, SAMPLES, options.pictures, options.side)
    for picture in pictures:  # refuses a grid that cannot be, before anything is measured
        decoders.configs(picture, options.log2_table_size)
    check_plot(options.plot, PLOT)
    with device.threads(options.threads) as threads:
        about = machine.describe(threads)
        options.threads = threads
        rows = decoders.measure(pictures, options)
    result = {"machine": about, "commit": machine.commit(), "rows": rows}
    # The figures first: whatever befalls the plot, they are not measured twice.
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        rbf_shown.table(result)
        sys.stdout.flush()
    rbf_shown.save(options.plot, rows)
    if not options.json:
        print(f"PSNR by rate and cost: {options.plot.absolute()}")
