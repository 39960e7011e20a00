"""SIREN against plain torch."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fields.bench.contest import Contest
from fields.bench.field_contest import compare, of_network
from fields.bench.field_work import FieldWork
from fields.bench.torch_peer import TorchPeer
from fields.mlp import split_params
from fields.models.siren import Siren

SIREN = FieldWork(
    model="siren", settings={"width": 256, "depth": 3, "omega": 30.0, "hidden_omega": 30.0}
)
WAYS = ("plain",)


class TorchSiren(nn.Module):
    """The network of ours. Frequencies multiply weights, of which there are fewer than values."""

    def __init__(self, field: Siren):
        super().__init__()
        mlp = field.mlp
        layers = split_params(field.params.detach(), field.config.inputs, mlp)
        self.weights = nn.ParameterList([weight.clone() for weight, _ in layers])
        self.biases = nn.ParameterList([bias.clone() for _, bias in layers if bias is not None])
        self.omegas = [mlp.first_omega, *[mlp.omega] * mlp.depth]
        self.scale, self.offset = field.scale, field.offset

    def forward(self, coords: Tensor) -> Tensor:
        x = coords * 2 - 1
        for i, omega in enumerate(self.omegas):
            x = torch.sin(x) if i else x
            x = F.linear(x, omega * self.weights[i], self.biases[i])
        return self.scale * x + self.offset


def peer(work: FieldWork, way: str, mode: str | None = None) -> TorchPeer:
    return TorchPeer(work, TorchSiren(work.field()), mode)


def rows(contest: Contest, threads: int) -> list[dict[str, Any]]:
    work: FieldWork = contest.work
    field = work.field()
    found = []
    for method in ("step", "infer"):
        contest = contest.another()
        counted = of_network(field.mlp, field.config.inputs, method)
        make = partial(peer, work)
        found += compare(
            contest, "SIREN", method, make, eager=WAYS, compiled=WAYS, multiply_adds=counted
        )
    return [*found, *contest.peaks()]
