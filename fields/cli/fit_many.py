"""`fields fit-many DIR`: a data set of shapes to a data set of fields."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fields.cli.parser import Parser, whole
from fields.configs import settings
from fields.many.listing import list_scenes, list_shapes
from fields.many.options import ManyOptions

if TYPE_CHECKING:
    from fields.many.reading import FieldSet


def main(arguments: Sequence[str], started: float) -> None:
    parsed = _parser().parse(arguments)
    values = vars(parsed)
    given = {k.partition(":")[2]: values[k] for k in values if k.startswith("option:")}
    # Before a second goes into importing torch.
    options = ManyOptions(**given)
    listing = (list_scenes if options.is_radiance else list_shapes)(parsed.source)
    from fields.cli.fit import progress
    from fields.many.making import carry_out, place_of

    fields = carry_out(
        listing,
        options,
        place_of(parsed.source, parsed.out),
        threads=parsed.threads,
        ray=parsed.ray,
        resume=parsed.resume,
        overwrite=parsed.overwrite,
        progress=progress(),
        started=started,
    )
    print(json.dumps(fields.metrics) if parsed.json else summary(fields), flush=True)


def _parser() -> Parser:
    parser = Parser(
        "fit-many",
        "Fit a small tri-plane field to each shape of a data set; write them as shards with an"
        " index.",
    )
    add = parser.add_argument
    add(
        "source", metavar="DIR",
        help="a folder of meshes, with a subfolder for each class or with a CSV (path, class or"
        " label, split), or the CSV; of scenes for --stores radiance",
    )  # fmt: skip
    add("-o", "--out", metavar="DIR", help="the folder of the set (runs/NAME-fields)")
    add("--threads", type=whole, metavar="N", help="of the CPU (all that may be used)")
    add(
        "--ray", metavar="ADDRESS",
        help="let a Ray cluster do the work: HOST:PORT of its head, auto, or local: one made here",
    )  # fmt: skip
    add(
        "--resume", action="store_true",
        help="go on with the set in --out; nothing is done twice, what failed is tried again",
    )  # fmt: skip
    add("--overwrite", action="store_true", help="replace the set in --out")
    add("--json", action="store_true", help="print the metrics as one JSON object")
    group = parser.add_argument_group("options of the fields")
    for item in settings(ManyOptions):
        if item.flag:
            parser.add_setting(group, item)
    return parser


def summary(fields: "FieldSet") -> str:
    """What came of it, in a line or two."""
    from fields.pictures.naming import shown
    from fields.progress import duration

    m = fields.metrics
    scores = [f"{name} {m[key]:.4f}" for name, key in (("IoU", "iou"), ("F", "f_score"))
              if m[key] is not None]  # fmt: skip
    scores += [f"{m['psnr']:.2f} dB"] if m["psnr"] is not None else []
    failed = f"; {m['failed']:,} could not be fitted: failed.jsonl" if m["failed"] else ""
    return (
        f"{m['fields']:,} of {m['shapes']:,} shapes in {duration(m['seconds'])}, in the mean"
        f" {', '.join(scores)}{failed}\n"
        f"{shown(fields.path)}: index.jsonl, shards of {m['bytes'] / 1e6:,.1f} MB;"
        f" {duration(m['wall_seconds'])} in all"
    )
