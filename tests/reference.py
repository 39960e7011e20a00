"""Twins of the ops in plain NumPy and plain torch, written from the documented rules alone.

The NumPy half computes the hash grid in float64, one corner after the other, with nothing shared
with the kernels. The torch half says the same in differentiable operations, so that autograd is the
reference of every backward. The two are compared with each other in test_reference.py.

`spec` is anything with the attributes of ops.GridSpec or ops.MlpSpec.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch

PRIMES = (1, 2654435761, 805459861, 3674653429)
ACTIVATIONS = {
    "none": lambda z: z,
    "relu": torch.relu,
    "sine": torch.sin,
    "sigmoid": torch.sigmoid,
    "softplus": torch.nn.functional.softplus,
    "exp": torch.exp,
    "finer": torch.sin,
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class Level:
    """One level of a hash grid: where its rows lie and how coordinates are scaled onto it."""

    scale: float
    resolution: int
    rows: int
    offset: int
    hashed: bool


def levels(dim, spec):
    """Geometry of every level (tiny-cuda-nn's rule; its arithmetic is in float32)."""
    found, offset = [], 0
    # Rounded from float64: correctly rounded, whatever the float32 functions of a library do.
    log2_growth = np.float32(math.log2(np.float32(spec.growth)))
    for index in range(spec.num_levels):
        power = np.float32(2.0 ** float(np.float32(index) * log2_growth))
        scale = power * np.float32(spec.base_resolution) - np.float32(1)
        resolution = int(np.ceil(scale)) + 1
        vertices = resolution**dim
        rows = min(-(-vertices // 8) * 8, 2**spec.log2_table_size)
        found.append(Level(float(scale), resolution, rows, offset, vertices > rows))
        offset += rows
    return found


def num_rows(dim, spec):
    """Rows of the whole table."""
    return sum(level.rows for level in levels(dim, spec))


def vertex_row(level, vertex):
    """Row of a vertex (a sequence of ints) within its level."""
    if level.hashed:
        row = 0
        for cell, prime in zip(vertex, PRIMES, strict=False):
            row ^= (int(cell) * prime) % 2**32
    else:
        row = sum(int(cell) * level.resolution**axis for axis, cell in enumerate(vertex))
    return row % level.rows


def hash_grid_numpy(coords, table, spec):
    """Features [N, L * F] in float64, sample by sample and corner by corner."""
    coords, table = np.asarray(coords, np.float64), np.asarray(table, np.float64)
    count, dim = coords.shape
    features = np.zeros((count, spec.num_levels, table.shape[1]))
    for index, level in enumerate(levels(dim, spec)):
        for sample in range(count):
            position = coords[sample] * level.scale + 0.5
            cell = np.floor(position)
            upper = position - cell
            if spec.smoothstep:
                upper = upper**2 * (3 - 2 * upper)
            for corner in itertools.product((0, 1), repeat=dim):
                weight = np.prod(np.where(corner, upper, 1 - upper))
                row = level.offset + vertex_row(level, cell + corner)
                features[sample, index] += weight * table[row]
    return features.reshape(count, -1)


def hash_grid(coords, table, spec):
    """Features [N, L * F]; twice differentiable in coords and table, away from cell faces."""
    dim = coords.shape[1]
    features = []
    for level in levels(dim, spec):
        position = coords * level.scale + 0.5
        cell = position.detach().floor().to(torch.int64)
        upper = position - cell
        if spec.smoothstep:
            upper = upper * upper * (3 - 2 * upper)
        total = 0
        for corner in itertools.product((0, 1), repeat=dim):
            vertex = cell + torch.tensor(corner, device=cell.device)
            weight = torch.ones_like(position[:, 0])
            for axis, side in enumerate(corner):
                weight = weight * (upper[:, axis] if side else 1 - upper[:, axis])
            rows = level.offset + _rows(level, vertex)
            total = total + weight[:, None] * table[rows]
        features.append(total)
    return torch.cat(features, 1)


def _rows(level, vertex):
    if level.hashed:
        row = torch.zeros_like(vertex[:, 0])
        for axis in range(vertex.shape[1]):
            row = row ^ ((vertex[:, axis] * PRIMES[axis]) & 0xFFFFFFFF)
    else:
        row = sum(vertex[:, axis] * level.resolution**axis for axis in range(vertex.shape[1]))
    return row % level.rows


def hash_grid_with_grad(coords, table, spec):
    """Features [N, L * F] and d features / d coords [N, L * F, D]; both differentiable."""
    with torch.enable_grad():
        x = coords if coords.requires_grad else coords.detach().requires_grad_()
        features = hash_grid(x, table, spec)
        columns = [
            torch.autograd.grad(features[:, j].sum(), x, create_graph=True)[0]
            for j in range(features.shape[1])
        ]
    return features, torch.stack(columns, 1)


def touched_rows(coords, spec):
    """bool [P]: which rows of the table the samples read with a weight that is not zero."""
    table = torch.zeros(num_rows(coords.shape[1], spec), 1, dtype=torch.float64)
    table.requires_grad_()
    (grad,) = torch.autograd.grad(hash_grid(coords.double(), table, spec).sum(), table)
    return grad[:, 0] != 0


def mlp_layers(params, inputs, spec):
    """[(W [out, in], b [out] or None), ...], views of the flat parameter vector."""
    sizes = [inputs] + [spec.width] * spec.depth + [spec.channels]
    layers, offset = [], 0
    for fan_in, fan_out in itertools.pairwise(sizes):
        weight = params[offset : offset + fan_out * fan_in].view(fan_out, fan_in)
        offset += fan_out * fan_in
        bias = params[offset : offset + fan_out] if spec.bias else None
        offset += fan_out if spec.bias else 0
        layers.append((weight, bias))
    assert offset == params.numel()
    return layers


def num_params(inputs, spec):
    """Length of the flat parameter vector."""
    sizes = [inputs] + [spec.width] * spec.depth + [spec.channels]
    return sum(o * (i + bool(spec.bias)) for i, o in itertools.pairwise(sizes))


LOSSES = {
    "l2": torch.nn.functional.mse_loss,
    "l1": torch.nn.functional.l1_loss,
    "relative": lambda values, targets: ((values - targets).abs() / (targets.abs() + 0.01)).mean(),
    "binary": torch.nn.functional.binary_cross_entropy_with_logits,
}


class Bf16Linear(torch.autograd.Function):
    """torch's linear with every operand of every product rounded to bf16, sums exact."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        x, weight = _to_bf16(x), _to_bf16(weight)
        ctx.save_for_backward(x, weight)
        return torch.nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx, *grads):
        x, weight = ctx.saved_tensors
        grad = _to_bf16(grads[0])
        return grad @ weight, grad.t() @ x, grad.sum(0) if ctx.needs_input_grad[2] else None


def _to_bf16(x):
    return x.float().bfloat16().to(x.dtype)


def mlp(x, params, spec, linear=torch.nn.functional.linear):
    """[N, I] -> [N, channels]."""
    layers = mlp_layers(params, x.shape[1], spec)
    for index, (weight, bias) in enumerate(layers):
        last = index == len(layers) - 1
        activation = ACTIVATIONS[spec.output_activation if last else spec.activation]
        omega = spec.omega if index else spec.first_omega
        if spec.activation == "finer":
            x = linear(x, weight, bias)
            x = x if last else omega * (x.abs() + 1).detach() * x
        else:
            x = linear(x, omega * weight, bias)
        x = activation(x)
    return x


def grid_mlp(coords, table, params, grid_spec, mlp_spec, **options):
    """[N, D] -> [N, channels]: the hash grid followed by the MLP."""
    return mlp(hash_grid(coords, table, grid_spec), params, mlp_spec, **options)


class Trainer:
    """Autograd and torch.optim.Adam: what a fused training step must equal.

    Weight decay is L2 and acts on the MLP alone; the table has a learning rate of its own.
    """

    def __init__(self, table, params, grid_spec, mlp_spec, *, lr_table, lr_params, betas, eps,
                 weight_decay=0.0, loss="l2"):  # fmt: skip
        self.table = table.detach().clone().requires_grad_()
        self.params = params.detach().clone().requires_grad_()
        self.specs = grid_spec, mlp_spec
        self.loss = LOSSES[loss]
        groups = [
            {"params": [self.table], "lr": lr_table},
            {"params": [self.params], "lr": lr_params, "weight_decay": weight_decay},
        ]
        self.optimizer = torch.optim.Adam(groups, betas=betas, eps=eps)

    def step(self, coords, targets):
        """One step on a batch; returns its loss, before the step."""
        self.optimizer.zero_grad()
        loss = self.loss(grid_mlp(coords, self.table, self.params, *self.specs), targets)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def coords_away_from_faces(count, dim, spec, *, generator, margin=0.05, dtype=torch.float64):
    """[count, dim] in [0, 1], at least `margin` of a cell from every cell face of every level."""
    scales = torch.tensor([level.scale for level in levels(dim, spec)], dtype=torch.float64)
    kept = torch.empty(0, dim, dtype=torch.float64)
    while len(kept) < count:
        coords = torch.rand(4 * count + 64, dim, dtype=torch.float64, generator=generator)
        fraction = (coords[:, :, None] * scales + 0.5) % 1
        inside = ((fraction > margin) & (fraction < 1 - margin)).flatten(1).all(1)
        kept = torch.cat([kept, coords[inside]])
    return kept[:count].to(dtype)


def knots(grid, positions):
    """Linear interpolation of grid [*knots, channels] at positions [N, K] in [0, 1]: [N, channels].

    The first and the last knot of axis k lie at 0 and 1 of positions[:, k].
    """
    dim = positions.shape[1]
    sizes = torch.tensor(grid.shape[:dim], device=positions.device)
    place = positions * (sizes - 1).to(positions)
    lower = torch.minimum(place.detach().floor().long(), sizes - 2)
    t = place - lower
    total = torch.zeros(len(positions), grid.shape[-1]).to(grid)
    for corner in itertools.product((0, 1), repeat=dim):
        weight = torch.ones_like(t[:, 0])
        for axis, side in enumerate(corner):
            weight = weight * (t[:, axis] if side else 1 - t[:, axis])
        total = total + weight[:, None] * grid[tuple((lower + torch.tensor(corner)).T)]
    return total


def modulate(h, positions, gamma, beta, spec):
    """[N, C] -> [N, C]: normalised, scaled, shifted and activated (Lee et al. 2024)."""
    if spec.normalise != "none":
        samples = spec.samples if spec.normalise == "ray" else 1
        group = h.reshape(-1, samples, h.shape[1])
        h = torch.nn.functional.layer_norm(group, group.shape[1:], eps=1e-5).reshape(h.shape)
    z = knots(gamma, positions) * h + knots(beta, positions)
    return (
        torch.sin(spec.omega * z) if spec.activation == "sine" else ACTIVATIONS[spec.activation](z)
    )
