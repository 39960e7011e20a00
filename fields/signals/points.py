"""Points with normals as a signal: a surface of which no distance is known for sure but 0."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fields import ops
from fields.configs.shape import ShapeOptions
from fields.errors import FieldsError, flag
from fields.shapes import Shape
from fields.shapes.splats import splats
from fields.signals.of_shape import CELLS, ShapeSource

LEAST_POINTS = 100
_OF_MESHES = ("sign", "surface", "near", "jitter", "truncation", "eikonal")
NO_NORMALS = (
    "holds points without normals, which tell no inside; add normals (MeshLab and Open3D estimate"
    " them), or name a mesh"
)


class Guess:
    """Distances from small triangles that stand for the points: true within the gaps between
    them, with a sign by winding numbers."""

    def __init__(
        self, points: np.ndarray, normals: np.ndarray, spread: float, device: torch.device
    ):
        vertices, faces = splats(points, normals, torch.get_num_threads())
        self.bvh = ops.build_bvh(
            torch.from_numpy(vertices).to(device), torch.from_numpy(faces).to(device)
        )
        self.spread = spread
        self.has_area = self.bvh.total_area > 0

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates [count, 3] and distances [count, 1]; a pure function."""
        near = 0.75 if self.has_area else 0.0
        return ops.sample_shape(
            self.bvh,
            count,
            seed,
            step,
            surface=0.0,
            near=near,
            uniform=1 - near,
            sigma=self.spread,
            sign="winding",
        )


class PointSignal(ShapeSource):
    """Points of a surface and their normals on a device; the field is its signed distance.

    The first half of a batch are points, with their normals; the other half has distances that were
    guessed: three quarters of it lie near points, moved by `spread`, the rest anywhere in the cube.
    """

    kind = "points"
    loss = "points"
    sampled = 0
    stores = "sdf"

    def __init__(self, shape: Shape, options: ShapeOptions, device: torch.device):
        """Raises FieldsError for few points, points without normals and options of meshes alone."""
        if shape.normals is None:
            raise FieldsError(f"{shape.name} {NO_NORMALS}")
        if len(shape.vertices) < LEAST_POINTS:
            raise FieldsError(
                f"{shape.name} has {len(shape.vertices)} points; a surface takes {LEAST_POINTS} or"
                " more"
            )
        if options.stores not in ("auto", "sdf"):
            raise FieldsError(f"--stores {options.stores} needs a mesh; {shape.name} holds points")
        for name in _OF_MESHES:
            if getattr(options, name) != getattr(ShapeOptions(), name):
                raise FieldsError(f"{flag(name)} needs a mesh; {shape.name} holds points")
        super().__init__(shape, options, device)
        # No finer than the points lie: a finer grid learns how they are scattered.
        cells = min(max(round(len(shape.vertices) ** 0.5), 32), CELLS)
        self.shape = (cells, cells, cells)
        points = self.space.to_unit(shape.vertices).astype(np.float32)
        self.guess = Guess(points, shape.normals, options.spread, device)
        self.points = torch.from_numpy(points).to(device)
        self.normals = torch.from_numpy(shape.normals.astype(np.float32)).to(device)

    def __str__(self) -> str:
        return self._as("signed distance")

    def is_inside(self, values: Tensor) -> Tensor:
        """Which values [N] of a field are inside."""
        return values < 0

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates [count, 3], and normals and distances [count, 4]; a pure function."""
        generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
        on = count // 2
        chosen = torch.randint(len(self.points), (on,), generator=generator)
        chosen = chosen.to(self.points.device)
        coords, distances = self.guess.batch(count - on, seed, step)
        targets = coords.new_zeros(count, 4)
        targets[:on, :3], targets[on:, 3:] = self.normals[chosen], distances
        return torch.cat([self.points[chosen], coords]), targets

    @property
    def samples_for_fresh(self) -> Tensor:
        """[128, 128, 3]: how many points lie in each cell, seen along each axis."""
        at = (self.points * 128).long().clamp(0, 127)
        views = []
        for axis in range(3):
            u, v = (at[:, other] for other in range(3) if other != axis)
            views.append(torch.bincount(v * 128 + u, minlength=128 * 128).view(128, 128))
        return torch.stack(views, -1).float().clamp(max=1)

    def sampled_score(self, field: nn.Module) -> float:
        raise FieldsError("points alone have no score to reach; leave --target away")

    score = sampled_score
