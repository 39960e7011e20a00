"""`fields info RUN`: what a run holds."""

import json
from collections.abc import Sequence

from fields.cli.parser import Parser


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("info", "Say what a run holds.")
    parser.add_argument("run", metavar="RUN", help="a run folder, or a field.safetensors")
    parser.add_argument("--json", action="store_true", help="print all as one JSON object")
    parsed = parser.parse(arguments)
    from fields.pictures.naming import plain, shown
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
    for name, value in lines.items():
        print(f"{name:11} {value}")
