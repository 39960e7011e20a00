"""One group of `fields bench kernels`, in a process of its own: NAME and settings in, JSON out."""

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

from fields import device, ops
from fields.bench import machine
from fields.bench.contest import Contest
from fields.bench.mlp_contest import mlp_rows
from fields.bench.own_engines import FusedEngine, LoopEngine
from fields.bench.workload import Workload

Rows = list[dict[str, Any]]

PICTURE = Workload()
# A scene's grid: finest resolution 2048, density and colour.
SCENE = Workload(dim=3, channels=4, log2_table_size=19, growth=1.3819, points=2**17)


def small(work: Workload) -> Workload:
    """For a look whether all runs."""
    return Workload(work.dim, work.channels, 12, work.growth, batch=1024, points=64 * 64)


def train(contest: Contest, threads: int) -> Rows:
    """All that trains the picture model."""
    work = contest.work
    contest.add("fields", FusedEngine(work).step)
    if ops.ACTIVE.bf16:
        contest.add("fields bf16", FusedEngine(work, "bf16").step)
    if threads > 1:
        with device.threads(1):
            alone = FusedEngine(work)
        contest.add("fields, one thread", alone.step, threads=1)
    contest.add("fields, own loop", LoopEngine(work, fused=True).step)
    contest.add("fields, own loop, unfused Adam", LoopEngine(work, fused=False).step)
    contest.add_torch("step")
    contest.add_compiled("step")
    contest.add_drjit("step")
    contest.run()
    counted = 3 * work.multiply_adds
    name = f"{work.dim}D training step"
    rows = contest.rows(name, work.batch, counted)
    contest.compare(rows, "fields bf16", "times_float32", "fields")
    contest.compare(rows, "fields", "times_one_thread", "fields, one thread")
    for loop in ("fields, own loop", "fields, own loop, unfused Adam"):
        contest.compare(rows, loop, "share_of_built_in", "fields")
    return [*rows, *contest.peaks()]


def infer(contest: Contest, threads: int) -> Rows:
    work = contest.work
    exact = FusedEngine(work)
    contest.add("fields", lambda _: exact.infer())
    if ops.ACTIVE.bf16:
        rounded = FusedEngine(work, "bf16")
        contest.add("fields bf16", lambda _: rounded.infer())
    contest.add_torch("infer")
    contest.add_compiled("infer")
    contest.add_drjit("infer")
    contest.run()
    rows = contest.rows(f"{work.dim}D inference", work.points, work.multiply_adds)
    contest.compare(rows, "fields bf16", "times_float32", "fields")
    return rows


def against_compile(note: str) -> Callable[[Contest, int], Rows]:
    """The training step against torch.compile alone, under the kernels that are loaded."""

    def rows(contest: Contest, threads: int) -> Rows:
        work = contest.work
        contest.add("fields", FusedEngine(work).step)
        contest.add_compiled("step")
        contest.run()
        name = f"{work.dim}D training step, {note}"
        return contest.rows(name, work.batch, 3 * work.multiply_adds)

    return rows


GROUPS: dict[str, tuple[Workload, Callable[[Contest, int], Rows]]] = {
    "train": (PICTURE, train),
    "infer": (PICTURE, infer),
    "infer-3d": (SCENE, infer),
    "mlp": (PICTURE, mlp_rows),
    "avx2": (PICTURE, against_compile("our kernels held to AVX2")),
    "all-avx2": (PICTURE, against_compile("all held to AVX2")),
}


def measure(name: str, *, rounds: int, threads: int | None, quick: bool) -> dict[str, Any]:
    """{"machine", "rows"} of the group of that name."""
    work, rows = GROUPS[name]
    with device.threads(threads) as count:
        about = machine.describe(count)
        contest = Contest(small(work) if quick else work, rounds=rounds, quick=quick)
        return {"machine": about, "rows": rows(contest, count)}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # compilers and others print what they like
        found = measure(sys.argv[1], **json.loads(sys.argv[2]))
    print(json.dumps(found))
