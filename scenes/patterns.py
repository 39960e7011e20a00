"""Colours computed from a place: for meshes without any, and for the solids of the demo."""

from collections.abc import Callable

import numpy as np

Pattern = Callable[[np.ndarray], np.ndarray]
"""Places [N, 3] -> linear light [N, 3] in [0, 1]."""

Colour = tuple[float, float, float]

_WAVES = 8


def noise(places: np.ndarray, seed: int, finest: float = 6.0) -> np.ndarray:
    """[N] in about [-1, 1]: waves in all directions, the finer the weaker; smooth, and the same
    for a seed everywhere."""
    draw = np.random.Generator(np.random.Philox(seed))
    directions = draw.normal(size=(_WAVES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    frequencies = finest ** np.linspace(0.2, 1.0, _WAVES)
    phases = draw.uniform(0, 2 * np.pi, _WAVES)
    strengths = 1 / frequencies
    waves = (directions * frequencies[:, None]).T.astype(np.float32)
    heights = np.sin(places.astype(np.float32, copy=False) @ waves + phases.astype(np.float32))
    return heights @ (strengths / np.linalg.norm(strengths)).astype(np.float32)


def marble(light: Colour, dark: Colour, seed: int) -> Pattern:
    """Veins of a dark colour through a light one."""

    def pattern(places: np.ndarray) -> np.ndarray:
        bent = 2.2 * places[:, 2] + 1.1 * places[:, 0] + 1.3 * noise(places, seed)
        vein = (0.5 + 0.5 * np.sin(4.5 * bent)) ** 2
        grain = 0.06 * noise(places, seed + 1, 40.0)
        return mixed(light, dark, 0.75 * vein) * (1 + grain[:, None])

    return pattern


def checks(one: Colour, other: Colour, size: float) -> Pattern:
    """Cubes of two colours in turn."""

    def pattern(places: np.ndarray) -> np.ndarray:
        odd = np.floor(places / size + 0.5).astype(np.int64).sum(1) & 1
        return mixed(one, other, odd.astype(np.float32))

    return pattern


def stripes(one: Colour, other: Colour, axis: int, size: float) -> Pattern:
    """Layers of two colours along an axis."""

    def pattern(places: np.ndarray) -> np.ndarray:
        odd = np.floor(places[:, axis] / size).astype(np.int64) & 1
        return mixed(one, other, odd.astype(np.float32))

    return pattern


def sectors(one: Colour, other: Colour, count: int) -> Pattern:
    """Wedges of two colours in turn around the z axis."""

    def pattern(places: np.ndarray) -> np.ndarray:
        angle = np.arctan2(places[:, 1], places[:, 0]) / (2 * np.pi) * count
        odd = np.floor(angle).astype(np.int64) & 1
        return mixed(one, other, odd.astype(np.float32))

    return pattern


def rings(one: Colour, other: Colour, size: float, seed: int) -> Pattern:
    """Rings around the z axis, as of a tree, not quite round."""

    def pattern(places: np.ndarray) -> np.ndarray:
        radius = np.hypot(places[:, 0], places[:, 1]) + 0.05 * noise(places, seed)
        share = (radius / size) % 1.0
        grain = 0.05 * noise(places * (1, 1, 0.2), seed + 1, 60.0)
        return mixed(one, other, share * share) * (1 + grain[:, None])

    return pattern


def mixed(one: Colour, other: Colour, share: np.ndarray) -> np.ndarray:
    """[N, 3]: the first colour where share [N] is 0, the other where it is 1."""
    a, b = np.asarray(one, np.float32), np.asarray(other, np.float32)
    return a + share[:, None].astype(np.float32) * (b - a)
