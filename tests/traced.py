"""Fields on grids that store the distance to a ball or a ring, and rays to meet it."""

import math

import torch

import fields
from fields import ops

GRID = {"num_levels": 4, "features_per_level": 4, "base_resolution": 8, "growth": 1.5}


def ball(points, radius=0.3):
    return (points - 0.5).norm(dim=1) - radius


def ring(points, radius=0.3, thickness=0.08):
    x, y, z = (points - 0.5).unbind(1)
    return ((x**2 + y**2).sqrt() - radius).hypot(z) - thickness


def fitted(distance, model="hashgrid", steps=300):
    """A field of so many training steps towards `distance`."""
    settings = {"dim": 3, "log2_table_size": 13, **GRID}
    if model == "hashgrid":
        field = fields.HashGrid(1, **settings, width=32)
        step, spec = ops.grid_mlp_step, field.mlp
    else:
        field = fields.Rbf(1, **settings, kernels=32)
        step, spec = ops.grid_rbf_step, field.rbf
    state = [
        (p.data, torch.zeros_like(p), torch.zeros_like(p)) for p in (field.table, field.params)
    ]
    workspace = ops.step_workspace(field.table.data, 3, field.grid)
    generator = torch.Generator().manual_seed(0)
    for i in range(1, steps + 1):
        points = torch.rand(2048, 3, generator=generator)
        rates = {
            "lr_table": 1e-2 * (1 - i / steps) + 1e-4,
            "lr_params": 5e-3 * (1 - i / steps) + 1e-4,
        }
        step(
            points, distance(points)[:, None], *state, workspace, field.grid, spec, step=i, **rates
        )
    return field


def values_of(field):
    def values(points):
        with torch.no_grad():
            return field(points)[:, 0]

    return values


def picture(width=48, height=40, away=2.0, half=0.35):
    """Rays of a camera that sees the cube's middle: its place [1, 3] and their directions."""
    eye = torch.tensor([0.5, 0.5, 0.5]) + away * torch.nn.functional.normalize(
        torch.tensor([0.6, 0.4, 1.0]), dim=0
    )
    back = torch.nn.functional.normalize(eye - 0.5, dim=0)
    right = torch.nn.functional.normalize(
        torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), back), dim=0
    )
    up = torch.linalg.cross(back, right)
    x = half * (2 * (torch.arange(width) + 0.5) / width - 1)
    y = half * (1 - 2 * (torch.arange(height) + 0.5) / height)
    along = x[None, :, None] * right + y[:, None, None] * up - back
    return eye[None], torch.nn.functional.normalize(along.reshape(-1, 3), dim=1)


def scattered(count=400, seed=0):
    """From outside of the cube, most of them through the ball."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    aim = 0.5 + 0.25 * (torch.rand(count, 3, generator=generator) - 0.5)
    origins = 0.5 + 1.5 * start
    return origins, torch.nn.functional.normalize(aim - origins, dim=1)


def exact(origins, directions, radius=0.3):
    """Where rays meet the ball."""
    o = (origins - 0.5).double()
    b = (o * directions.double()).sum(1)
    inside = b**2 - (o**2).sum(1) + radius**2
    return torch.where(inside > 0, -b - inside.clamp(min=0).sqrt(), math.inf)
