"""Points with normals as a signal: a surface of which no distance is known but 0."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fields.configs.shape import ShapeOptions
from fields.errors import FieldsError, flag
from fields.shapes import Shape
from fields.signals.of_shape import ShapeSource

_OF_MESHES = ("sign", "surface", "near", "jitter", "truncation", "eikonal")


class PointSignal(ShapeSource):
    """Points of a surface and their normals on a device; the field is its signed distance.

    The first half of a batch are points, with their normals for values; the other half has no
    values (0): three quarters of it lie around points, normal with deviation `spread`, the rest
    anywhere in the cube.
    """

    loss = "points"
    sampled = 0
    stores = "sdf"

    def __init__(self, shape: Shape, options: ShapeOptions, device: torch.device):
        """Raises FieldsError for points without normals, and for options of meshes alone."""
        if shape.normals is None:
            raise FieldsError(
                f"{shape.name} holds points without normals, which tell no inside; add normals"
                " (MeshLab and Open3D estimate them), or name a mesh"
            )
        if options.stores not in ("auto", "sdf"):
            raise FieldsError(f"--stores {options.stores} needs a mesh; {shape.name} holds points")
        for name in _OF_MESHES:
            if getattr(options, name) != getattr(ShapeOptions(), name):
                raise FieldsError(f"{flag(name)} needs a mesh; {shape.name} holds points")
        super().__init__(shape, options)
        points = self.space.to_unit(shape.vertices).astype(np.float32)
        self.points = torch.from_numpy(points).to(device)
        self.normals = torch.from_numpy(shape.normals.astype(np.float32)).to(device)

    def __str__(self) -> str:
        return f"{self.source}, as signed distance"

    def is_inside(self, values: Tensor) -> Tensor:
        """Which values [N] of a field are inside."""
        return values < 0

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates [count, 3] and normals or zeros [count, 3]; a pure function."""
        generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)

        def drawn(number: int) -> Tensor:
            return torch.randint(len(self.points), (number,), generator=generator)

        on, off = count // 2, count - count // 2
        near = off * 3 // 4
        device = self.points.device
        chosen = drawn(on).to(device)
        around = self.points[drawn(near).to(device)]
        moved = torch.randn(near, 3, generator=generator).to(device) * self.options.spread
        anywhere = torch.rand(off - near, 3, generator=generator).to(device)
        coords = torch.cat([self.points[chosen], (around + moved).clamp(0, 1), anywhere])
        return coords, torch.cat([self.normals[chosen], coords.new_zeros(off, 3)])

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
