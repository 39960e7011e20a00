"""A grid with Gaussian kernels behind it, against plain torch."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fields.bench.contest import Contest
from fields.bench.field_contest import compare
from fields.bench.field_work import FieldWork
from fields.bench.torch_grid import LOOKUPS, TorchHashGrid
from fields.bench.torch_peer import TorchPeer
from fields.models.rbf import Rbf

# As `fields fit` makes it for a picture of 512 x 512.
RBF = FieldWork(
    model="rbf", settings={"num_levels": 8, "growth": 1.6406, "log2_table_size": 17, "kernels": 64}
)
WAYS = (*(f"{lookup}, expanded" for lookup in LOOKUPS), "index, direct")
COMPILED_WAYS = ("index, expanded", "embedding, expanded", "index, direct")


class TorchRbf(nn.Module):
    """The field of ours, without an affine part.

    Args:
        field: gives the weights.
        lookup: one of LOOKUPS.
        expanded: distances as products of matrices, b F^2 - 2 b mu F + b mu^2, rather than from
            the differences of features and centres, [N, kernels, inputs] of them.
        by_corner: as TorchHashGrid takes it.
    """

    def __init__(self, field: Rbf, lookup: str, *, expanded: bool, by_corner: bool = False):
        super().__init__()
        self.grid = TorchHashGrid(field.table, field.dim, field.grid, lookup, by_corner=by_corner)
        self.expanded = expanded
        self.factor = field.rbf.factor
        parts = field.rbf.split(field.params.detach(), field.config.features)
        self.parts = nn.ParameterList([part.clone() for part in parts])

    def forward(self, coords: Tensor) -> Tensor:
        features = self.grid(coords)
        mu, log_precision, weight, bias = self.parts
        precision = log_precision.exp()
        if self.expanded:
            factors = torch.cat([precision, -2 * precision * mu], 1)
            inputs = torch.cat([features * features, features], 1)
            r = F.linear(inputs, factors, (precision * mu * mu).sum(1)).clamp(min=0)
        else:
            r = (precision * (features[:, None] - mu) ** 2).sum(2)
        return F.linear(torch.exp(-self.factor * r), weight, bias)


def peer(work: FieldWork, way: str, mode: str | None = None) -> TorchPeer:
    lookup, distance = way.split(", ")
    field = TorchRbf(
        work.field(), lookup, expanded=distance == "expanded", by_corner=mode is not None
    )
    return TorchPeer(work, field, mode)


def rows(contest: Contest, threads: int) -> list[dict[str, Any]]:
    """Two multiply-adds are counted for each feature and kernel: a difference, and its square."""
    work: FieldWork = contest.work
    field = work.field()
    forward = field.rbf.kernels * (2 * field.config.features + work.channels)
    found = []
    for method, counted in (("step", 3 * forward), ("infer", forward)):
        found += compare(
            contest.another(),
            "grid + RBF",
            method,
            partial(peer, work),
            eager=WAYS,
            compiled=COMPILED_WAYS,
            multiply_adds=counted,
        )
    return found
