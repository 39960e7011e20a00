"""A thing out of doors: ground to the horizon, and a sky with hills; its views have no end."""

from dataclasses import dataclass

import numpy as np

from fields_scenes.patterns import Colour, mixed, noise
from fields_scenes.thing import Hits, Thing

FAR = 40.0  # units of the scene, to the sky
GROUND = 4.0  # half the side of the ground that counts as known geometry: as far as cameras stand
_TILE = 0.9
_PALE, _DARK, _GRASS = (0.55, 0.50, 0.42), (0.30, 0.26, 0.21), (0.16, 0.26, 0.08)
_ZENITH, _HORIZON, _HILL = (0.18, 0.34, 0.75), (0.75, 0.82, 0.9), (0.10, 0.17, 0.12)


@dataclass(frozen=True, eq=False)
class Outdoors:
    """A `Thing` of another one, which stands on the ground.

    Args:
        thing: what stands there.
        floor: how high the ground is.
    """

    thing: Thing
    floor: float

    @property
    def box(self) -> np.ndarray:
        return np.array([[-FAR] * 3, [FAR] * 3])

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        own = self.thing.cast(origins, directions)
        away = np.ones(len(directions), bool)
        away[own.rays] = False
        rays = np.flatnonzero(away)
        along = directions[rays]
        start = origins if origins.ndim == 1 else origins[rays]
        level = np.where(along[:, 2] < -1e-6, along[:, 2], np.float32(-1e-6))
        down = (np.float32(self.floor) - start[..., 2]) / level
        sky = _to_sky(start, along)
        on_ground = (along[:, 2] < -1e-6) & (down < sky)
        distances = np.where(on_ground, down, sky).astype(np.float32)
        points = start + distances[:, None] * along
        up = np.broadcast_to(np.array([0, 0, 1], np.float32), points.shape)
        colours = np.where(on_ground[:, None], _ground(points), _sky(points / FAR))
        return Hits(
            np.concatenate([own.rays, rays]),
            np.concatenate([own.distances, distances]),
            np.concatenate([own.normals, up]),
            np.concatenate([own.colours, colours.astype(np.float32)]),
            np.concatenate([own.gloss, np.zeros(len(rays), np.float32)]),
        )

    def is_hit(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        return self.thing.is_hit(origins, directions)

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """The thing, and the ground around it."""
        vertices, faces = self.thing.mesh()
        x, y = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]).T * GROUND
        square = np.stack([x, y, np.full(4, self.floor)], axis=1)
        two = np.array([(0, 1, 2), (0, 2, 3)]) + len(vertices)
        return np.concatenate([vertices, square]), np.concatenate([faces, two])


def _to_sky(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """[N] distances at which rays from within meet the ball of the sky."""
    along = np.einsum("...j,nj->n" if origins.ndim == 1 else "nj,nj->n", origins, directions)
    square = (origins * origins).sum(-1)
    return np.sqrt(along * along + FAR * FAR - square) - along


def _ground(points: np.ndarray) -> np.ndarray:
    """Flags, and grass beyond them."""
    flags = np.floor(points[:, :2] / _TILE).astype(np.int64).sum(1) & 1
    near = mixed(_PALE, _DARK, flags.astype(np.float32))
    far = _coloured(_GRASS, 1 + 0.35 * noise(points / (1, 1, np.inf), 7, 4.0))
    return np.where((np.abs(points[:, :2]).max(1) < 5 * _TILE)[:, None], near, far)


def _sky(directions: np.ndarray) -> np.ndarray:
    """Hills below, paler and bluer above."""
    height = directions[:, 2]
    ring = directions * (1, 1, 0)
    hills = 0.05 + 0.05 * noise(ring, 3, 12.0)
    blue = mixed(_HORIZON, _ZENITH, np.clip(height / 0.7, 0, 1).astype(np.float32))
    green = _coloured(_HILL, 1 + 0.4 * noise(directions, 4, 60.0))
    return np.where((height < hills)[:, None], green, blue)


def _coloured(colour: Colour, factor: np.ndarray) -> np.ndarray:
    return np.asarray(colour, np.float32) * factor[:, None]
