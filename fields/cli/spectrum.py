"""`fields spectrum SOURCE`: the spectra that FreSh compares, as a picture and a table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fields import catalogue
from fields.cli.fresh import add_flags, wanted
from fields.cli.parser import Parser, whole
from fields.configs import settings
from fields.errors import FieldsError
from fields.fresh.options import Fresh
from fields.request import Request

DEFAULT_MODEL = "siren"


def main(arguments: Sequence[str], started: float) -> None:
    first = Parser("spectrum", "")
    first.add_argument("--model", default=DEFAULT_MODEL)
    bare = [a for a in arguments if a not in ("-h", "--help")]
    model = catalogue.find(first.parse_known_args(bare)[0].model)
    values = vars(_parser(model).parse(arguments))
    options = {k.partition(":")[2]: values.pop(k) for k in list(values) if k.startswith("option:")}
    request = Request(
        model=model.name,
        options=options,
        downscale=values["downscale"],
        seed=values["seed"],
        threads=values["threads"],
        fresh=wanted(values) or True,
    )
    from fields.pictures import find_source, probe, read_picture
    from fields.pictures.naming import plain, shown

    probe(find_source(values["source"]))
    picture = read_picture(values["source"])
    out = Path(values["out"] or f"{picture.name}-{model.name}-spectrum.png")
    if out.suffix.lower() != ".png":
        raise FieldsError(f"{shown(out)} must end in .png: the spectra are drawn as a PNG")
    found = _search(request, picture)
    if found.reason is not None:
        raise FieldsError(f"{plain(picture.name)} has no spectrum to draw: {found.reason}")
    from fields.fresh import drawing

    drawing.save(out, found, f"{plain(picture.name)}: {found.setting} of {model.name}")
    if values["json"]:
        target, spectra = found.target, found.spectra
        assert target is not None and spectra is not None
        facts = {"model": model.name, "source": values["source"], **found.as_dict()}
        # JSON has no NaN, which stands where a candidate's output has no waves.
        shares = [row.tolist() if row.isfinite().all() else None for row in spectra]
        print(json.dumps({**facts, "target": target.tolist(), "spectra": shares}, allow_nan=False))
        return
    _print_table(found)
    print(f"{found}\n{shown(out)}")


def _parser(model: catalogue.Model) -> Parser:
    parser = Parser("spectrum", "Draw the spectrum of a picture beside those of untrained fields.")
    add = parser.add_argument
    add("source", metavar="SOURCE", help="a picture file, or a sample such as astronaut")
    add(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME",
        help=f"see fields models ({DEFAULT_MODEL})",
    )
    add("-o", "--out", metavar="FILE", help="the picture (SOURCE-MODEL-spectrum.png)")
    add("--downscale", type=whole, default=1, metavar="N", help="of the source N times smaller")
    add("--seed", type=whole, metavar="N", help="of the initial weights (0)")
    add("--threads", type=whole, metavar="N", help="of the CPU (all that may be used)")
    add("--json", action="store_true", help="print all figures as one JSON object")
    group = parser.add_argument_group(f"options of {model.name}")
    for item in settings(model.config):
        if item.flag:
            parser.add_setting(group, item)
    add_flags(parser, model.config, switch=False)
    return parser


def _search(request: Request, picture: Any) -> Any:
    import torch

    from fields import device
    from fields.fresh.search import search
    from fields.pictures.downscale import downscale
    from fields.signals.picture import PictureSignal

    assert isinstance(request.search, Fresh)
    with device.threads(request.threads):
        signal = PictureSignal(downscale(picture, request.downscale or 1), torch.device("cpu"))
        config = request.config_for(signal, 0)
        assert config is not None
        return search(signal.pixels, config, request.search)


def _print_table(found: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in (found.setting, "distance, bins", "+-", ""):
        table.add_column(title, justify="right" if title else "left")
    for candidate, distance, error in zip(
        found.candidates, found.distances, found.errors, strict=True
    ):
        note = "chosen" if candidate == found.chosen else ""
        note = note or ("usual" if candidate == found.usual else "")
        table.add_row(f"{candidate:g}", f"{distance:.2f}", f"{error:.2f}", note)
    Console(highlight=False).print(table)
