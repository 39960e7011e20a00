"""Many small fields: our op against one field at a time and against plain torch, in one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fields import ops
from fields.bench.closest_contest import bumpy_ball
from fields.bench.contest import EAGER
from fields.bench.timing import ROUNDS, interleave, ratios, seconds_per_call, spread
from fields.bench.torch_planes import LOOKUPS, TorchPlaneFields, TorchPlaneFits
from fields.many.field import initial, key_of, spec_of
from fields.many.options import TRUNCATION, ManyOptions

FIELDS = 16  # of ours in one call
AT_ONCE = (1, 8, 32)  # fields that torch takes at once; one at a time has a row of its own
STEPS = 20  # of a call; a fit has those of ManyOptions
BETAS, EPS = (0.9, 0.99), 1e-15
State = tuple[Tensor, Tensor, Tensor]  # parameters and Adam's moments
CHECKED = 3  # steps after which losses are compared
ALONE = "one at a time"


def rows(*, rounds: int = ROUNDS, quick: bool = False) -> list[dict[str, Any]]:
    """A row for our op on 16 fields, for our op on one after the other, and for torch on as many at
    once as suit it and on one.

    All take steps on the same samples of distances to a ball with bumps, of the size and number
    that `fields fit-many` takes; reading meshes, pools and scores are left out. Torch is given its
    batches drawn. `fields_per_second` is 1 / the time of a whole fit of one field. RuntimeError
    where losses differ by more than a hundredth.
    """
    options = ManyOptions(resolution=16, batch=256) if quick else ManyOptions()
    work = ManyWork(options, max(FIELDS, *AT_ONCE), STEPS)
    counts = (1, 2) if quick else AT_ONCE
    peers = {(count, how): Peer(work, count, how) for count in counts for how in LOOKUPS}
    work.compare(peers)
    calls: dict[Any, tuple[int, Callable[[], object]]] = {
        "fields": (FIELDS, lambda: work.fit(FIELDS)),
        ALONE: (1, lambda: work.fit(1)),
        **{key: (key[0], peer.steps) for key, peer in peers.items()},
    }
    least = 0.01 if quick else 0.3
    slices = {key: seconds_per_call(call, least) for key, (_, call) in calls.items()}
    taken = interleave(slices, rounds=2 if quick else rounds)
    # Of a whole fit of one field, round by round.
    fits = {
        key: [t / calls[key][0] * options.steps / STEPS for t in times]
        for key, times in taken.items()
    }

    def best(keys: list[Any]) -> Any:
        return min(keys, key=lambda key: spread(fits[key]).median)

    together, alone = best(list(peers)), best([key for key in peers if key[0] == 1])
    found = []
    for engine, key in (
        ("fields", "fields"),
        (f"fields, {ALONE}", ALONE),
        (EAGER, together),
        (f"{EAGER}, {ALONE}", alone),
    ):
        row: dict[str, Any] = {"work": "fit many fields", "engine": engine}
        row["settings"] = (
            f"planes of {options.planes_shown}, {options.steps} steps of {options.batch} samples"
        )
        if key in peers:
            row["variant"] = f"{key[0]} at once, {key[1]}"
        row |= spread([1 / t for t in fits[key]]).figures("fields_per_second")
        samples = options.steps * options.batch
        row |= spread([samples / t for t in fits[key]]).figures("samples_per_second")
        found.append(row)
    found[0] |= ratios(fits[together], fits["fields"]).figures("times_eager")
    found[0] |= ratios(fits[ALONE], fits["fields"]).figures("times_alone")
    found[1] |= ratios(fits[alone], fits[ALONE]).figures("times_eager")
    return found


class ManyWork:
    """Fields with numbers of their own to begin with, pools, and the batches of some steps."""

    def __init__(self, options: ManyOptions, count: int, steps: int):
        self.options, self.spec, self.num_steps = options, spec_of(options), steps
        bvh = ops.build_bvh(*bumpy_ball(60))
        coords, distances = ops.sample_shape(bvh, options.pool, 0, 0, surface=0.5, near=0.3,
                                             uniform=0.2, jitter=0.0025, sigma=0.02)  # fmt: skip
        targets = (distances / TRUNCATION).clamp(-1, 1)
        pool = torch.cat([coords, targets], 1)
        self.pools = pool.expand(count, -1, -1).contiguous()
        self.keys = torch.tensor([key_of("many", i) for i in range(count)])
        drawn = [initial(options, int(key)) for key in self.keys]
        self.planes, self.params = (torch.stack(of) for of in zip(*drawn, strict=True))
        places = [draws(self.keys, step + 1, options.batch, options.pool) for step in range(steps)]
        self.batches = [
            torch.stack([own[rows] for own, rows in zip(self.pools, of_step, strict=True)])
            for of_step in places
        ]
        self.states = self.begun(count)

    def begun(self, count: int) -> tuple[State, State]:
        """Planes and parameters of the first fields with Adam's moments, before the first step."""
        return _begun(self.planes[:count]), _begun(self.params[:count])

    def fit(
        self, count: int, states: tuple[State, State] | None = None, steps: int | None = None
    ) -> Tensor:
        """Steps of the first fields, by our op. Returns losses [F, steps]."""
        options = self.options
        planes, params = states or (_first(self.states[0], count), _first(self.states[1], count))
        return ops.fit_plane_fields(
            self.pools[:count],
            self.keys[:count],
            planes,
            params,
            self.spec,
            steps=steps or self.num_steps,
            total=options.steps,
            batch=options.batch,
            loss="clipped",
            lr_planes=options.lr_planes,
            lr_params=options.lr_params,
            final_share=options.final_share,
            beta1=BETAS[0],
            beta2=BETAS[1],
            eps=EPS,
        )

    def compare(self, peers: dict[Any, Peer]) -> None:
        """RuntimeError unless the first steps of all have the same losses."""
        for (count, how), peer in peers.items():
            ours = self.fit(count, self.begun(count), CHECKED).t()
            theirs = torch.stack([peer.fits.step(peer.batches[i]) for i in range(CHECKED)])
            error = float(((theirs - ours).abs() / ours).max())
            if not error <= 0.01:
                raise RuntimeError(f"torch ({how}) has losses that differ by {100 * error:.1f} %")


def _begun(values: Tensor) -> State:
    return values.clone(), torch.zeros_like(values), torch.zeros_like(values)


def _first(state: State, count: int) -> State:
    return state[0][:count], state[1][:count], state[2][:count]


class Peer:
    """So many of the fields, in torch."""

    def __init__(self, work: ManyWork, count: int, lookup: str):
        options = work.options
        field = TorchPlaneFields(work.planes[:count], work.params[:count], work.spec, lookup)
        self.fits = TorchPlaneFits(
            field,
            rates=(options.lr_planes, options.lr_params),
            final_share=options.final_share,
            total=options.steps,
            betas=BETAS,
            eps=EPS,
        )
        self.batches = [batch[:count].contiguous() for batch in work.batches]

    def steps(self) -> None:
        for batch in self.batches:
            self.fits.step(batch)


def draws(keys: Tensor, step: int, batch: int, pool: int) -> Tensor:
    """What ops.fit_plane_fields draws from pools: places [F, batch] for keys [F]; see
    csrc/maths/plane_field.h."""
    of_field = _mix(_mix(keys & _WORD) + (keys >> 32 & _WORD))
    of_step = _mix(_mix(_mix(_mix(of_field) + step)) + 0x706F6F6C)
    number = torch.arange(batch)
    within = _mix(_mix(of_step)[:, None] + number) * pool >> 32
    return (number * pool + within) // batch


_WORD = 0xFFFFFFFF


def _mix(x: Tensor) -> Tensor:
    """csrc/maths/random.h, 32 bits in int64."""
    x = x & _WORD
    x = x ^ x >> 16
    x = x * 0x21F0AAAD & _WORD
    x = x ^ x >> 15
    x = x * 0x735A2D97 & _WORD
    return x ^ x >> 15
