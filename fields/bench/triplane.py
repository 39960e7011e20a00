"""`fields bench triplane DIR`: a set of shapes is fitted, read by networks, and scored.

For each kind of field that is asked for: all shapes and their copies are fitted, each reader is
trained on each fold by each seed, and what it says of the test shapes is set beside what nine
numbers of the mesh say. All that ends is kept: `--resume` does nothing twice.

Of a kind of field, 380 shapes with 4 copies, five folds and three seeds take about an hour on two
cores, most of it for readers that are trained by steps.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from fields.bench.options import check_amounts, check_numbers
from fields.errors import FieldsError, flag

OUT, DEMO = Path("runs", "bench-triplane"), Path("runs", "bench-triplane-demo")
STORES, INITS = ("sdf", "udf", "occupancy", "radiance"), ("individual", "shared")
# What is asked for, where nothing else is: in earnest, for a look, and of the made-up set.
_USUAL = {"copies": 8, "steps": 1000, "seeds": 3, "effort": 1.0}
_QUICK = {"copies": 1, "steps": 200, "seeds": 1, "effort": 0.1}
_DEMO = {"copies": 2, "steps": 400, "seeds": 1, "effort": 0.5}
_DEMO_READERS = ["transformer", "energy", "kernel-energy", "flat", "measures", "points", "numbers"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "data", metavar="DIR", nargs="?",
        help="labelled shapes, or scenes, as fields fit-many takes them",
    )  # fmt: skip
    add("--demo", action="store_true", help="on a small set that is made for it, in place of DIR")
    add("--quick", action="store_true", help="short fits and trainings: whether all runs")
    add(
        "--stores", nargs="+", choices=STORES, default=["sdf"], metavar="WORD",
        help="fields of signed or unsigned distance or occupancy, or radiance of scenes (sdf)",
    )  # fmt: skip
    add(
        "--init", nargs="+", choices=INITS, default=["individual"], metavar="WORD",
        help="how they begin: each alone, or alike (individual)",
    )  # fmt: skip
    add("--copies", type=int, metavar="N", help="fields of a training shape, axes scaled (8)")
    add("--steps", type=int, metavar="N", help="of each fit (1000)")
    add(
        "--folds", type=int, metavar="N",
        help="in which each shape is tested once; by default the split that the list says, or 5",
    )  # fmt: skip
    add("--seeds", type=int, metavar="N", help="of each reader on each fold (3)")
    add(
        "--readers", nargs="+", metavar="NAME",
        help="by default all but the published sizes; of the demo, some",
    )  # fmt: skip
    add("--effort", type=float, metavar="X", help="times the usual steps of readers (1)")
    add("--no-parts", action="store_true", help="leave the labels of faces alone")
    add("--no-again", action="store_true", help="do not fit shapes once more by another seed")
    add("--threads", type=int, metavar="N", help="processes of one thread (all that may be used)")
    add("--out", type=Path, metavar="DIR", help=f"where all of it is kept ({OUT})")
    add("--resume", action="store_true", help="go on with what --out holds; nothing is done twice")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(make_demo=None)


def run(options: argparse.Namespace) -> None:
    _resolve(options)
    listing = None
    if not options.demo:
        listing = _listing(options)
    from fields import device
    from fields.bench import machine, report, triplane_shown, triplane_work
    from fields.pictures.replacing import replacing

    with device.threads(options.threads) as threads:
        options.threads = threads
        if listing is None:
            listing = _made(options)
        work = triplane_work.Work.begin(listing, options)
        about = machine.describe(threads)
        work.do()
        rows = work.rows()
        result = {"machine": about, "commit": machine.commit(), "rows": rows}
        if options.json:
            print(json.dumps(result), flush=True)
        else:
            triplane_shown.table(result, report.console())
            sys.stdout.flush()
        with replacing(options.out / "triplane.json") as file:
            file.write(json.dumps(result, indent=1).encode() + b"\n")
        triplane_shown.confusions(options.out / "confusion.png", work)
        triplane_shown.neighbours(options.out / "neighbours.png", work)
    if not options.json:
        print(f"figures and pictures: {options.out.absolute()}")


def _resolve(options: argparse.Namespace) -> None:
    """Fill in what is not given; FieldsError for what does not go together."""
    if options.demo == (options.data is not None):
        raise FieldsError("fields bench triplane needs DIR, or --demo in its place")
    check_numbers(options, "copies", "steps", "seeds")
    check_amounts(options, "effort")
    if options.folds is not None and options.folds < 2:
        raise FieldsError(f"--folds must be at least 2, got {options.folds}")
    asked_copies = options.copies
    usual = _QUICK if options.quick else _DEMO if options.demo else _USUAL
    for name, value in usual.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.demo:
        options.readers = options.readers or _DEMO_READERS
    options.out = options.out or (DEMO if options.demo else OUT)
    for name in ("stores", "init"):
        setattr(options, name, list(dict.fromkeys(getattr(options, name))))
    options.of_scenes = "radiance" in options.stores
    if options.of_scenes:
        _resolve_scenes(options, asked_copies)
    if options.out.exists() and not options.out.is_dir():
        raise FieldsError(f"{flag('out')} must name a folder; {options.out} is a file")


def _resolve_scenes(options: argparse.Namespace, copies: int | None) -> None:
    """Scenes have no mesh: no copies with other axes, no parts, no readers of meshes."""
    from fields.readers.catalogue import READERS, USUAL, find

    if len(options.stores) > 1 or options.demo:
        what = "--demo makes" if options.demo else "other fields are of"
        raise FieldsError(f"--stores radiance is of scenes, {what} meshes: ask for one at a time")
    if copies not in (None, 1):
        raise FieldsError(
            f"--copies must be 1 for scenes, whose views stay as they are, got {copies}"
        )
    for name in options.readers or ():
        if find(name).is_explicit:
            raise FieldsError(f"the reader {name!r} reads meshes, and scenes have none")
    options.copies, options.no_parts = 1, True
    options.readers = options.readers or [n for n in USUAL if not READERS[n].is_explicit]


def _listing(options: argparse.Namespace) -> Any:
    """The labelled shapes; FieldsError where they are too few, before anything is fitted."""
    from fields.many.listing import Listing, list_scenes, list_shapes
    from fields.readers.splitting import least_shapes

    found = list_scenes(options.data) if options.of_scenes else list_shapes(options.data)
    kept = tuple(item for item in found.items if item.kind is not None)
    counts = Counter(item.kind for item in kept)
    if len(counts) < 2:
        raise FieldsError(
            f"{options.data} has {len(counts)} classes; a benchmark of readers needs two or more:"
            " subfolders, or a column `class`"
        )
    splits = {item.split for item in kept} - {None}
    if options.folds is None and not {"train", "test"} <= splits:
        options.folds = 5 if not options.quick else 2
    if options.folds is not None:
        least = least_shapes(options.folds)
        kind, count = min(counts.items(), key=lambda pair: pair[1])
        if count < least:
            raise FieldsError(
                f"{options.folds} folds need {least} shapes of each class; {kind} has {count}"
            )
    return Listing(found.folder, kept)


def _made(options: argparse.Namespace) -> Any:
    """The shapes of the demo, which are made where they are not there yet."""
    folder = options.out / "shapes"
    if not folder.exists():
        assert options.make_demo is not None, "the command gives what makes the set"
        folder.parent.mkdir(parents=True, exist_ok=True)
        options.make_demo(folder)
    options.data = folder
    return _listing(options)
