"""Signed distances to a mesh, against open3d's Embree: the same points, timed in turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields import ops
from fields.bench.timing import ROUNDS, interleave, ratios, seconds_per_call, spread
from fields.errors import MissingLibrary
from fields.shapes.with_open3d import open3d_for

OPEN3D = "open3d"
RAYS = 3  # of which open3d's sign takes the majority: one alone is wrong where it meets a side
POINTS = 20_000
PLACES: dict[str, dict[str, Any]] = {
    "on the surface": {"surface": 1, "near": 0, "uniform": 0},
    "near the surface": {"surface": 0, "near": 1, "uniform": 0},
    "in the cube": {"surface": 0, "near": 0, "uniform": 1},
}


def bumpy_ball(rows: int) -> tuple[Tensor, Tensor]:
    """Vertices and faces of a ball with bumps, closed; 2 rows (rows - 2) faces."""
    polar = torch.linspace(0, torch.pi, rows, dtype=torch.float64)[1:-1, None]
    azimuth = torch.arange(rows, dtype=torch.float64) * (2 * torch.pi / rows)
    radius = 0.38 + 0.05 * torch.sin(6 * azimuth) * torch.sin(polar) ** 3 * torch.sin(5 * polar)
    flat = radius * torch.sin(polar)
    ring = [flat * torch.cos(azimuth), flat * torch.sin(azimuth), radius * torch.cos(polar)]
    poles = torch.tensor([[0.0, 0.0, 0.38], [0.0, 0.0, -0.38]], dtype=torch.float64)
    vertices = 0.5 + torch.cat([torch.stack(ring, -1).reshape(-1, 3), poles])
    first = torch.arange((rows - 3) * rows).view(-1, rows)
    right = first.roll(-1, 1)
    sides = [[first, first + rows, right], [right, first + rows, right + rows]]
    top, last = torch.arange(rows), torch.arange(rows) + (rows - 3) * rows
    north, south = torch.full((rows,), len(vertices) - 2), torch.full((rows,), len(vertices) - 1)
    caps = [[north, top, top.roll(-1)], [south, last.roll(-1), last]]
    faces = [torch.stack([c.reshape(-1) for c in face], 1) for face in (*sides, *caps)]
    return vertices.float(), torch.cat(faces)


def rows(
    name: str, vertices: Tensor, faces: Tensor, *, rounds: int = ROUNDS, quick: bool = False
) -> list[dict[str, Any]]:
    """A row for each engine and place of points.

    Args:
        name: of the mesh.
        vertices: [V, 3] float32 in the unit cube.
        faces: [F, 3], closed and looking outwards.
        rounds: how often each has its turn.
        quick: a look whether all runs.

    Returns:
        rows with `queries_per_second` by all threads and `build_seconds`, ours also with
        `times_open3d` and `draws_per_second`, batches of points with their distances. A row says
        what is absent where open3d cannot be loaded. RuntimeError where the two disagree.
    """
    build = seconds_per_call(lambda: ops.build_bvh(vertices, faces), 0.0)
    bvh, num_rounds, least = ops.build_bvh(vertices, faces), 2 if quick else rounds, 0.2
    peer, absent = _open3d_scene(vertices, faces)
    settings = f"{name}, {len(faces)} faces, {POINTS} points"
    found = []
    for place, shares in PLACES.items():
        points = ops.sample_shape(bvh, POINTS, 0, 0, **shares)[0]
        # In no order: what a caller's points are.
        points = points[torch.randperm(POINTS, generator=torch.Generator().manual_seed(0))]
        calls = {
            "fields": lambda p=points: ops.closest_point(bvh, p),
            "draw": lambda s=shares: ops.sample_shape(bvh, POINTS, 0, 1, **s),
        }
        if peer is not None:
            _compare(ops.closest_point(bvh, points)[0].numpy(), _ask(peer, points), place)
            calls[OPEN3D] = lambda p=points: _ask(peer, p)
        slices = {key: seconds_per_call(call, 0.01 if quick else least)
                  for key, call in calls.items()}  # fmt: skip
        seconds = interleave(slices, rounds=num_rounds)
        own: dict[str, Any] = {"work": f"distances {place}", "engine": "fields"}
        own |= {"settings": settings, "build_seconds": build()}
        own |= spread([POINTS / t for t in seconds["fields"]]).figures("queries_per_second")
        own |= spread([POINTS / t for t in seconds["draw"]]).figures("draws_per_second")
        other: dict[str, Any] = {"work": own["work"], "engine": OPEN3D, "settings": settings}
        if peer is None:
            other["absent"] = absent
        else:
            other |= spread([POINTS / t for t in seconds[OPEN3D]]).figures("queries_per_second")
            own |= ratios(seconds[OPEN3D], seconds["fields"]).figures("times_open3d")
        found += [own, other]
    return found


def _open3d_scene(vertices: Tensor, faces: Tensor) -> tuple[Any, str]:
    """Or None, and why."""
    try:
        open3d = open3d_for("the comparison")
    except MissingLibrary as error:
        return None, str(error)
    scene: Any = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(vertices.numpy(), faces.numpy().astype(np.uint32))
    return scene, ""


def _ask(scene: Any, points: Tensor) -> np.ndarray:
    threads = torch.get_num_threads()
    return scene.compute_signed_distance(points.numpy(), nthreads=threads, nsamples=RAYS).numpy()


def _compare(ours: np.ndarray, theirs: np.ndarray, place: str) -> None:
    error = np.abs(np.abs(ours) - np.abs(theirs)).max()
    turned = ((ours < 0) != (theirs < 0)) & (np.abs(theirs) > 1e-6)
    if error > 1e-6 or turned.mean() > 1e-3:
        raise RuntimeError(
            f"distances {place} differ from open3d's by {error:.1e}, {turned.sum()} in their sign"
        )
