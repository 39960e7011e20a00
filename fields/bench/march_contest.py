"""A training step of a radiance field, against plain torch at the same samples and with the same
model; and a picture of it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fields import ops
from fields.bench.contest import EAGER
from fields.bench.timing import ROUNDS, interleave, ratios, seconds_per_call, spread
from fields.bench.torch_grid import LOOKUPS, TorchHashGrid
from fields.mlp import split_params
from fields.models.radiance import RadianceField
from fields.occupancy import Occupancy
from fields.ops.marched import STAGES
from fields.ops.training import step_workspace

SAMPLES = 8192  # that are trained on
LEARNED = 300  # steps before anything is timed: by then there is a surface
MIN_WEIGHT, RATE, BETAS, EPS = 1e-4, 1e-2, (0.9, 0.99), 1e-15
SIDE = 400  # of the picture


def rows(*, rounds: int = ROUNDS, quick: bool = False) -> list[dict[str, Any]]:
    """A row for ours, one for torch, and one for a picture of 400 x 400.

    The scene is a painted ball that takes a twentieth of the cube. Torch is given the samples of
    ours, packed, and the ones that have weight: it walks no rays and keeps no occupancy.
    RuntimeError where losses differ by more than a thousandth.
    """
    work = MarchWork(samples=1024 if quick else SAMPLES)
    for step in range(1, (20 if quick else LEARNED) + 1):
        work.learn(step)
    rays, marched, kept = work.counts
    settings = f"{rays} rays, {marched} samples marched, {kept} trained on"
    peers = {lookup: TorchRadiance(work, lookup) for lookup in LOOKUPS}
    for lookup, peer in peers.items():
        work.compare(peer, lookup)
    least = 0.01 if quick else 0.3
    calls = {"fields": work.step, "picture": work.picture, **{n: p.step for n, p in peers.items()}}
    slices = {name: seconds_per_call(call, least) for name, call in calls.items()}
    seconds = interleave(slices, rounds=2 if quick else rounds)
    fastest = min(peers, key=lambda name: spread(seconds[name]).median)
    found = []
    for engine, name in (("fields", "fields"), (EAGER, fastest)):
        row: dict[str, Any] = {"work": "train a scene", "engine": engine, "settings": settings}
        row |= spread([1e3 * t for t in seconds[name]]).figures("milliseconds")
        row |= spread([marched / t for t in seconds[name]]).figures("samples_per_second")
        row |= spread([rays / t for t in seconds[name]]).figures("rays_per_second")
        found.append(row)
    found[0] |= ratios(seconds[fastest], seconds["fields"]).figures("times_eager")
    found[0]["stages"] = work.stages(5 if quick else 50)
    drawn: dict[str, Any] = {"work": "draw a scene", "engine": "fields"}
    drawn["settings"] = f"{SIDE} x {SIDE} pixels"
    drawn |= spread([1e3 * t for t in seconds["picture"]]).figures("milliseconds")
    drawn |= spread([SIDE**2 / t for t in seconds["picture"]]).figures("rays_per_second")
    return [*found, drawn]


class MarchWork:
    """A field that has learned a painted ball, and rays around it."""

    def __init__(self, samples: int = SAMPLES):
        self.samples = samples
        self.field = RadianceField(log2_table_size=17, seed=0)
        self.occupancy = Occupancy(64)
        self.march = self.field.march
        self.states = {
            name: (p.data, torch.zeros_like(p), torch.zeros_like(p))
            for name, p in self.field.named_parameters()
        }
        self.workspace = step_workspace(self.field.table.data, 3, self.field.spec.grid)
        self.done = 0
        self.counts = (0, 0, 0)

    def rays(self, step: int, count: int = 1 << 14) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Origins, directions, colours and backgrounds, [count, 3] each."""
        generator = torch.Generator().manual_seed(step)
        around = F.normalize(torch.randn(count, 3, generator=generator), dim=1)
        origins = 0.5 + 1.4 * around
        aim = 0.5 + 0.7 * (torch.rand(count, 3, generator=generator) - 0.5)
        directions = F.normalize(aim - origins, dim=1)
        backgrounds = torch.rand(count, 3, generator=generator)
        hit, at = _ball(origins, directions)
        paint = 0.5 + 0.5 * torch.sin(40 * at + torch.tensor([0.0, 2.0, 4.0]))
        return origins, directions, torch.where(hit[:, None], paint, backgrounds), backgrounds

    def learn(self, step: int) -> None:
        """A step on new rays; the occupancy follows."""
        if step % 16 == 1:
            with torch.no_grad():
                self.occupancy.update(lambda x: self.field.density(x)[0], seed=0, step=step)
        self.batch, self.done = self.rays(step), step
        self.loss, self.counts = self._fused(self.states)

    def step(self) -> None:
        """Ours, on the last rays again: other weights, all else alike."""
        self.done += 1
        self._fused(self.states)

    def stages(self, steps: int) -> dict[str, float]:
        """The share of a step's time that each stage takes, over so many of them."""
        taken = torch.zeros(len(STAGES), dtype=torch.int64)
        for _ in range(steps):
            self.done += 1
            self._fused(self.states, taken)
        shares = (taken / taken.sum()).tolist()
        return {name: round(share, 3) for name, share in zip(STAGES, shares, strict=True)}

    def _fused(
        self, states: dict[str, Any], stages: Tensor | None = None
    ) -> tuple[Tensor, tuple[int, int, int]]:
        origins, directions, colours, backgrounds = self.batch
        loss, _, counts = ops.radiance_step(
            origins,
            directions,
            colours,
            backgrounds,
            self.occupancy.bits,
            self.march,
            states["table"],
            states["density_params"],
            states["colour_params"],
            self.workspace,
            self.field.spec,
            step=self.done,
            samples=self.samples,
            lr_table=RATE,
            lr_params=RATE,
            min_weight=MIN_WEIGHT,
            min_transmittance=0.0,
            seed=None,
            stages=stages,
        )
        rays, marched, kept = counts.tolist()
        return loss, (rays, marched, kept)

    def compare(self, peer: TorchRadiance, name: str) -> None:
        """RuntimeError unless both have the same loss at the same weights."""
        copies = {key: tuple(t.clone() for t in state) for key, state in self.states.items()}
        ours = self._fused(copies)[0].item()
        theirs = peer.loss(peer.chosen()).item()
        if abs(ours - theirs) > 1e-3 * abs(ours):
            raise RuntimeError(f"torch ({name}) has the loss {theirs:.6g}, ours is {ours:.6g}")

    def picture(self) -> None:
        x, y = torch.meshgrid(*[(torch.arange(SIDE) + 0.5) / SIDE - 0.5] * 2, indexing="xy")
        directions = torch.stack([x, -y, torch.full_like(x, -1.3)], -1).view(-1, 3)
        origins = torch.tensor([0.5, 0.5, 1.9]).expand_as(directions).contiguous()
        ops.radiance_render(
            origins,
            F.normalize(directions, dim=1),
            self.occupancy.bits,
            self.march,
            self.field.table.data,
            self.field.density_params.data,
            self.field.colour_params.data,
            self.field.spec,
            width=SIDE,
        )


class TorchRadiance(nn.Module):
    """The same field in plain torch, at the samples that ours marches."""

    def __init__(self, work: MarchWork, lookup: str):
        super().__init__()
        field, spec = work.field, work.field.spec
        self.grid = TorchHashGrid(field.table.data, 3, spec.grid, lookup)
        features = field.config.features
        self.density_layers = _layers(features, field.density_params, spec.density)
        self.colour_layers = _layers(spec.colour_inputs, field.colour_params, spec.colour)
        self.degree = spec.degree
        rays = work.counts[0]
        origins, directions, colours, backgrounds = (part[:rays] for part in work.batch)
        self.colours, self.backgrounds = colours, backgrounds
        coords, _, dt, of, offsets = ops.march_rays(
            origins, directions, work.occupancy.bits, work.march
        )
        self.samples = coords, directions[of.long()], dt, of.long()
        self.offsets = offsets
        self.optimiser = torch.optim.Adam(self.parameters(), RATE, BETAS, EPS, foreach=True)

    def chosen(self) -> tuple[Tensor, ...]:
        """The samples that have weight: density on all, without gradients."""
        coords, directions, dt, of = self.samples
        with torch.no_grad():
            raw = self._density(coords)[:, 0]
            weights = _weights(raw.exp() * dt, of, self.offsets)[0]
            kept = weights >= MIN_WEIGHT
        before = torch.cat([self.offsets[:1], kept.cumsum(0)])
        return coords[kept], directions[kept], dt[kept], of[kept], before[self.offsets]

    def loss(self, samples: tuple[Tensor, ...]) -> Tensor:
        coords, directions, dt, of, offsets = samples
        features = self._density(coords)
        harmonics = ops.spherical_harmonics(directions, self.degree)
        rgb = _through(self.colour_layers, torch.cat([features, harmonics], 1)).sigmoid()
        weights, left = _weights(features[:, 0].clamp(max=15).exp() * dt, of, offsets)
        seen = torch.zeros_like(self.colours).index_add(0, of, weights[:, None] * rgb)
        return F.mse_loss(seen + left[:, None] * self.backgrounds, self.colours)

    def step(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        self.loss(self.chosen()).backward()
        self.optimiser.step()

    def _density(self, coords: Tensor) -> Tensor:
        return _through(self.density_layers, self.grid(coords))


def _ball(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Whether rays meet the ball, [R] bool, and where, [R, 3]."""
    away = origins - 0.5
    b = (away * directions).sum(1)
    inside = b.square() - away.square().sum(1) + 0.23**2
    hit = inside > 0
    t = -b - inside.clamp(min=0).sqrt()
    return hit, away + t[:, None] * directions


def _weights(optical: Tensor, of: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [N] of samples of optical depths [N], and what is left behind rays [R]."""
    # In float64: the sum over all rays leaves float32 no digits for a single one.
    total = F.pad(optical.double().cumsum(0), (1, 0))
    start = total[offsets]
    before = torch.exp(start[of] - total[:-1]).float()
    return before * -torch.expm1(-optical), torch.exp(start[:-1] - start[1:]).float()


def _layers(inputs: int, params: Tensor, spec: ops.MlpSpec) -> nn.ParameterList:
    parts = split_params(params.detach(), inputs, spec)
    return nn.ParameterList(nn.Parameter(weight.clone()) for weight, _ in parts)


def _through(layers: nn.ParameterList, values: Tensor) -> Tensor:
    for i, weight in enumerate(layers):
        values = F.linear(values.relu() if i else values, weight)
    return values
