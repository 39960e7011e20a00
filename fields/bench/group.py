"""One group of `fields bench kernels`, in a process of its own: NAME and settings in, JSON out."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fields import device
from fields.bench import (
    cam_contest,
    closest_contest,
    machine,
    many_contest,
    march_contest,
    network_contest,
    rbf_contest,
)
from fields.bench.contest import Contest, Engine
from fields.bench.field_work import FieldWork
from fields.bench.grid_contest import Rows, against_compile, infer_rows, train_rows
from fields.bench.mlp_contest import mlp_rows
from fields.bench.own_engines import FieldEngine, FusedEngine
from fields.bench.samples import Samples
from fields.bench.workload import Workload

PICTURE = Workload()
# A scene's grid: finest resolution 2048, density and colour.
SCENE = Workload(dim=3, channels=4, log2_table_size=19, growth=1.3819, points=2**17)


@dataclass(frozen=True)
class Group:
    """
    Args:
        work: what its engines do.
        own: makes our engine.
        rows: measures with an empty contest and so many threads.
    """

    work: Samples
    own: Callable[[Any], Engine]
    rows: Callable[[Contest, int], Rows]

    def measure(self, rounds: int, threads: int, quick: bool) -> Rows:
        work = self.small() if quick else self.work
        contest = Contest(work, self.own, rounds=rounds, quick=quick)
        return self.rows(contest, threads)

    def small(self) -> Samples:
        """The work for a look whether all runs."""
        work = dataclasses.replace(self.work, batch=1024, points=64 * 64)
        if isinstance(work, Workload):
            return dataclasses.replace(work, log2_table_size=12)
        return work


class Distances:
    """Distances to a mesh, ours and open3d's."""

    def measure(self, rounds: int, threads: int, quick: bool) -> Rows:
        mesh = closest_contest.bumpy_ball(20 if quick else 200)
        return closest_contest.rows("bumpy ball", *mesh, rounds=rounds, quick=quick)


class Many:
    """Steps of many small fields."""

    def measure(self, rounds: int, threads: int, quick: bool) -> Rows:
        return many_contest.rows(rounds=rounds, quick=quick)


class Marching:
    """A training step of a radiance field, and a picture."""

    def measure(self, rounds: int, threads: int, quick: bool) -> Rows:
        return march_contest.rows(rounds=rounds, quick=quick)


def _grid(work: Workload, rows: Callable[[Contest, int], Rows]) -> Group:
    return Group(work, FusedEngine, rows)


def _field(work: FieldWork, rows: Callable[[Contest, int], Rows]) -> Group:
    return Group(work, FieldEngine, rows)


GROUPS: dict[str, Group | Distances | Many | Marching] = {
    "train": _grid(PICTURE, train_rows),
    "infer": _grid(PICTURE, infer_rows),
    "infer-3d": _grid(SCENE, infer_rows),
    "mlp": _grid(PICTURE, mlp_rows),
    "siren": _field(network_contest.SIREN, network_contest.rows),
    "cam": _field(cam_contest.PUBLISHED, cam_contest.rows),
    "cam-small": _field(cam_contest.SMALL, cam_contest.rows),
    "rbf": _field(rbf_contest.RBF, rbf_contest.rows),
    "closest": Distances(),
    "many": Many(),
    "march": Marching(),
    "avx2": _grid(PICTURE, against_compile("our kernels held to AVX2")),
    "all-avx2": _grid(PICTURE, against_compile("all held to AVX2")),
}


def measure(name: str, *, rounds: int, threads: int | None, quick: bool) -> dict[str, Any]:
    """{"machine", "rows"} of the group of that name."""
    with device.threads(threads) as count:
        about = machine.describe(count)
        rows = GROUPS[name].measure(rounds, count, quick)
        return {"machine": about, "rows": rows}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # compilers and others print what they like
        found = measure(sys.argv[1], **json.loads(sys.argv[2]))
    print(json.dumps(found))
