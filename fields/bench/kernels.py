"""`fields bench kernels`: our kernels against torch, torch.compile and Dr.Jit, in one run.

Each group of measurements runs in a process of its own (fields/bench/group.py): the kernels of one
instruction set are loaded once in a process, and no group meets what another left in memory.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
from typing import Any

from fields.bench.timing import ROUNDS
from fields.catalogue import suggestion
from fields.errors import FieldsError

# For each group, what is set in its environment. The two with AVX2 compare our AVX2 kernels with
# torch.compile: once as the machine lets it run, once held to AVX2 as well.
HELD_TO_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # its cache does not ask what it was compiled for
}
GROUPS: dict[str, dict[str, str]] = {
    "train": {},
    "infer": {},
    "infer-3d": {},
    "mlp": {},
    "siren": {},
    "cam": {},
    "cam-small": {},
    "rbf": {},
    "closest": {},
    "many": {},
    "march": {},
    "avx2": {"FIELDS_CPU": "avx2"},
    "all-avx2": {"FIELDS_CPU": "avx2", **HELD_TO_AVX2},
}
# Several groups by one name.
SETS = {
    "grid": ("train", "infer", "infer-3d", "mlp", "avx2", "all-avx2"),
    "models": ("siren", "cam", "cam-small", "rbf"),
    "shapes": ("closest", "many"),
    "scenes": ("march",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--only",
        nargs="+",
        type=chosen,
        metavar="GROUP",
        help=f"of these: {', '.join(GROUPS)}; {' or '.join(SETS)} for several",
    )
    parser.add_argument(
        "--rounds", type=int, default=11, metavar="N", help="interleaved rounds (11)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="by default what may be used")
    parser.add_argument(
        "--quick", action="store_true", help="see that all runs: small, few rounds, no compiler"
    )


def chosen(text: str) -> list[str]:
    """The groups that NAME[,NAME] stands for."""
    groups: list[str] = []
    for name in text.split(","):
        if name not in {*GROUPS, *SETS}:
            tail = suggestion(name, [*GROUPS, *SETS])
            raise argparse.ArgumentTypeError(f"there is no group {name!r}{tail}")
        groups += SETS.get(name, (name,))
    return groups


def run(options: argparse.Namespace) -> None:
    if options.rounds < ROUNDS and not options.quick:
        raise FieldsError(f"--rounds must be at least {ROUNDS}, got {options.rounds}")
    if options.threads is not None and not 1 <= options.threads <= 1024:
        raise FieldsError(f"--threads must be from 1 to 1024, got {options.threads}")
    settings = {"rounds": options.rounds, "threads": options.threads, "quick": options.quick}
    machine: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    # Those asked for, each once.
    names = dict.fromkeys(itertools.chain.from_iterable(options.only or [GROUPS]))
    for name in names:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        found = measured(name, settings)
        if not machine or not GROUPS[name]:
            machine = found["machine"]
        rows += found["rows"]
    from fields.bench import report
    from fields.bench.machine import commit

    result = {"machine": machine, "commit": commit(), "rows": rows}
    print(json.dumps(result)) if options.json else report.kernels(result)


def measured(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """{"machine", "rows"} of one group, measured in a process of its own."""
    environment = {**os.environ, **GROUPS[name]}
    if environment.get("OMP_WAIT_POLICY", "").lower() == "passive":
        # The command sets it for the sake of a machine that does other things as well. It slows
        # torch.compile's inference by a quarter; peers shall have the library's default.
        del environment["OMP_WAIT_POLICY"]
    command = [sys.executable, "-m", "fields.bench.group", name, json.dumps(settings)]
    child = subprocess.run(command, env=environment, capture_output=True, text=True)
    if child.returncode:
        lines = child.stderr.strip().splitlines() or [f"status {child.returncode}"]
        raise FieldsError(f"the measurement of {name} failed: {lines[-1]}")
    return json.loads(child.stdout.splitlines()[-1])
