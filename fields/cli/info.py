"""`fields info RUN`: what a run holds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fields.cli.parser import Parser

if TYPE_CHECKING:
    from fields.many.reading import FieldSet


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("info", "Say what a run holds.")
    parser.add_argument(
        "run", metavar="RUN",
        help="a run folder, a field.safetensors, a set of fields, or one of it: SET#N",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print all as one JSON object")
    parsed = parser.parse(arguments)
    from fields.many.reading import is_set, load_many
    from fields.pictures.naming import plain, shown

    if is_set(Path(parsed.run)):
        return of_set(load_many(parsed.run), parsed.json)
    from fields.runs import load

    run = load(parsed.run)
    if parsed.json:
        print(json.dumps({"config": run.config, "metrics": run.metrics or None}))
        return
    figures = run.figures()
    options = run.config["config"] or {}
    lines = {
        "run": shown(run.path),
        "model": run.config["model"],
        run.kind: f"{plain(run.config['signal']['name'])} ({run.described})",
        "parameters": f"{figures['parameters']:,}",
        "file": f"{figures['bytes'] / 1000:,.0f} kB, {figures['bits']} bits a weight",
        "steps": f"{run.steps:,}",
    }
    known = run.metrics  # of a file that others may have written
    if run.is_finished:
        if isinstance(known.get("seconds"), (int, float)):
            lines["training"] = f"{known['seconds']:.2f} s on {plain(str(known.get('device')))}"
        if isinstance(known.get("psnr"), (int, float)):
            lines["psnr"] = f"{known['psnr']:.2f} dB"
        if isinstance(known.get("iou"), (int, float)):
            lines["iou"] = f"{known['iou']:.4f}"
        if "colours" in run.config and isinstance(known.get("colour_psnr"), (int, float)):
            lines["colours"] = f"{known['colour_psnr']:.2f} dB"
        if "source" in known:
            lines["source"] = plain(str(known["source"]))
    elif run.path.is_dir():
        lines["state"] = "not finished; fields fit SOURCE --resume --out " + shown(run.path)
    lines["options"] = ", ".join(f"{name} {value}" for name, value in options.items())
    if run.fallback:
        lines["arithmetic"] = run.fallback
    show(lines)


def of_set(fields: "FieldSet", as_json: bool) -> None:
    """What a set of fields holds."""
    from fields.pictures.naming import plain, shown

    if as_json:
        print(json.dumps({"config": fields.about, "metrics": fields.metrics}))
        return
    options, metrics = fields.options, fields.metrics
    lines = {
        "set": shown(fields.path),
        "fields": f"{len(fields):,} of {metrics['shapes']:,} shapes, {metrics['failed']:,} failed",
        "each": f"{options.stores}, planes of {options.planes_shown},"
        f" {options.numbers:,} parameters, {4 * options.numbers / 1000:,.0f} kB",
    }
    if fields.classes:
        lines["classes"] = plain(f"{len(fields.classes):,}: {', '.join(fields.classes)}")
    if fields.splits:
        splits = (f"{name} {count:,}" for name, count in sorted(fields.splits.items()))
        lines["splits"] = plain(", ".join(splits))
    if metrics["iou"] is not None:
        lines["iou"] = f"{metrics['iou']:.4f} in the mean"
    if metrics["psnr"] is not None:
        lines["psnr"] = f"{metrics['psnr']:.2f} dB in the mean"
    if metrics["f_score"] is not None:
        lines["f_score"] = f"{metrics['f_score']:.4f} in the mean"
    lines["source"] = plain(str(fields.about.get("source")))
    if not fields.is_finished:
        lines["state"] = f"not finished; fields fit-many DIR --resume --out {shown(fields.path)}"
    told = ((name, getattr(options, name)) for name in ("steps", "batch", "init", "copies", "seed"))
    lines["options"] = ", ".join(f"{name} {value}" for name, value in told)
    show(lines)


def show(lines: dict[str, str]) -> None:
    for name, value in lines.items():
        print(f"{name:11} {value}")
