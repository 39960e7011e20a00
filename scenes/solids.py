"""Solids met by rays in closed form: no mesh, no library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fields_scenes.patterns import Pattern
from fields_scenes.thing import Hits, dot, unit

Kind = Literal["ball", "cube", "cylinder", "cone"]
_NEAR = 1e-4  # units of the scene: what is nearer belongs to the surface that a ray leaves
_SIDES = 96  # of the meshes of what is round


@dataclass(frozen=True, eq=False)
class Solid:
    """A solid of a size, turned and put somewhere.

    Args:
        kind: a ball of radius 1, a cube from -1 to 1, a cylinder of radius 1 from z = -1 to 1, or a
            cone over its lower disc with the tip at z = 1.
        size: factors along its axes.
        place: of its middle.
        pattern: its colours, by places relative to its middle, before it is turned, in units of the
            scene.
        turn: degrees around z.
        tilt: degrees around x, before it is turned.
        gloss: how strong its highlight is.
    """

    kind: Kind
    size: tuple[float, float, float]
    place: tuple[float, float, float]
    pattern: Pattern
    turn: float = 0.0
    tilt: float = 0.0
    gloss: float = 0.2

    @property
    def axes(self) -> np.ndarray:
        """[3, 3] whose columns are its axes in the scene."""
        turn, tilt = np.radians(self.turn), np.radians(self.tilt)
        around = np.array(
            [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
        )
        over = np.array(
            [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
        )
        return around @ over

    @property
    def reach(self) -> float:
        """The distance from its middle to its farthest point."""
        x, y, z = self.size
        return {
            "ball": max(x, y, z),
            "cube": math.hypot(x, y, z),
            "cylinder": math.hypot(max(x, y), z),
            "cone": math.hypot(max(x, y), z),
        }[self.kind]

    def met(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances [N] at which rays enter it, infinite where they do not, and normals [N, 3] in
        its own axes before sizes, not of unit length. Rays begin outside."""
        to_own = (self.axes / np.asarray(self.size)).astype(np.float32)
        o = np.broadcast_to(
            (origins - np.asarray(self.place, np.float32)) @ to_own, directions.shape
        )
        d = directions @ to_own
        return _MET[self.kind](o, d)

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """Its surface in the scene: vertices [V, 3], faces [F, 3]; what is round has 96 sides."""
        import trimesh

        made = {
            "ball": lambda: trimesh.creation.icosphere(5),
            "cube": lambda: trimesh.creation.box((2, 2, 2)),
            "cylinder": lambda: trimesh.creation.cylinder(1, 2, _SIDES),
            "cone": lambda: trimesh.creation.cone(1, 2, _SIDES),
        }[self.kind]()
        vertices = np.asarray(made.vertices)
        if self.kind == "cone":
            vertices = vertices - (0, 0, 1)
        return vertices * self.size @ self.axes.T + self.place, np.asarray(made.faces)


class Solids:
    """A `Thing` of solids."""

    def __init__(self, solids: Sequence[Solid]):
        self._solids = list(solids)

    @property
    def box(self) -> np.ndarray:
        corners = []
        for solid in self._solids:
            reach = np.abs(solid.axes * solid.size).sum(1)
            corners += [solid.place - reach, solid.place + reach]
        return np.stack([np.min(corners, axis=0), np.max(corners, axis=0)])

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        meshes = [solid.mesh() for solid in self._solids]
        starts = np.cumsum([0, *(len(vertices) for vertices, _ in meshes[:-1])])
        faces = [faces + start for (_, faces), start in zip(meshes, starts, strict=True)]
        return np.concatenate([vertices for vertices, _ in meshes]), np.concatenate(faces)

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        nearest = np.full(len(directions), np.inf, np.float32)
        which = np.full(len(directions), -1)
        normals = np.zeros((len(directions), 3), np.float32)
        for index, solid in enumerate(self._solids):
            rays = _towards(solid, origins, directions)
            distances, own = solid.met(_some(origins, rays), directions[rays])
            closer = distances < nearest[rays]
            rays = rays[closer]
            nearest[rays], which[rays], normals[rays] = distances[closer], index, own[closer]
        rays = np.flatnonzero(which >= 0)
        found, colours = normals[rays], np.empty((len(rays), 3), np.float32)
        gloss = np.empty(len(rays), np.float32)
        points = _some(origins, rays) + nearest[rays, None] * directions[rays]
        for index, solid in enumerate(self._solids):
            mine = np.flatnonzero(which[rays] == index)
            if len(mine):
                axes, size, place = (
                    np.asarray(a, np.float32) for a in (solid.axes, solid.size, solid.place)
                )
                found[mine] = (found[mine] / size) @ axes.T
                colours[mine] = solid.pattern((points[mine] - place) @ axes)
                gloss[mine] = solid.gloss
        return Hits(rays, nearest[rays], unit(found), colours, gloss)

    def is_hit(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        hit = np.zeros(len(directions), bool)
        for solid in self._solids:
            rays = _towards(solid, origins, directions)
            rays = rays[~hit[rays]]
            hit[rays] = np.isfinite(solid.met(_some(origins, rays), directions[rays])[0])
        return hit


def _some(origins: np.ndarray, rays: np.ndarray) -> np.ndarray:
    return origins if origins.ndim == 1 else origins[rays]


def _towards(solid: Solid, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Rays that go through the ball around a solid."""
    middle = np.asarray(solid.place, np.float32) - origins
    along = dot(directions, middle)
    gap = (middle @ middle if middle.ndim == 1 else dot(middle, middle)) - along * along
    return np.flatnonzero(gap <= solid.reach**2)


def _first(*found: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of several surfaces, behind `_NEAR`: distances [N] and normals [N, 3]."""
    distance = np.full(len(found[0][0]), np.inf, np.float32)
    normal = np.zeros((len(distance), 3), np.float32)
    for far, its in found:
        better = (far > _NEAR) & (far < distance)
        distance[better], normal[better] = far[better], its[better]
    return distance, normal


def _root(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The lower root t [N] of a t^2 + 2 b t + c = 0; infinite without one."""
    inside = b * b - a * c
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (-b - np.sqrt(np.where(inside >= 0, inside, np.nan))) / a
    return np.where(np.isfinite(t), t, np.inf).astype(np.float32)


def _ball(o: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    t = _root(dot(d, d), dot(o, d), dot(o, o) - 1)
    return _first((t, _at(o, d, t)))


def _cube(o: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inverse = 1 / np.where(np.abs(d) < 1e-12, 1e-12, d)
    near = -o * inverse - np.abs(inverse)
    far = -o * inverse + np.abs(inverse)
    axis = near.argmax(1)
    t = np.where(near.max(1) < far.min(1), near.max(1), np.inf)
    normal = np.zeros_like(d)
    rows = np.arange(len(d))
    normal[rows, axis] = -np.sign(d[rows, axis])
    return _first((t, normal))


def _cylinder(o: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flat = np.array([1, 1, 0], np.float32)
    t = _root((d * d) @ flat, (o * d) @ flat, (o * o) @ flat - 1)
    place = _at(o, d, t)
    t = np.where(np.abs(place[:, 2]) <= 1, t, np.inf)
    return _first((t, place * flat), _disc(o, d, 1.0), _disc(o, d, -1.0))


def _cone(o: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x^2 + y^2 = ((1 - z) / 2)^2."""
    s, e = (1 - o[:, 2]) / 2, -d[:, 2] / 2
    a = d[:, 0] ** 2 + d[:, 1] ** 2 - e * e
    b = o[:, 0] * d[:, 0] + o[:, 1] * d[:, 1] - s * e
    c = o[:, 0] ** 2 + o[:, 1] ** 2 - s * s
    found = []
    # Where a < 0 a ray is steeper than the side, and the larger root is the first of this half.
    for sign in (1.0, -1.0):
        t = _root(sign * a, sign * b, sign * c)
        place = _at(o, d, t)
        t = np.where(np.abs(place[:, 2]) <= 1, t, np.inf)
        slope = np.where(np.isfinite(t), (1 - place[:, 2]) / 4, 0)
        found.append((t, np.stack([place[:, 0], place[:, 1], slope], axis=1)))
    return _first(*found, _disc(o, d, -1.0))


def _disc(o: np.ndarray, d: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    t = (z - o[:, 2]) / np.where(np.abs(d[:, 2]) < 1e-12, 1e-12, d[:, 2])
    place = _at(o, d, t)
    t = np.where(place[:, 0] ** 2 + place[:, 1] ** 2 <= 1, t, np.inf)
    return t, np.broadcast_to(np.array([0, 0, np.sign(z)], np.float32), d.shape)


def _at(o: np.ndarray, d: np.ndarray, t: np.ndarray) -> np.ndarray:
    return o + np.where(np.isfinite(t), t, np.float32(0))[:, None] * d


_MET = {"ball": _ball, "cube": _cube, "cylinder": _cylinder, "cone": _cone}
