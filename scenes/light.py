"""Light: a sun with shadows, a sky, a lamp from the other side, and highlights (Blinn 1977)."""

import numpy as np

from fields_scenes.thing import Hits, Thing, dot, unit

_SUN = np.array([0.45, -0.55, 0.9])  # towards it
_LAMP = np.array([-0.8, 0.35, 0.25])
_SUN_LIGHT, _LAMP_LIGHT, _SKY_LIGHT, _GROUND_LIGHT = 0.78, 0.16, 0.30, 0.14
_DOUBLINGS = 6  # of the exponent of a highlight: 2^6 = 64
_OFF = 4e-3  # units of the scene that a shadow's ray begins off the surface


def shade(thing: Thing, hits: Hits, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The light that rays bring back, linear [M, 3].

    Args:
        thing: casts shadows on itself.
        hits: of rays.
        origins: [3] where all rays come from.
        directions: [N, 3] of all rays.
    """
    view = -directions[hits.rays]
    points = origins - hits.distances[:, None] * view
    sun = (_SUN / np.linalg.norm(_SUN)).astype(np.float32)
    lamp = (_LAMP / np.linalg.norm(_LAMP)).astype(np.float32)
    facing = hits.normals @ sun
    lit = facing > 0
    towards = np.broadcast_to(sun, (int(lit.sum()), 3))
    lit[lit] = ~thing.is_hit((points + _OFF * hits.normals)[lit], towards)
    sunny = facing * lit
    sky = 0.5 + 0.5 * hits.normals[:, 2]
    light = _GROUND_LIGHT + (_SKY_LIGHT - _GROUND_LIGHT) * sky
    light += _SUN_LIGHT * sunny + _LAMP_LIGHT * np.maximum(hits.normals @ lamp, 0.0)
    shine = np.maximum(dot(hits.normals, unit(view + sun)), 0)
    for _ in range(_DOUBLINGS):
        shine *= shine
    shine *= hits.gloss * lit
    return hits.colours * light[:, None] + shine[:, None]
