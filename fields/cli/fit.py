"""`fields fit SOURCE`: store a picture, a shape, a volume or a scene in a field."""

import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from fields import catalogue
from fields.cli.fresh import add_flags, wanted
from fields.cli.notes import scored
from fields.cli.parser import Parser, number, whole
from fields.cli.presets import follow, say_protocol
from fields.configs import SceneOptions, ShapeOptions, settings
from fields.errors import FieldsError, either, flag
from fields.request import DEFAULT_MODEL, LOSSES, Request
from fields.request_checks import OF_SOURCES, unknown_option

DEMO = "demo-scene"


def main(arguments: Sequence[str], started: float) -> None:
    request, source, as_json = asked(arguments)
    from fields.fitting import carry_out

    preset = _preset(arguments) if request.kind == "scene" else None
    watch = partial(say_protocol, preset)
    report(carry_out(request, source, progress(), started, watch), as_json)


def asked(arguments: Sequence[str]) -> tuple[Request, str, bool]:
    """The request, checked together with its source, which is named as well, and whether the
    result is wanted as JSON."""
    request, source, as_json = _request(arguments)
    from fields.pictures import find_source, probe
    from fields.scenes import require_scene
    from fields.shapes import find_kind
    from fields.shapes.formats import AS_WELL

    # Before a second goes into importing torch.
    if request.kind == "scene":
        require_scene(source)
    elif find_kind(source) is None:
        probe(find_source(source), others=AS_WELL)
        if request.signal_options:
            name = flag(next(iter(request.signal_options)))
            raise FieldsError(f"{name} is for shapes; {source} is a picture")
    return request, source, as_json


def report(run: Any, as_json: bool) -> None:
    print(json.dumps(run.metrics) if as_json else summary(run), flush=True)


def _request(arguments: Sequence[str]) -> tuple[Request, str, bool]:
    """The request, checked, with its source, and whether the result is wanted as JSON."""
    kind = _kind(arguments)
    model = catalogue.find(_model(arguments) or DEFAULT_MODEL, kind)
    parser = _parser(model, kind)
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise FieldsError(_unknown(parser, unknown, model))
    values = vars(parsed)
    options = {k.partition(":")[2]: values.pop(k) for k in list(values) if k.startswith("option:")}
    of_source = _source_options(kind).names() & options.keys()
    signal_options = {name: options.pop(name) for name in of_source}
    source, as_json = values.pop("source"), values.pop("json")
    preset = values.pop("preset", None)
    if preset is not None:
        follow(preset, source, values, signal_options)
    fresh = wanted(values)
    of_options = {"options": options, "signal_options": signal_options}
    request = Request(kind=kind, fresh=fresh, **of_options, **values)
    return request, _made(source), as_json


def _kind(arguments: Sequence[str]) -> str:
    """Of the source: scene, or picture for whatever else there is."""
    from fields.scenes import is_meant

    asked = [a for a in arguments if a not in ("-h", "--help")]
    try:
        named = _model(arguments)
        model = named if named in catalogue.SCENE_MODELS else DEFAULT_MODEL
        parsed, _ = _parser(catalogue.find(model, "scene"), "scene").parse_known_args(asked)
    except FieldsError:  # the parser of pictures says what is wrong
        return "picture"
    return "scene" if parsed.source == DEMO or is_meant(parsed.source) else "picture"


def _source_options(kind: str) -> type[SceneOptions] | type[ShapeOptions]:
    return OF_SOURCES["scenes" if kind == "scene" else "shapes"]


def _made(source: str) -> str:
    """The folder of the demo scene, made at its first use; any other source as it is."""
    if source != DEMO or os.path.lexists(source):
        return source
    from fields_scenes.demo import demo_scene

    return str(demo_scene(progress=progress()))


def progress() -> Any:
    """A bar on a terminal, else lines."""
    from fields.progress import Bar, Lines

    return Bar() if sys.stderr is not None and sys.stderr.isatty() else Lines()


def _model(arguments: Sequence[str]) -> str | None:
    """The value of --model, which decides what other options there are."""
    return _value(arguments, "--model")


def _preset(arguments: Sequence[str]) -> str | None:
    return _value(arguments, "--preset")


def _value(arguments: Sequence[str], option: str) -> str | None:
    """Of one option among others."""
    parser = Parser("fit", "")
    parser.add_argument(option, dest="value")
    return parser.parse_known_args([a for a in arguments if a not in ("-h", "--help")])[0].value


def _unknown(parser: Parser, unknown: list[str], model: catalogue.Model) -> str:
    flag = next((a.partition("=")[0] for a in unknown if a.startswith("--")), "")
    name = flag[2:].replace("-", "_")
    if name == "preset":
        return "--preset is for scenes; leave it away"
    models = catalogue.MODELS.values()
    known = {item.name for other in models for item in settings(other.config) if item.flag}
    if name in known.union(*(options.names() for options in OF_SOURCES.values())):
        return unknown_option(name, model.config)
    return parser.unknown(unknown)


def _parser(model: catalogue.Model, kind: str) -> Parser:
    parser = Parser(
        "fit", "Fit a field to a picture, a shape, a volume or a scene; write a run folder."
    )
    add = parser.add_argument
    add(
        "source", metavar="SOURCE",
        help="a picture, mesh, point cloud, volume or folder of a scene, or a sample: astronaut,"
        f" ..., {DEMO}",
    )  # fmt: skip
    add("--model", metavar="NAME", help=f"see fields models ({DEFAULT_MODEL})")
    add("-o", "--out", metavar="DIR", help="the run folder (runs/SOURCE-MODEL, numbered if taken)")
    add("--steps", type=whole, metavar="N", help="stop after N steps")
    add("--seconds", type=number, metavar="S", help="stop after S seconds of training")
    add(
        "--target", type=number, metavar="X",
        help="stop when a picture has this PSNR in dB, a shape this IoU",
    )  # fmt: skip
    add("--size-kb", type=number, metavar="K", help="the largest model whose file has K kB")
    add("--bits", type=whole, metavar="N", help="of a stored weight, 8 or 32 (32)")
    add("--downscale", type=whole, metavar="N", help="fit pictures N times smaller")
    add("--seed", type=whole, metavar="N", help="of weights and batches (0)")
    add("--batch", type=whole, metavar="N", help="samples of a step")
    add("--rate", type=number, metavar="X", help="learning rate")
    add("--loss", metavar="NAME", help=f"{either(LOSSES)} (that of the source)")
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
    group = parser.add_argument_group(f"options of {'scenes' if kind == 'scene' else 'shapes'}")
    for item in settings(_source_options(kind)):
        parser.add_setting(group, item)
    if kind == "scene":
        group.add_argument(
            "--preset", metavar="NAME",
            help="read a data set as it was published, see fields scene --presets",
        )  # fmt: skip
    else:
        parser.epilog = (
            f"fields fit {DEMO} --help lists what scenes take, and --model NAME --help what a model"
            " takes."
        )
    return parser


def summary(run: Any) -> str:
    """What came of a fit, in two lines."""
    from fields.pictures.naming import shown
    from fields.progress import duration

    m = run.metrics
    return (
        f"{scored(m)} after {duration(m['seconds'])} of training, {m['steps']:,} steps"
        f" at {m['samples_per_second'] / 1e6:.2f} M samples/s{_missed(m)}\n"
        f"{shown(run.path)}: field.safetensors ({m['bytes'] / 1000:,.0f} kB), preview.png,"
        f" metrics.json; {duration(m['wall_seconds'])} in all"
    )


def _missed(m: dict[str, Any]) -> str:
    if m["steps"] == 0:
        return " (nothing was learned: preparing took all of the seconds that were given)"
    score = m.get("psnr", m.get("iou"))
    if m["target"] is None or score is None or score >= m["target"]:
        return ""
    unit = " dB" if "psnr" in m else ""
    return f" (the target of {m['target']:g}{unit} was not reached)"
