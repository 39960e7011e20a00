"""Triangles with what is on them: colours, textures, smooth normals; met by rays through open3d."""

from dataclasses import dataclass, replace

import numpy as np

from fields.shapes.colours import Texture
from fields.shapes.with_open3d import open3d_for
from fields_scenes.patterns import Pattern
from fields_scenes.thing import Hits, dot, unit

_SMOOTH = np.cos(np.radians(40))  # faces that meet at less are one smooth surface


@dataclass(frozen=True, eq=False)
class Triangles:
    """Triangles, each with corners of its own.

    Args:
        corners: [F, 3, 3] float32, in the scene.
        normals: [F, 3, 3] float32 of the corners, of unit length.
        colours: [F, 3, 3] float32 of the corners, linear light.
        texture: [F] which of `textures` multiplies the colour; -1 for none.
        uv: [F, 3, 2] float32 of the corners, of the texture.
        textures: what `texture` numbers.
        pattern: colours by the place on the thing at rest, which multiply as well.
        resting: corners of the thing at rest, for `pattern`.
        gloss: how strong highlights are.
    """

    corners: np.ndarray
    normals: np.ndarray
    colours: np.ndarray
    texture: np.ndarray
    uv: np.ndarray
    textures: tuple[Texture, ...] = ()
    pattern: Pattern | None = None
    resting: np.ndarray | None = None
    gloss: float = 0.22

    def colours_at(self, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Linear light [M, 3] at places on faces [M], given by weights [M, 3] of their corners."""
        colours = _mean(self.colours[faces], weights)
        for index, texture in enumerate(self.textures):
            mine = np.flatnonzero(self.texture[faces] == index)
            if len(mine):
                colours[mine] *= texture.light(_mean(self.uv[faces[mine]], weights[mine]))
        if self.pattern is not None:
            resting = self.corners if self.resting is None else self.resting
            colours *= self.pattern(_mean(resting[faces], weights))
        return colours

    def split(self, longest: float, most: int = 200_000) -> "Triangles":
        """Each triangle in four, again and again, until edges are no longer than `longest`, or
        there would be more than `most` triangles."""
        result = self
        while len(result.corners) * 4 <= most and result._longest() > longest:
            parts = (_in_four(a) for a in (result.corners, result.normals, result.colours))
            corners, normals, colours = parts
            result = replace(
                result,
                corners=corners,
                normals=unit(normals.reshape(-1, 3)).reshape(normals.shape),
                colours=colours,
                texture=np.tile(result.texture, 4),
                uv=_in_four(result.uv),
            )
        return result

    def _longest(self) -> float:
        edges = self.corners - np.roll(self.corners, 1, axis=1)
        return float(np.sqrt((edges**2).sum(2).max()))


class Cast:
    """A `Thing` of triangles."""

    def __init__(self, triangles: Triangles):
        self._open3d = open3d_for("drawing a mesh")
        self._triangles = triangles
        self._scene = self._open3d.t.geometry.RaycastingScene()
        vertices, faces = self.mesh()
        tensor = self._open3d.core.Tensor
        self._scene.add_triangles(tensor(vertices.astype(np.float32)), tensor(faces))

    @property
    def box(self) -> np.ndarray:
        flat = self._triangles.corners.reshape(-1, 3)
        return np.stack([flat.min(0), flat.max(0)])

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        vertices = self._triangles.corners.reshape(-1, 3)
        return vertices, np.arange(len(vertices), dtype=np.uint32).reshape(-1, 3)

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        found = self._scene.cast_rays(self._rays(origins, directions))
        distances = found["t_hit"].numpy()
        rays = np.flatnonzero(np.isfinite(distances))
        faces = found["primitive_ids"].numpy()[rays].astype(np.int64)
        u, v = found["primitive_uvs"].numpy()[rays].T
        weights = np.stack([1 - u - v, u, v], axis=1)
        normals = unit(_mean(self._triangles.normals[faces], weights))
        away = dot(normals, directions[rays]) > 0
        normals[away] *= -1
        colours = self._triangles.colours_at(faces, weights)
        gloss = np.full(len(rays), self._triangles.gloss, np.float32)
        return Hits(rays, distances[rays], normals, colours, gloss)

    def is_hit(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        return self._scene.test_occlusions(self._rays(origins, directions)).numpy()

    def _rays(self, origins: np.ndarray, directions: np.ndarray):
        rays = np.empty((len(directions), 6), np.float32)
        rays[:, :3], rays[:, 3:] = origins, directions
        return self._open3d.core.Tensor(rays)


def smooth_normals(corners: np.ndarray) -> np.ndarray:
    """[F, 3, 3] float32 normals of corners: the mean over those faces that meet in a place and
    turn by less than 40 degrees, weighted by their angles there, so that it does not matter how a
    surface is cut into triangles."""
    exact = corners.astype(np.float64)
    flat = exact.reshape(-1, 3)
    faces = unit(np.cross(exact[:, 1] - exact[:, 0], exact[:, 2] - exact[:, 0]))
    grid = np.ptp(flat, axis=0).max() * 1e-6 + 1e-12
    _, place = np.unique(np.rint(flat / grid).astype(np.int64), axis=0, return_inverse=True)
    order = np.argsort(place.ravel(), kind="stable")
    place, owner = place.ravel()[order], order // 3
    parts = faces[owner] * _angles(exact).ravel()[order, None]
    totals = parts.copy()
    # Corners at one place lie side by side: each is compared with the one `shift` further on, and
    # the other way round, until no two so far apart share a place.
    shift = 1
    while shift < len(place) and (same := place[shift:] == place[:-shift]).any():
        first = np.flatnonzero(same)
        second = first + shift
        near = dot(faces[owner[first]], faces[owner[second]]) > _SMOOTH
        first, second = first[near], second[near]
        totals[first] += parts[second]
        totals[second] += parts[first]
        shift += 1
    result = np.empty_like(totals)
    result[order] = unit(totals)
    return result.reshape(corners.shape).astype(np.float32)


def _angles(corners: np.ndarray) -> np.ndarray:
    """[F, 3]: of the corners, in radians."""
    forth = np.roll(corners, -1, axis=1) - corners
    back = np.roll(corners, 1, axis=1) - corners
    across = np.linalg.norm(np.cross(forth, back), axis=2)
    return np.arctan2(across, (forth * back).sum(2))


def _mean(of_corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[M, 3, C] by weights [M, 3] -> [M, C]."""
    return np.einsum("mkc,mk->mc", of_corners, weights)


def _in_four(of_corners: np.ndarray) -> np.ndarray:
    """[F, 3, C] -> [4 F, 3, C]: the corner parts one behind the other, then the middles."""
    a, b, c = of_corners.swapaxes(0, 1)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    parts = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
    return np.concatenate([np.stack(part, axis=1) for part in parts])
