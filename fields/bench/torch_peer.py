"""The same field in plain torch: what our kernels are compared with.

Written as well as plain torch allows: all levels at once, 32-bit indices (they vectorise, and halve
the memory that moves), Adam in one fused kernel. Three ways to look the corners up, since none is
the fastest everywhere; torch.compile in the modes that mean something on a CPU ("reduce-overhead"
adds CUDA graphs alone). A benchmark reports the fastest.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fields.bench.workload import BETAS, EPS, RATE, Workload
from fields.mlp import split_params

LOOKUPS = ("index", "embedding", "embedding_bag")
# embedding_bag is an opaque kernel for the compiler: five times slower than the others.
COMPILED = [
    (mode, lookup)
    for mode in ("default", "max-autotune-no-cudagraphs")
    for lookup in ("index", "embedding")
]
PRIMES = (1, 2654435761, 805459861)


class TorchHashGrid(nn.Module):
    """The features of ops.hash_grid, linear interpolation, up to three dimensions.

    Args:
        table: [P, F], copied.
        work: geometry of the grid.
        lookup: one of LOOKUPS.
    """

    scale: Tensor
    sides: Tensor
    strides: Tensor
    primes: Tensor
    rows: Tensor
    offsets: Tensor

    def __init__(self, table: Tensor, work: Workload, lookup: str):
        super().__init__()
        self.table = nn.Parameter(table.clone())
        self.lookup = lookup
        self.dim = dim = work.dim
        grid = work.grid
        rows, resolutions = grid.rows(dim), grid.resolutions()
        levels = torch.arange(grid.num_levels, dtype=torch.float32)
        scale = torch.exp2(levels * torch.tensor(grid.growth).log2()) * grid.base_resolution - 1
        # Levels grow, so the dense ones come first.
        self.num_dense = sum(r**dim <= n for r, n in zip(resolutions, rows, strict=True))
        dense = slice(0, self.num_dense)
        strides = [[r**d for d in range(dim)] for r in resolutions[dense]]
        starts = torch.tensor([0, *rows[:-1]]).cumsum(0)
        shape = (-1, *[1] * dim)
        self.mask = 2**grid.log2_table_size - 1
        self.register_buffer("scale", scale[:, None])
        self.register_buffer("sides", torch.tensor([0, 1], dtype=torch.int32))
        self.register_buffer("strides", torch.tensor(strides, dtype=torch.int32).view(-1, dim, 1))
        # The hash is arithmetic modulo 2^32; signed overflow in torch wraps just so.
        self.register_buffer("primes", torch.tensor(PRIMES[:dim]).to(torch.int32)[:, None])
        self.register_buffer("rows", torch.tensor(rows[dense], dtype=torch.int32).view(shape))
        self.register_buffer("offsets", starts.to(torch.int32).view(shape))

    def forward(self, coords: Tensor) -> Tensor:
        """coords [N, D] -> [N, L * F], level major."""
        position = coords[:, None, :] * self.scale + 0.5
        cell = position.floor()
        upper = position - cell
        vertex = cell.to(torch.int32)[..., None] + self.sides  # [N, L, D, 2]
        side_weight = torch.stack([1 - upper, upper], -1)
        dense = vertex[:, : self.num_dense] * self.strides
        hashed = vertex[:, self.num_dense :] * self.primes
        row, code, weight = (self._axis(t, 0) for t in (dense, hashed, side_weight))
        for d in range(1, self.dim):
            row = row + self._axis(dense, d)
            code = code ^ self._axis(hashed, d)
            weight = weight * self._axis(side_weight, d)
        row = torch.where(row >= self.rows, row - self.rows, row)  # modulo: it is below twice that
        corners = torch.cat([row, code & self.mask], 1) + self.offsets  # [N, L, 2, ..., 2]
        if self.lookup == "embedding_bag":
            n = 2**self.dim
            bags = F.embedding_bag(
                corners.view(-1, n),
                self.table,
                mode="sum",
                per_sample_weights=weight.reshape(-1, n),
            )
            return bags.view(len(coords), -1)
        index = self.lookup == "index"
        values = self.table[corners] if index else F.embedding(corners, self.table)
        return (values * weight[..., None]).flatten(2, -2).sum(2).flatten(1)

    def _axis(self, per_axis: Tensor, d: int) -> Tensor:
        """[N, L, D, 2] -> axis d alone, [N, L, 1, .., 2, .., 1], to be combined with the others."""
        shape = [2 if axis == d else 1 for axis in range(self.dim)]
        return per_axis[:, :, d].reshape(*per_axis.shape[:2], *shape)


class TorchField(nn.Module):
    """Grid and MLP with the weights of a workload."""

    def __init__(self, work: Workload, lookup: str):
        super().__init__()
        table, params = work.weights()
        self.grid = TorchHashGrid(table, work, lookup)
        layers = split_params(params, work.inputs, work.mlp())
        self.weights = nn.ParameterList([weight.clone() for weight, _ in layers])

    def forward(self, coords: Tensor) -> Tensor:
        x = self.grid(coords)
        for weight in self.weights[:-1]:
            x = F.relu(F.linear(x, weight))
        return F.linear(x, self.weights[-1])


class TorchPeer:
    """Trains and asks a TorchField.

    Args:
        work: the model and the samples.
        lookup: one of LOOKUPS.
        mode: of torch.compile; None is eager.
    """

    def __init__(self, work: Workload, lookup: str, mode: str | None = None):
        self.work = work
        self.field = TorchField(work, lookup)
        self.optimizer = torch.optim.Adam(
            self.field.parameters(), lr=RATE, betas=BETAS, eps=EPS, fused=True
        )
        self._values, self._loss = self.field.__call__, self._plain_loss
        if mode is not None:
            self._values = torch.compile(self.field, mode=mode, dynamic=False)
            self._loss = torch.compile(self._plain_loss, mode=mode, dynamic=False)

    def _plain_loss(self, coords: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(self.field(coords), targets)

    def step(self, index: int) -> Tensor:
        """One training step on a batch of the workload; its loss before the step."""
        batches = self.work.batches
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(*batches[index % len(batches)])
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def infer(self) -> Tensor:
        """Values [points, C]; in chunks of a batch, which is faster here than all at once."""
        with torch.inference_mode():
            chunks = self.work.coords.split(self.work.batch)
            return torch.cat([self._values(chunk) for chunk in chunks])
