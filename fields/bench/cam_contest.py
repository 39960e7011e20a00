"""Coordinate-aware modulation against plain torch."""

import math
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
from fields.models.cam import Cam

PUBLISHED = FieldWork(model="cam", settings={"frequencies": 256, "width": 256, "grid_size": 32})
SMALL = FieldWork(model="cam", settings={"frequencies": 32, "width": 32, "grid_size": 16})
WAYS = ("grid_sample", "index", "embedding", "embedding_bag")
COMPILED_WAYS = WAYS[:3]  # the last is opaque to the compiler


class TorchCam(nn.Module):
    """The network of ours, for pictures; its trunk takes Fourier features.

    Scales and shifts of all layers are read at once: they lie at the same places.

    Args:
        field: gives the weights.
        lookup: one of WAYS.
    """

    frequencies: Tensor  # [M, 2]

    def __init__(self, field: Cam, lookup: str):
        super().__init__()
        self.lookup = lookup
        self.size = field.config.grid_size
        self.register_buffer("frequencies", field.frequencies)
        # [depth, 2, x, y, 1] -> [2 depth, x, y], or a row for each knot.
        table = field.table.detach().clone().flatten(0, 1).squeeze(-1)
        rows = table.flatten(1).T.contiguous()
        self.table = nn.Parameter(table if lookup == "grid_sample" else rows)
        layers = split_params(field.params.detach(), field.config.inputs, field.mlp)
        self.weights = nn.ParameterList([weight.clone() for weight, _ in layers])
        self.biases = nn.ParameterList([bias.clone() for _, bias in layers if bias is not None])

    def forward(self, coords: Tensor) -> Tensor:
        angles = 2 * math.pi * (coords @ self.frequencies.T)
        x = torch.cat([angles.cos(), angles.sin()], 1)
        modulation = self._modulation(coords).split(1, 1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = F.linear(x, weight, bias)
            if i < len(self.weights) - 1:
                scale, shift = modulation[2 * i : 2 * i + 2]
                x = F.relu(torch.addcmul(shift, scale, F.layer_norm(x, x.shape[1:])))
        return torch.sigmoid(x)

    def _modulation(self, coords: Tensor) -> Tensor:
        """[N, 2 depth] at [N, 2]."""
        if self.lookup == "grid_sample":  # which takes the last axis first
            places = coords.flip(1)[None, None] * 2 - 1
            read = F.grid_sample(
                self.table[None], places, padding_mode="border", align_corners=True
            )
            return read[0, :, 0].T
        position = coords * (self.size - 1)
        cell = position.floor().clamp(max=self.size - 2)
        upper = position - cell
        x, y = cell.to(torch.int32).unbind(1)
        row = x * self.size + y
        rows = torch.stack([row, row + 1, row + self.size, row + self.size + 1], 1)
        u, v = upper.unbind(1)
        shares = torch.stack([(1 - u) * (1 - v), (1 - u) * v, u * (1 - v), u * v], 1)
        if self.lookup == "embedding_bag":
            return F.embedding_bag(rows, self.table, mode="sum", per_sample_weights=shares)
        read = self.table[rows] if self.lookup == "index" else F.embedding(rows, self.table)
        return (read * shares[..., None]).sum(1)


def peer(work: FieldWork, lookup: str, mode: str | None = None) -> TorchPeer:
    return TorchPeer(work, TorchCam(work.field(), lookup), mode)


def rows(contest: Contest, threads: int) -> list[dict[str, Any]]:
    work: FieldWork = contest.work
    field = work.field()
    return compare(
        contest,
        f"CAM {work.settings['width']} wide",
        "step",
        partial(peer, work),
        eager=WAYS,
        compiled=COMPILED_WAYS,
        multiply_adds=of_network(field.mlp, field.config.inputs, "step"),
    )
