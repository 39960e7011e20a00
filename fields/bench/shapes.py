"""`fields bench shapes`: every mesh of a folder with every model, scored after some lengths of fit.

Each length is a fit of its own that was told to end there, acceleration structure and sampling
included in its seconds. Scores are those of fields/shapes/scores.py, on the original mesh.

Five meshes, two models and 5, 15 and 60 s take about 25 minutes, with --quick about one.
"""

import argparse
import json
import sys
from pathlib import Path

from fields.bench.options import check_amounts, check_numbers
from fields.catalogue import MODELS
from fields.errors import FieldsError, flag

OUT = Path("runs", "bench-shapes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data", metavar="DIR", nargs="+", help="folders of meshes, or meshes")
    add("--json", action="store_true", help="print one JSON object")
    add(
        "--models", nargs="+", choices=tuple(MODELS), default=["hashgrid", "rbf"],
        help="by default hashgrid and rbf",
    )  # fmt: skip
    add(
        "--seconds", nargs="+", type=float, metavar="S", help="lengths of the fits (5 15 60)",
    )  # fmt: skip
    add("--seeds", type=int, metavar="N", help="of each (1)")
    add("--quick", action="store_true", help="the first mesh, one second, one seed")
    add("--threads", type=int, metavar="N", help="by default what may be used")
    add("--out", type=Path, default=OUT, metavar="DIR", help=f"where results are written ({OUT})")


def run(options: argparse.Namespace) -> None:
    check_numbers(options, "seeds")
    check_amounts(options, "seconds")
    for name in ("seconds", "seeds"):
        if options.quick and getattr(options, name) is not None:
            raise FieldsError(f"{flag(name)} does not go with --quick, which has its own")
    meshes = find_meshes(options.data)
    if options.quick:
        meshes, options.seconds = meshes[:1], [1.0]
    options.seconds, options.seeds = options.seconds or [5.0, 15.0, 60.0], options.seeds or 1
    from fields import device
    from fields.bench import machine, report, shape_fits, shapes_shown
    from fields.bench.models import make_folder
    from fields.pictures.replacing import replacing
    from fields.shapes import read_shape

    with device.threads(options.threads) as threads:
        shapes = [(path, read_shape(path)) for path in meshes]
        make_folder(options.out)
        about = machine.describe(threads)
        options.threads = threads
        fitted = list(shape_fits.measure(shapes, options))
    result = {"machine": about, "commit": machine.commit(), "rows": shape_fits.rows(fitted)}
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        shapes_shown.table(result, report.console())
        sys.stdout.flush()
    with replacing(options.out / "shapes.json") as file:
        file.write(json.dumps(result, indent=1).encode() + b"\n")
    shapes_shown.curves(options.out / "seconds.png", result["rows"])
    shapes_shown.contact_sheet(options.out / "renders.png", fitted)
    if not options.json:
        print(f"figures, curves and renders: {options.out.absolute()}")


def find_meshes(paths: list[str]) -> list[Path]:
    """The closed and open meshes that are named or lie in folders; FieldsError for none."""
    from fields.pictures.naming import shown
    from fields.shapes import find_kind

    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += [p for p in sorted(path.iterdir()) if p.is_file() and find_kind(p) == "mesh"]
        elif find_kind(path) == "mesh":
            found.append(path)
        else:
            raise FieldsError(f"{shown(path)} is no mesh and no folder of meshes")
    if not found:
        raise FieldsError(f"{shown(Path(paths[0]))} holds no mesh")
    return found
