"""`fields fit SOURCE`: store a picture in a field."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from fields import catalogue
from fields.cli.fresh import add_flags, wanted
from fields.cli.parser import Parser, number, whole
from fields.configs import settings
from fields.errors import FieldsError
from fields.request import DEFAULT_MODEL, LOSSES, Request, unknown_option


def main(arguments: Sequence[str], started: float) -> None:
    request, source, as_json = _request(arguments)
    from fields.pictures import find_source, probe

    probe(find_source(source))  # before a second goes into importing torch
    from fields.fitting import carry_out
    from fields.progress import Bar, Lines

    reporter = Bar() if sys.stderr is not None and sys.stderr.isatty() else Lines()
    run = carry_out(request, source, reporter, started)
    print(json.dumps(run.metrics) if as_json else _summary(run))


def _request(arguments: Sequence[str]) -> tuple[Request, str, bool]:
    """The request, checked, with its source, and whether the result is wanted as JSON."""
    model = catalogue.find(_model(arguments) or DEFAULT_MODEL)
    parser = _parser(model)
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise FieldsError(_unknown(parser, unknown, model))
    values = vars(parsed)
    options = {k.partition(":")[2]: values.pop(k) for k in list(values) if k.startswith("option:")}
    source, as_json = values.pop("source"), values.pop("json")
    fresh = wanted(values)
    return Request(options=options, fresh=fresh, **values), source, as_json


def _model(arguments: Sequence[str]) -> str | None:
    """The value of --model, which decides what other options there are."""
    parser = Parser("fit", "")
    parser.add_argument("--model")
    return parser.parse_known_args([a for a in arguments if a not in ("-h", "--help")])[0].model


def _unknown(parser: Parser, unknown: list[str], model: catalogue.Model) -> str:
    flag = next((a.partition("=")[0] for a in unknown if a.startswith("--")), "")
    name = flag[2:].replace("-", "_")
    for other in catalogue.MODELS.values():
        if any(item.name == name and item.flag for item in settings(other.config)):
            return unknown_option(name, model.config)
    return parser.unknown(unknown)


def _parser(model: catalogue.Model) -> Parser:
    parser = Parser("fit", "Fit a field to a picture and write a run folder.")
    add = parser.add_argument
    add("source", metavar="SOURCE", help="a picture file, or a sample such as astronaut")
    add("--model", metavar="NAME", help=f"see fields models ({DEFAULT_MODEL})")
    add("--out", metavar="DIR", help="the run folder (runs/SOURCE-MODEL, numbered if taken)")
    add("--steps", type=whole, metavar="N", help="stop after N steps")
    add("--seconds", type=number, metavar="S", help="stop after S seconds of training")
    add("--target", type=number, metavar="DB", help="stop when the picture has this PSNR")
    add("--size-kb", type=number, metavar="K", help="the largest model whose file has K kB")
    add("--downscale", type=whole, default=1, metavar="N", help="fit it N times smaller")
    add("--seed", type=whole, metavar="N", help="of weights and batches (0)")
    add("--batch", type=whole, metavar="N", help="samples of a step")
    add("--rate", type=number, metavar="X", help="learning rate")
    add("--loss", metavar="NAME", help=f"{' or '.join(LOSSES)} ({LOSSES[0]})")
    add("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (auto)")
    add("--threads", type=whole, metavar="N", help="of the CPU (all that may be used)")
    add("--resume", action="store_true", help="go on from the last checkpoint of the run")
    add("--overwrite", action="store_true", help="replace the run in --out")
    add("--json", action="store_true", help="print the metrics as one JSON object")
    group = parser.add_argument_group(f"options of {model.name}")
    for item in settings(model.config):
        if item.flag:
            parser.add_setting(group, item)
    add_flags(parser, model.config, switch=True)
    return parser


def _summary(run: Any) -> str:
    from fields.pictures.naming import shown
    from fields.progress import duration

    m = run.metrics
    ssim = "" if m["ssim"] is None else f", SSIM {m['ssim']:.4f}"
    missed = ""
    if m["target"] is not None and m["psnr"] < m["target"]:
        missed = f" (the target of {m['target']:g} dB was not reached)"
    return (
        f"{m['psnr']:.2f} dB{ssim} after {duration(m['seconds'])} of training, {m['steps']:,} steps"
        f" at {m['samples_per_second'] / 1e6:.2f} M samples/s{missed}\n"
        f"{shown(run.path)}: field.safetensors ({m['bytes'] / 1000:,.0f} kB), preview.png,"
        f" metrics.json; {duration(m['wall_seconds'])} in all"
    )
