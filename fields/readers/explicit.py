"""What meshes say of themselves, for comparison with fields: nine numbers, and points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields.many.field import key_of
from fields.many.workers import in_processes
from fields.shapes import ShapeSpace, read_shape

POINTS = 1024
NUMBERS = (
    "extent x", "extent y", "extent z", "volume", "area", "volume of box", "area of box",
    "roundness", "thickness",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Explicit:
    """Of N shapes, in the order of a set.

    Attributes:
        numbers: [N, 9], see `nine_numbers`.
        points: [N, 1024, 3] on their surfaces, in the unit cube.
    """

    numbers: Tensor
    points: Tensor


def explicit_of(folder: Path, entries: Sequence[dict[str, Any]], processes: int = 1) -> Explicit:
    """Of the shapes of an index, copies included; paths begin at `folder`."""
    rows = defaultdict(list)
    for row, entry in enumerate(entries):
        rows[entry["path"]].append(row)
    numbers, points = torch.empty(len(entries), 9), torch.empty(len(entries), POINTS, 3)

    def work(path: str) -> tuple[np.ndarray, np.ndarray]:
        return measured(folder / path, [entries[row]["scale"] for row in rows[path]])

    found = in_processes(processes, work, list(rows), stopped=lambda: False)
    for path, (of_path, on_path) in found:
        numbers[rows[path]] = torch.from_numpy(of_path).float()
        points[rows[path]] = torch.from_numpy(on_path).float()
    return Explicit(numbers, points)


def measured(path: Path, scales: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """A mesh with its axes scaled by each of S `scales`: numbers [S, 9] and points [S, 1024, 3]."""
    shape = read_shape(path)
    numbers, points = [], []
    for number, scale in enumerate(scales):
        scaled = shape.vertices * np.asarray(scale)
        vertices = ShapeSpace.around(scaled).to_unit(scaled)
        numbers.append(nine_numbers(vertices, shape.faces))
        rng = np.random.default_rng(key_of("points", path.name, number))
        points.append(on_surface(vertices, shape.faces, POINTS, rng)[0])
    return np.stack(numbers), np.stack(points)


def nine_numbers(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Of a closed mesh whose longest side is the same for all: its three extents, volume and area;
    the shares that volume and area are of its box's; 36 pi volume^2 / area^3, which is 1 of a ball;
    and volume / area. Volumes are at least 0. Float64 [9]."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = max(float(np.linalg.norm(cross, axis=1).sum()) / 2, 1e-12)
    volume = max(float((corners[:, 0] * cross).sum()) / 6, 0.0)
    x, y, z = np.maximum(np.ptp(vertices, axis=0), 1e-6)
    box, sides = x * y * z, 2 * (x * y + y * z + z * x)
    roundness = 36 * np.pi * volume**2 / area**3
    return np.array([x, y, z, volume, area, volume / box, area / sides, roundness, volume / area])


def on_surface(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`count` points [N, 3] on a mesh by area, and the faces [N] that they lie on."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    ends = np.linalg.norm(cross, axis=1).cumsum()
    chosen = np.searchsorted(ends, rng.random(count) * ends[-1], side="right")
    chosen = np.minimum(chosen, len(faces) - 1)
    first, second = rng.random((2, count, 1))
    root = np.sqrt(first)
    a, b, c = corners[chosen].transpose(1, 0, 2)
    return (1 - root) * a + root * (1 - second) * b + root * second * c, chosen
