"""A thing that moves: it stands on its foot and sways, as grass in the wind."""

from dataclasses import replace

import numpy as np

from fields_scenes.thing import unit
from fields_scenes.triangles import Triangles

_MOST = np.radians(32.0)  # of the top
_STEP = 1e-3  # units of the scene, between the points of a difference quotient
FINE = 0.12  # edges no longer than this bend well enough


def sway(places: np.ndarray, time: float, foot: float, height: float) -> np.ndarray:
    """Where places [..., 3] are at a time.

    Each height is turned around the y axis through the foot, by an angle that grows with the square
    of the height and swings once to and fro in a unit of time; at 0, 1/2 and 1 all is at rest.
    """
    share = np.clip((places[..., 2] - foot) / height, 0.0, 1.0)
    angle = _MOST * np.sin(2 * np.pi * time) * share**2
    x, z = places[..., 0], places[..., 2] - foot
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * x + sin * z, places[..., 1], foot + cos * z - sin * x], axis=-1)


def bent(triangles: Triangles, time: float) -> Triangles:
    """Triangles at rest as they are at a time from 0 to 1."""
    resting = triangles.corners.astype(np.float64)
    foot, height = float(resting[..., 2].min()), float(np.ptp(resting[..., 2]))
    if height == 0:
        return triangles
    # A normal turns by the cofactors of the jacobian, whose columns are these differences.
    columns = [
        sway(resting + _STEP * axis, time, foot, height)
        - sway(resting - _STEP * axis, time, foot, height)
        for axis in np.eye(3)
    ]
    x, y, z = columns
    cofactors = np.stack([np.cross(y, z), np.cross(z, x), np.cross(x, y)], axis=-1)
    normals = unit(np.einsum("fkij,fkj->fki", cofactors, triangles.normals).reshape(-1, 3))
    return replace(
        triangles,
        corners=sway(resting, time, foot, height).astype(np.float32),
        normals=normals.reshape(resting.shape).astype(np.float32),
        resting=triangles.corners,
    )
