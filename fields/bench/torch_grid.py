"""The hash grid with an MLP in plain torch: what our kernels are compared with.

Written as well as plain torch allows: all levels at once, 32-bit indices (they vectorise, and halve
the memory that moves). Eager torch takes all corners at once, which makes few calls. The compiler
gets them one by one and fuses them into one loop, 1.4 times as fast in 2D; in 3D it would start
threads for the eight corners of every sample. No way to look up rows is the fastest everywhere, so
all take part and a benchmark reports the fastest.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fields import ops
from fields.bench.workload import Workload
from fields.mlp import split_params

LOOKUPS = ("index", "embedding", "embedding_bag")
COMPILED_LOOKUPS = LOOKUPS[:2]  # embedding_bag is opaque to the compiler: five times slower
PRIMES = (1, 2654435761, 805459861)


class TorchHashGrid(nn.Module):
    """The features of ops.hash_grid, linear interpolation, up to three dimensions.

    Args:
        table: [P, F], copied.
        dim: of the coordinates.
        grid: its geometry.
        lookup: one of LOOKUPS.
        by_corner: take corners one by one, not all at once.
    """

    scale: Tensor  # [L, 1]
    strides: Tensor  # [dense levels, D]
    primes: Tensor  # [D]
    rows: Tensor  # [dense levels]
    offsets: Tensor  # [L]

    def __init__(
        self, table: Tensor, dim: int, grid: ops.GridSpec, lookup: str, *, by_corner: bool = False
    ):
        super().__init__()
        self.table = nn.Parameter(table.detach().clone())
        self.lookup = lookup
        self.by_corner = by_corner
        self.dim = dim
        rows, resolutions = grid.rows(dim), grid.resolutions()
        levels = torch.arange(grid.num_levels, dtype=torch.float32)
        scale = torch.exp2(levels * torch.tensor(grid.growth).log2()) * grid.base_resolution - 1
        # Levels grow, so the dense ones come first.
        self.num_dense = sum(r**dim <= n for r, n in zip(resolutions, rows, strict=True))
        dense = slice(0, self.num_dense)
        strides = [[r**d for d in range(dim)] for r in resolutions[dense]]
        starts = torch.tensor([0, *rows[:-1]]).cumsum(0)
        self.mask = 2**grid.log2_table_size - 1
        self.register_buffer("scale", scale[:, None])
        self.register_buffer("strides", torch.tensor(strides, dtype=torch.int32).view(-1, dim))
        # The hash is arithmetic modulo 2^32; signed overflow in torch wraps just so.
        self.register_buffer("primes", torch.tensor(PRIMES[:dim]).to(torch.int32))
        self.register_buffer("rows", torch.tensor(rows[dense], dtype=torch.int32))
        self.register_buffer("offsets", starts.to(torch.int32))

    def forward(self, coords: Tensor) -> Tensor:
        """coords [N, D] -> [N, L * F], level major."""
        position = coords[:, None, :] * self.scale + 0.5
        cell = position.floor()
        upper, vertex = position - cell, cell.to(torch.int32)
        if not self.by_corner:
            return self._all_at_once(vertex, torch.stack([1 - upper, upper], -1))
        features = torch.zeros(())
        for corner in itertools.product((0, 1), repeat=self.dim):
            rows = self._rows([vertex[:, :, d] + side for d, side in enumerate(corner)])
            share = torch.ones(())
            for d, side in enumerate(corner):
                share = share * (upper[:, :, d] if side else 1 - upper[:, :, d])
            features = features + self._look_up(rows) * share[..., None]
        return features.flatten(1)

    def _all_at_once(self, vertex: Tensor, weight: Tensor) -> Tensor:
        """From the lower vertices [N, L, D] and the weights of both sides [N, L, D, 2].

        Each axis gets a dimension of its own for its two sides, so the corners arise where axes
        are combined: [N, L, 2, ..., 2].
        """
        shapes = [[2 if a == d else 1 for a in range(self.dim)] for d in range(self.dim)]
        sides = vertex[..., None] + torch.arange(2, dtype=torch.int32)
        kept = vertex.shape[:2]
        rows = self._rows([sides[:, :, d].view(*kept, *s) for d, s in enumerate(shapes)])
        share = torch.ones(())
        for d, shape in enumerate(shapes):
            share = share * weight[:, :, d].reshape(*kept, *shape)
        if self.lookup == "embedding_bag":
            n = 2**self.dim
            rows, share = rows.view(-1, n), share.reshape(-1, n)
            bags = F.embedding_bag(rows, self.table, mode="sum", per_sample_weights=share)
            return bags.view(len(vertex), -1)
        return (self._look_up(rows) * share[..., None]).flatten(2, -2).sum(2).flatten(1)

    def _look_up(self, rows: Tensor) -> Tensor:
        return self.table[rows] if self.lookup == "index" else F.embedding(rows, self.table)

    def _rows(self, vertex: list[Tensor]) -> Tensor:
        """Rows of the table from an axis's coordinates [N, L, ...] each."""
        extra = [1] * (vertex[0].dim() - 2)
        dense, hashed = slice(0, self.num_dense), slice(self.num_dense, None)
        row, code = vertex[0][:, dense], vertex[0][:, hashed]
        for d in range(1, self.dim):
            row = row + vertex[d][:, dense] * self.strides[:, d].view(-1, *extra)
            code = code ^ (vertex[d][:, hashed] * self.primes[d])
        # Modulo, since it is below twice the rows. Not torch.where: for AVX2 torch 2.13 compiles
        # that wrongly.
        rows = self.rows.view(-1, *extra)
        row = row - rows * (row >= rows)
        return torch.cat([row, code & self.mask], 1) + self.offsets.view(-1, *extra)


class TorchField(nn.Module):
    """Grid and MLP with the weights of a workload."""

    def __init__(self, work: Workload, lookup: str, *, by_corner: bool = False):
        super().__init__()
        table, params = work.weights()
        self.grid = TorchHashGrid(table, work.dim, work.grid, lookup, by_corner=by_corner)
        layers = split_params(params, work.inputs, work.mlp())
        self.weights = nn.ParameterList([weight.clone() for weight, _ in layers])

    def forward(self, coords: Tensor) -> Tensor:
        x = self.grid(coords)
        for weight in self.weights[:-1]:
            x = F.relu(F.linear(x, weight))
        return F.linear(x, self.weights[-1])
