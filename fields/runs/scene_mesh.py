"""The surface of a scene: a mesh where its density is at a level, and points that cameras see."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fields.cameras import Camera
from fields.errors import FieldsError, NoSurface
from fields.runs.density import LEAST, Density
from fields.runs.scene_pictures import SEEN
from fields.runs.shape import in_units
from fields.shapes.extract import extract
from fields.shapes.floaters import without
from fields.shapes.polish import field_normals

if TYPE_CHECKING:
    from fields.runs.scene import SceneRun

# Over the box's longest side: a 32nd of it takes 63 % of the light. On a scene of known geometry 16
# and 32 were closest to it (a 200th of the side), of which 32 leaves fewer floaters.
LEVEL = 32.0
_SIDE = 400  # pixels, at most, of the views that points are taken from, and that tell what is seen
_SLACK = 1 / 64  # of the cube: how far behind what a ray meets a surface is still seen
_VIEWS = 48
Mesh = tuple[np.ndarray, np.ndarray, np.ndarray]


def default_level(run: SceneRun) -> float:
    """The density of the mesh, over a unit of the source."""
    return LEVEL * run.space.scale


def mesh(
    run: SceneRun,
    resolution: int,
    level: float | None = None,
    time: float | None = None,
    *,
    keep_unseen: bool = False,
    **options: Any,
) -> Mesh:
    """The surface within the scene's box at which the density is at a level.

    Args:
        resolution: cells along each axis of the cube, 8 to 1024.
        level: density over a unit of the source, > 0; `default_level` by default.
        time: from 0 to 1, of a scene that moves.
        keep_unseen: also what no camera sees, see `unseen`.

    Returns vertices [V, 3] in units of the source, faces [F, 3] and unit normals [V, 3].
    """
    level = default_level(run) if level is None else level
    if not (math.isfinite(level) and level > 0):
        raise FieldsError(f"--level of a scene is a density, more than 0, got {level:g}")
    density = Density(run.field, time)
    wanted = math.log(max(level / run.space.scale, 2 * LEAST))

    def below(coords: Tensor) -> Tensor:
        return wanted - density.log(coords)

    try:
        vertices, faces = extract(below, resolution, is_distance=False, **options)
    except NoSurface as error:
        scale = run.space.scale
        raise in_units(error, level, lambda v: math.exp(wanted - v) * scale) from None
    if not keep_unseen:
        hidden = unseen(run, run.space.to_source(vertices), faces, time)
        if hidden.all():
            raise NoSurface("no camera sees any of the surface")
        faces, used = without(faces, hidden)
        vertices = vertices[used]
    return run.space.to_source(vertices), faces, field_normals(below, vertices)


def colours(
    run: SceneRun, vertices: np.ndarray, normals: np.ndarray, time: float | None = None
) -> np.ndarray:
    """[V, 3] uint8: vertices as they look from outside, along minus their normals."""
    points = torch.from_numpy(run.space.to_unit(vertices).astype(np.float32))
    along = torch.from_numpy(-normals.astype(np.float32))
    found = Density(run.field, time).colours(points, along)
    return (found * 255).round().clamp(0, 255).byte().numpy()


def points(run: SceneRun, count: int, time: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """About `count` points of the surface [N, 3] in units of the source, and their colours [N, 3]
    uint8: what cameras around the scene see, where they were for the photos.

    A ray counts where its opacity is above SEEN, and where there is density at its depth: at the
    edge of something the mean depth of a ray may lie in empty space.
    """
    found, shades = [], []
    density = Density(run.field, time)
    least = math.log(LEVEL / 4)
    for camera in _cameras(run):
        seen, opacity, distance = run.trace(camera, time)
        flat = opacity.ravel() > SEEN
        origin, directions = camera.rays()
        at = origin + directions[flat] * distance.ravel()[flat, None]
        unit = torch.from_numpy(run.space.to_unit(at).astype(np.float32))
        dense = (density.log(unit) > least).numpy()
        found.append(at[dense])
        colour = seen.reshape(-1, 3)[flat] / opacity.ravel()[flat, None]
        shades.append((colour[dense] * 255).round().clip(0, 255).astype(np.uint8))
    all_points, all_colours = np.concatenate(found), np.concatenate(shades)
    if not len(all_points):
        raise NoSurface("no camera sees anything that is opaque; fit for longer")
    if len(all_points) > count:
        kept = np.random.default_rng(0).permutation(len(all_points))[:count]
        all_points, all_colours = all_points[kept], all_colours[kept]
    return all_points, all_colours


def unseen(
    run: SceneRun, vertices: np.ndarray, faces: np.ndarray, time: float | None = None
) -> np.ndarray:
    """Which faces [F, 3] no camera around the scene sees a corner of, for others stand before it or
    it lies outside of all pictures: bool [F]. There the density is whatever the fit left.

    Args:
        vertices: [V, 3] in units of the source.
    """
    seen = np.zeros(len(vertices), bool)
    slack = _SLACK / run.space.scale
    for camera in _cameras(run):
        _, opacity, distance = run.trace(camera, time)
        first = np.where(opacity > SEEN, distance, np.inf)
        left = np.flatnonzero(~seen)
        pixels, depths = camera.project(vertices[left])
        with np.errstate(invalid="ignore"):  # what a lens does not show is NaN
            inside = (depths > 0) & (pixels >= 0).all(1) & (pixels < first.shape[::-1]).all(1)
        left, (x, y) = left[inside], pixels[inside].astype(int).T
        away = np.linalg.norm(vertices[left] - camera.position, axis=1)
        seen[left[away <= first[y, x] + slack]] = True
    return np.logical_not(seen[faces].any(axis=1))


def _cameras(run: SceneRun) -> Iterator[Camera]:
    """Some that stand where those of the photos stood."""
    chosen = np.linspace(0, len(run.rig.positions) - 1, _VIEWS).round().astype(int)
    factor = min(1.0, _SIDE / max(run.size))
    width, height = (max(round(side * factor), 1) for side in run.size)
    for i in dict.fromkeys(chosen.tolist()):
        yield run.rig.camera(i, (width, height))
