"""Points with normals as a signal: a surface of which no distance is known for sure but near it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fields import ops
from fields.configs.shape import ShapeOptions
from fields.errors import FieldsError
from fields.shapes import Shape
from fields.shapes.splats import splats
from fields.signals.of_shape import CELLS, ShapeSource

LEAST_POINTS = 100
NO_NORMALS = (
    "holds points without normals, which tell no inside; add normals (MeshLab and Open3D estimate"
    " them), or name a mesh"
)


class PointSignal(ShapeSource):
    """Points of a surface and their normals on a device; the field is its signed distance.

    What of a batch lies on the surface are points, moved along their normals by `jitter`: how far
    they were moved is their distance, and tells the normals. The rest, near the surface and
    anywhere, has distances from small triangles that stand for the points: true within the gaps
    between them, with a sign by winding numbers.

    So steps are those of a mesh. Terms for slopes (Gropp et al. 2020), which `eikonal` asks for,
    take second derivatives and end no higher: of 20,000 points of a statue, and of as many whose
    normals are off by 0.3.
    """

    kind = "points"
    loss = "relative"
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
        if options.sign != "auto":
            raise FieldsError(f"--sign needs a mesh; {shape.name} holds points")
        super().__init__(shape, options, device)
        # No finer than the points lie: a finer grid learns how they are scattered.
        cells = min(max(round(len(shape.vertices) ** 0.5), 32), CELLS)
        self.shape = (cells, cells, cells)
        points = self.space.to_unit(shape.vertices).astype(np.float32)
        vertices, faces = splats(points, shape.normals, torch.get_num_threads())
        self.bvh = ops.build_bvh(
            torch.from_numpy(vertices).to(device), torch.from_numpy(faces).to(device)
        )
        self.points = torch.from_numpy(points).to(device)
        self.normals = torch.from_numpy(shape.normals.astype(np.float32)).to(device)

    def __str__(self) -> str:
        return self._as("signed distance")

    def distance(self, points: Tensor) -> Tensor:
        """Signed distances [N] of points [N, 3] in the unit cube, as far as they are known."""
        distances = ops.closest_point(self.bvh, points, signed=False)[0]
        inside = ops.winding_number(self.bvh, points) > 0.5
        return torch.where(inside, -distances, distances)

    def is_inside(self, values: Tensor) -> Tensor:
        """Which values [N] of a field are inside."""
        return values < 0

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates [count, 3] and distances [count, 1]; a pure function."""
        coords, targets = self.with_normals(count, seed, step)
        return coords, targets[:, :1].contiguous()

    def with_normals(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """The coordinates of `batch`, and [count, 4]: distances, and the normals of those on the
        surface; 0 for others."""
        options = self.options
        on = round(count * options.surface)
        coords, distances, normals = self._on_surface(on, seed, step)
        parts = [(coords, distances)]
        if on < count:
            # Points in few places have triangles without area.
            has_area = self.bvh.total_area > 0
            parts.append(
                ops.sample_shape(
                    self.bvh,
                    count - on,
                    seed,
                    step,
                    surface=0.0,
                    near=options.near if has_area else 0.0,
                    uniform=options.uniform if has_area else 1.0,
                    sigma=options.spread,
                    sign="winding",
                )
            )
        coords, distances = (torch.cat(part) for part in zip(*parts, strict=True))
        most = options.truncation or torch.inf
        normals = torch.cat([normals, normals.new_zeros(count - on, 3)])
        return coords, torch.cat([distances.clamp_(-most, most), normals], 1)

    def _on_surface(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Points [count, 3] moved along their normals, by how much [count, 1], and these [count,
        3]."""
        generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
        chosen = torch.randint(len(self.points), (count,), generator=generator)
        moved = self.options.jitter * torch.randn(count, 1, generator=generator)
        device = self.points.device
        points, normals = self.points[chosen.to(device)], self.normals[chosen.to(device)]
        coords = (points + moved.to(device) * normals).clamp_(0, 1)
        return coords, ((coords - points) * normals).sum(1, keepdim=True), normals

    def sampled_score(self, field: nn.Module) -> float:
        raise FieldsError("points alone have no score to reach; leave --target away")

    score = sampled_score
