"""The hash grid with an MLP: training steps and inference, against torch and Dr.Jit."""

from collections.abc import Callable
from functools import partial
from typing import Any

from fields import device, ops
from fields.bench import drjit_peer
from fields.bench.contest import DRJIT, Contest
from fields.bench.own_engines import FusedEngine, LoopEngine
from fields.bench.torch_grid import COMPILED_LOOKUPS, LOOKUPS, TorchField
from fields.bench.torch_peer import TorchPeer
from fields.bench.workload import Workload

Rows = list[dict[str, Any]]


def peer(work: Workload, lookup: str, mode: str | None = None) -> TorchPeer:
    """The field in plain torch; compiled in a mode, if there is one."""
    return TorchPeer(work, TorchField(work, lookup, by_corner=mode is not None), mode)


def train_rows(contest: Contest, threads: int) -> Rows:
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
    _add_peers(contest, "step")
    contest.run()
    counted = 3 * work.multiply_adds
    name = f"{work.dim}D training step"
    rows = contest.rows(name, work.batch, counted)
    contest.compare(rows, "fields bf16", "times_float32", "fields")
    contest.compare(rows, "fields", "times_one_thread", "fields, one thread")
    for loop in ("fields, own loop", "fields, own loop, unfused Adam"):
        contest.compare(rows, loop, "share_of_built_in", "fields")
    return [*rows, *contest.peaks()]


def infer_rows(contest: Contest, threads: int) -> Rows:
    work = contest.work
    exact = FusedEngine(work)
    contest.add("fields", lambda _: exact.infer())
    if ops.ACTIVE.bf16:
        rounded = FusedEngine(work, "bf16")
        contest.add("fields bf16", lambda _: rounded.infer())
    _add_peers(contest, "infer")
    contest.run()
    rows = contest.rows(f"{work.dim}D inference", work.points, work.multiply_adds)
    contest.compare(rows, "fields bf16", "times_float32", "fields")
    return rows


def against_compile(note: str) -> Callable[[Contest, int], Rows]:
    """The training step against torch.compile alone, under the kernels that are loaded."""

    def rows(contest: Contest, threads: int) -> Rows:
        work = contest.work
        contest.add("fields", FusedEngine(work).step)
        contest.add_compiled("step", partial(peer, work), COMPILED_LOOKUPS)
        contest.run()
        name = f"{work.dim}D training step, {note}"
        return contest.rows(name, work.batch, 3 * work.multiply_adds)

    return rows


def _add_peers(contest: Contest, method: str) -> None:
    make = partial(peer, contest.work)
    contest.add_eager(method, make, LOOKUPS)
    contest.add_compiled(method, make, COMPILED_LOOKUPS)
    missing = drjit_peer.why_not()
    if missing:
        contest.absent[DRJIT] = missing
        return
    for frozen in (False, True)[: 1 if method == "infer" else 2]:
        variant = "frozen" if frozen else "traced"
        make = partial(drjit_peer.DrjitPeer, contest.work, frozen=frozen)
        contest.enter(DRJIT, variant, method, make)
