"""Twins of marching and compositing in plain NumPy and torch, from the documented rules alone.

Nothing is skipped here: every place of a ray's lattice is looked at, in float64, one after the
other. `spec` is anything with the attributes of ops.MarchSpec.
"""

import math

import numpy as np
import torch


def mix(x):
    """csrc/maths/random.h"""
    x ^= x >> 16
    x = x * 0x21F0AAAD & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 0x735A2D97 & 0xFFFFFFFF
    return x ^ x >> 15


def mix_two(seed, index):
    return mix(mix(seed) + index & 0xFFFFFFFF)


def offset(ray, seed, step):
    """Where in its first step a ray begins."""
    if seed is None:
        return 0.5
    key = mix_two(mix_two(seed & 0xFFFFFFFF, seed >> 32), step)
    return (mix_two(key, ray) >> 8) / 2**24


def contract(x):
    """All of space into the unit cube (Barron et al. 2022, eq. 10, with the largest coordinate)."""
    y = 2 * x - 1
    r = np.abs(y).max()
    return (y if r <= 1 else (2 - 1 / r) * y / r) / 4 + 0.5


def step_at(spec, t):
    if spec.growth == 0:
        return spec.step
    return min(max(t * spec.growth, spec.step), spec.largest_step)


def ends(spec, origin, direction):
    """Where a ray begins and ends."""
    near, far = spec.near, spec.far
    for o, d in zip(origin, direction, strict=True):
        if spec.contract:
            break
        if d == 0:
            near, far = (near, far) if 0 <= o <= 1 else (1, 0)
            continue
        near = max(near, min(-o / d, (1 - o) / d))
        far = min(far, max(-o / d, (1 - o) / d))
    return near, far


def cascade_of(cascades, resolution, x, dt):
    """The finest cascade that holds x and has cells of more than dt."""
    for cascade in range(cascades):
        side = 2.0 ** (cascade + 1 - cascades)
        if np.abs(x - 0.5).max() < side / 2 and side / resolution > dt:
            return cascade
    return cascades - 1


def is_set(cells, x, dt):
    """Whether the cell of x is set, and how far x is from what would change that answer.

    cells: [C, n, n, n] bool in the order z, y, x, each cascade holding what finer ones hold.
    """
    cascades, n = cells.shape[:2]
    cascade = cascade_of(cascades, n, x, dt)
    place = ((x - 0.5) * 2.0 ** (cascades - 1 - cascade) + 0.5) * n
    cell = np.clip(np.floor(place).astype(int), 0, n - 1)
    margin = np.abs(place - np.round(place)).min() / n * 2.0 ** (cascade + 1 - cascades)
    return cells[cascade, cell[2], cell[1], cell[0]], margin


def with_finer(cells):
    """Cells that are set, or hold a set cell of the next finer cascade."""
    cells = np.array(cells)
    n = cells.shape[1]
    middle = slice(n // 4, n // 4 + n // 2)
    for cascade in range(1, len(cells)):
        finer = cells[cascade - 1].reshape(n // 2, 2, n // 2, 2, n // 2, 2).any((1, 3, 5))
        cells[cascade, middle, middle, middle] |= finer
    return cells


def march(origins, directions, cells, spec, *, seed=None, step=0):
    """[(ray, t, dt, coords, margin)]: every place of the lattice whose cell is set, with how far it
    is from a face or an end; and the places that are left out by no more than that."""
    taken, close = [], []
    for ray, (origin, direction) in enumerate(zip(origins, directions, strict=True)):
        near, far = ends(spec, origin, direction)
        if near >= far:
            continue
        t = near + offset(ray, seed, step) * step_at(spec, near)
        while t < far + 1e-4:
            dt = step_at(spec, t)
            x = origin + t * direction
            x = contract(x) if spec.contract else np.clip(x, 0, 1)
            set_, margin = is_set(cells, x, dt)
            margin = min(margin, abs(t - far))
            (taken if set_ and t < far else close).append((ray, t, dt, x, margin))
            t += dt
    return taken, [place for place in close if place[-1] < 1e-4]


def bits(density, threshold):
    """The pyramid of bits [C, words] as Python integers, from densities [C, n, n, n]."""
    seen = density[density >= 0]
    level = min(threshold, seen.mean(dtype=np.float64)) if seen.size else 0.0
    cells = with_finer(density > level)
    rows = []
    for cascade in cells:
        words, grid = [], cascade
        while len(grid) >= 4:
            bricks = len(grid) // 4
            cut = grid.reshape(bricks, 4, bricks, 4, bricks, 4).transpose(0, 2, 4, 1, 3, 5)
            cut = cut.reshape(bricks, bricks, bricks, 64)
            words += [sum(1 << i for i in range(64) if brick[i]) for brick in cut.reshape(-1, 64)]
            grid = cut.any(-1)
        rows.append(words)
    return cells, rows


def composite(sigma, colour, t, dt, offsets):
    """colour [R, C], opacity [R], depth [R] and weights [N], ray by ray, differentiable."""
    sums, opacities, depths, all_weights = [], [], [], []
    for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        passed = torch.exp(-sigma[begin:end] * dt[begin:end])
        before = torch.cumprod(torch.cat([torch.ones(1).to(passed), passed]), 0)[:-1]
        weights = before * (1 - passed)
        sums.append((weights[:, None] * colour[begin:end]).sum(0))
        opacities.append(weights.sum())
        depths.append((weights * t[begin:end]).sum())
        all_weights.append(weights)
    return torch.stack(sums), torch.stack(opacities), torch.stack(depths), torch.cat(all_weights)


def harmonics(directions):
    """The 16 real spherical harmonics of bands 0 to 3, from associated Legendre polynomials."""
    from scipy.special import lpmv

    d = directions.double().numpy()
    phi, cosine = np.arctan2(d[:, 1], d[:, 0]), d[:, 2]
    columns = []
    for band in range(4):
        for m in range(-band, band + 1):
            k = abs(m)
            size = math.sqrt(
                (2 * band + 1) / (4 * math.pi) * math.factorial(band - k) / math.factorial(band + k)
            )
            legendre = size * lpmv(k, band, cosine)
            if m:
                legendre = legendre * math.sqrt(2) * (np.cos(k * phi) if m > 0 else np.sin(k * phi))
            columns.append(legendre)
    return torch.from_numpy(np.stack(columns, 1))
