"""`fields bench viewer`: how many fresh frames a second a page shows, and how soon.

A viewer runs in a process of its own, as `fields view` starts it, and a page in headless Chromium
on the same machine: what they share is shared in the figures. The page follows a fixed path, a new
pose at every refresh of the screen; 60 poses are not counted, 600 are. Then the hand rests, and the
time is taken until the picture is whole and without loss. A scene that can be baked has two rows:
drawn from the field itself, and from its proxy, of which is told what it loses against the field.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from fields.cli.parser import size
from fields.errors import FieldsError

ROUNDS, POSES = 3, 600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from fields_viewer.baking import PROXIES

    add = parser.add_argument
    add(
        "things", metavar="RUN|SOURCE", nargs="*",
        help="runs, and sources, which are fitted meanwhile (astronaut, fitted and fitted"
        " meanwhile)",
    )  # fmt: skip
    add(
        "--size", type=size, default=(800, 800), metavar="WxH",
        help="of the picture in the page (800x800)",
    )  # fmt: skip
    add("--rounds", type=int, default=ROUNDS, metavar="N", help=f"of each, worst shown ({ROUNDS})")
    add("--poses", type=int, default=POSES, metavar="N", help=f"that count, of a round ({POSES})")
    add("--proxy", choices=PROXIES, default="auto", help="of scenes, as fields view has it (auto)")
    add("--chromium", metavar="FILE", help="the browser (that of the system)")
    add("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    width_height = options.size
    if not isinstance(width_height, tuple) or not all(64 <= n <= 4096 for n in width_height):
        raise FieldsError("--size must be 64x64 to 4096x4096")
    if options.rounds < 1 or options.poses < 10:
        raise FieldsError("--rounds must be at least 1, --poses at least 10")
    from fields import device
    from fields.bench import machine
    from fields_viewer.bench import driving, shown

    browser = driving.find_browser(options.chromium)
    with device.threads() as threads:
        about = machine.describe(threads)
    rows = []
    with tempfile.TemporaryDirectory(prefix="fields-bench-") as folder:
        for thing in options.things or _usual(folder):
            print(f"driving: {thing}", file=sys.stderr, flush=True)
            rows += driving.measure(thing, width_height, options, browser, Path(folder))
    result = {"machine": about, "commit": machine.commit(), "rows": rows}
    if options.json:
        print(json.dumps(result))
    else:
        shown.table(result)


def _usual(folder: str) -> list[str]:
    import fields

    fields.fit("astronaut", out=Path(folder) / "astronaut", steps=300)
    return [str(Path(folder) / "astronaut"), "astronaut"]
