"""Scores a mesh and its field against the shape they stand for; by open3d, seeded.

All lengths are in units of the shape's longest side, 1, in which chamfer distances are quoted.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from fields.shapes.shape import Shape
from fields.shapes.space import LONGEST_SIDE, ShapeSpace
from fields.shapes.with_open3d import open3d_for

IN_BOX = 1_000_000  # points: IoU 0.998 of a shape that fills a tenth of its box, to 0.0003 at 95 %
POINTS = 100_000  # of each other kind
NEAR = 0.01  # of the diagonal: half the thickness of the shell around the surface
_F_COARSE, _F_FINE = 0.005, 0.001  # of the diagonal
_CHUNK = 1 << 18
_ANY_WAYS = np.array(  # along no edge and no axis
    [
        [0.6172134, -0.5350912, 0.5767493],
        [-0.3109265, 0.7421834, 0.5937416],
        [0.4236172, 0.6512349, -0.6296207],
    ]
)

Figures = dict[str, float]


def score_shape(
    shape: Shape,
    vertices: np.ndarray,
    faces: np.ndarray,
    values: Callable | None = None,
    *,
    space: ShapeSpace | None = None,
    is_distance: bool = True,
    seed: int = 0,
) -> Figures:
    """How close a mesh is to a shape, and the field behind it.

    Args:
        shape: the original, never its samples.
        vertices: [V, 3] of the mesh, in units of the source.
        faces: [F, 3].
        values: the field, coords [N, 3] float32 tensor in the unit cube -> [N] or [N, 1], negative
            inside. Its sign decides the IoU; that of the mesh does without it.
        space: in which the field has its unit cube, by default that of the shape. A field of
            points, or of another mesh, has a box of its own.
        is_distance: the values are signed distances in unit-cube lengths.
        seed: of the random points.

    Returns, of a closed shape: `iou` (inside and outside at uniform points of its bounding box) and
    `iou_near` (the same, uniform within 1 % of the diagonal of its surface), `volume_error` (share
    of its volume) and, of a distance, `distance_error` (mean, in that shell). Of every shape:
    `normal_consistency` (mean of |n . n'| at nearest places, both directions; of points that have
    normals, from them alone). Of a mesh: `chamfer_l1` and `chamfer_l2` (means of both directions,
    of distances and of their squares), `f_score` and `f_score_01` (at 0.5 % and 0.1 % of the
    diagonal). Of points, where the way back would measure how far apart they lie:
    `points_distance` (their mean distance from the mesh) and `points_share` (of those within 0.1 %
    of the diagonal).

    Raises FieldsError without open3d.
    """
    own = ShapeSpace.around(shape.vertices)
    random = np.random.default_rng(seed)
    by_winding = shape.sign == "winding"
    truth = _Surface(own.to_unit(shape.vertices) / LONGEST_SIDE, shape.faces, by_winding)
    mesh = _Surface(own.to_unit(vertices) / LONGEST_SIDE, np.asarray(faces))
    diagonal = float(np.linalg.norm(np.ptp(truth.vertices, axis=0)))
    figures: Figures = {}
    if shape.is_closed:
        ask = None if values is None else _asking(values, own, space or own)
        figures |= _inside(truth, mesh, ask, is_distance, NEAR * diagonal, random)
    return figures | _surfaces(shape, truth, mesh, diagonal, random)


class _Surface:
    """A mesh, or points, that can be asked for distances.

    Where parts of a mesh cut each other, its inside is where the winding number is more than 1/2:
    rays that cross an even number of faces may still end within two parts.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, by_winding: bool = False):
        self.vertices, self.faces = vertices, faces
        self.by_winding = by_winding
        if not len(faces):
            return
        open3d = open3d_for("a score of shapes")
        self._tensor = open3d.core.Tensor
        self._scene = open3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            self._tensor(vertices.astype(np.float32)), self._tensor(faces.astype(np.uint32))
        )

    @cached_property
    def _normals(self) -> tuple[np.ndarray, np.ndarray]:
        """[F, 3] normals and [F] areas."""
        a, b, c = self.vertices[self.faces].transpose(1, 0, 2)
        cross = np.cross(b - a, c - a)
        length = np.linalg.norm(cross, axis=1)
        return cross / np.maximum(length, 1e-300)[:, None], length / 2

    def sample(self, count: int, random) -> tuple[np.ndarray, np.ndarray]:
        """Points [count, 3] uniform on the surface and the normals there."""
        normals, areas = self._normals
        steps = np.cumsum(areas)
        face = np.searchsorted(steps, random.random(count) * steps[-1]).clip(0, len(areas) - 1)
        a, b, c = self.vertices[self.faces[face]].transpose(1, 0, 2)
        root, v = np.sqrt(random.random((count, 1))), random.random((count, 1))
        return (1 - root) * a + root * (1 - v) * b + root * v * c, normals[face]

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances [N] to the surface and the normals [N, 3] at the nearest places."""
        found = self._scene.compute_closest_points(self._tensor(points.astype(np.float32)))
        distance = np.linalg.norm(points - found["points"].numpy(), axis=1)
        return distance, self._normals[0][found["primitive_ids"].numpy().astype(np.int64)]

    def signed(self, points: np.ndarray) -> np.ndarray:
        """Signed distances [N], negative inside: the sign by three rays and their majority."""
        query = self._tensor(points.astype(np.float32))
        if self.by_winding:
            distance = self._scene.compute_distance(query).numpy()
            return np.where(self.inside(points), -distance, distance)
        return self._scene.compute_signed_distance(query, nsamples=3).numpy()

    def inside(self, points: np.ndarray) -> np.ndarray:
        if self.by_winding:
            parts = np.split(points, range(_CHUNK, len(points), _CHUNK))
            return np.concatenate([np.median(self._winding(part), 0) > 0.5 for part in parts])
        query = self._tensor(points.astype(np.float32))
        return self._scene.compute_occupancy(query, nsamples=3).numpy() > 0.5

    def _winding(self, points: np.ndarray) -> np.ndarray:
        """Winding numbers [3, N]: faces that a ray leaves through, less those that it enters by;
        three rays, since one may meet what stands out of a seam."""
        normals = self._normals[0]
        found = []
        for way in _ANY_WAYS:
            rays = np.hstack([points, np.broadcast_to(way, points.shape)]).astype(np.float32)
            hits = self._scene.list_intersections(self._tensor(rays))
            leaves = np.sign(normals[hits["primitive_ids"].numpy()] @ way)
            found.append(np.bincount(hits["ray_ids"].numpy(), leaves, minlength=len(points)))
        return np.stack(found)

    def volume(self) -> float:
        a, b, c = (self.vertices[self.faces] - self.vertices.mean(0)).transpose(1, 0, 2)
        return abs(float((a * np.cross(b, c)).sum() / 6))


def _inside(truth, mesh, ask, is_distance, radius, random) -> Figures:
    """The scores that need an inside; `ask` gives the field where there is one."""
    low, high = truth.vertices.min(0), truth.vertices.max(0)
    in_box = low + random.random((IN_BOX, 3)) * (high - low)
    in_shell = _shell(truth, radius, random)
    distance = truth.signed(in_shell)
    near = np.abs(distance) <= radius
    in_shell, distance = in_shell[near], distance[near]
    inside = truth.inside(in_box)
    # Where parts cut each other, what is in two of them counts once.
    volume = inside.mean() * (high - low).prod() if truth.by_winding else truth.volume()
    figures: Figures = {"volume_error": float(abs(mesh.volume() - volume) / volume)}
    if ask is None:
        figures["iou"] = _iou(inside, mesh.inside(in_box))
        figures["iou_near"] = _iou(distance < 0, mesh.inside(in_shell))
        return figures
    figures["iou"] = _iou(inside, ask(in_box) < 0)
    predicted = ask(in_shell)
    figures["iou_near"] = _iou(distance < 0, predicted < 0)
    if is_distance:
        figures["distance_error"] = float(np.abs(predicted - distance).mean())
    return figures


def _shell(truth, radius: float, random) -> np.ndarray:
    """Points [N, 3] uniform in a region that holds all that is within `radius` of the surface:
    the cubes of that size that it passes, and those around them."""
    surface = truth.sample(5 * POINTS, random)[0]
    low = surface.min(axis=0) - 2 * radius
    sides = np.ceil(np.ptp(surface, axis=0) / radius).astype(np.int64) + 5
    cubes = ((surface - low) / radius).astype(np.int64)
    numbers = np.unique(np.ravel_multi_index(tuple(cubes.T), sides))
    steps = [(i * sides[1] + j) * sides[2] + k for i, j, k in np.ndindex(3, 3, 3)]
    numbers = np.unique(numbers[:, None] + (np.array(steps) - steps[13]))
    chosen = numbers[random.integers(len(numbers), size=POINTS)]
    corner = np.stack(np.unravel_index(chosen, sides), axis=-1)
    return low + (corner + random.random((POINTS, 3))) * radius


def _surfaces(shape, truth, mesh, diagonal, random) -> Figures:
    """The scores of surfaces: from the mesh to the shape and back."""
    if shape.kind == "points":
        return _to_points(shape, truth, mesh, diagonal)
    points, normals = mesh.sample(POINTS, random)
    there, facing = truth.nearest(points)
    agreement = np.abs((normals * facing).sum(1)).mean()
    points, normals = truth.sample(POINTS, random)
    back, facing = mesh.nearest(points)
    return {
        "chamfer_l1": float(there.mean() + back.mean()) / 2,
        "chamfer_l2": float((there**2).mean() + (back**2).mean()) / 2,
        "f_score": _f_score(there, back, _F_COARSE * diagonal),
        "f_score_01": _f_score(there, back, _F_FINE * diagonal),
        "normal_consistency": float(agreement + np.abs((normals * facing).sum(1)).mean()) / 2,
    }


def _to_points(shape, truth, mesh, diagonal) -> Figures:
    distance, facing = mesh.nearest(truth.vertices)
    figures: Figures = {
        "points_distance": float(distance.mean()),
        "points_share": float((distance < _F_FINE * diagonal).mean()),
    }
    if shape.normals is not None:
        figures["normal_consistency"] = float(np.abs((shape.normals * facing).sum(1)).mean())
    return figures


def _asking(values: Callable, own: ShapeSpace, space: ShapeSpace) -> Callable:
    """The field of `space` at points [N, 3] of a shape whose longest side is 1, its values lengths
    of that."""
    import torch

    longest = space.scale / own.scale * LONGEST_SIDE

    def ask(points: np.ndarray) -> np.ndarray:
        unit = space.to_unit(own.to_source(points * LONGEST_SIDE))
        coords = torch.from_numpy(unit.astype(np.float32))
        with torch.no_grad():
            parts = [values(part).reshape(-1).float().cpu() for part in coords.split(_CHUNK)]
        return torch.cat(parts).numpy() / longest

    return ask


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    union = int((one | other).sum())
    return float((one & other).sum() / union) if union else 1.0


def _f_score(there: np.ndarray, back: np.ndarray, threshold: float) -> float:
    """The harmonic mean of the shares of both directions (Knapitsch et al. 2017, eq. 6)."""
    precision, recall = float((there < threshold).mean()), float((back < threshold).mean())
    return 2 * precision * recall / max(precision + recall, 1e-12)
