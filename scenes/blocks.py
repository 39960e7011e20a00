"""Solids that shapes are put together from: boxes, rods, plates and turned profiles, through
manifold3d. Sizes and places are in units of the shape, z points up."""

import math
from collections.abc import Sequence

import numpy as np
from manifold3d import CrossSection, Manifold, OpType

Point = tuple[float, float, float]

SIDES = 28  # of what is round


def box(low: Point, high: Point) -> Manifold:
    """The box between two corners."""
    return Manifold.cube((high[0] - low[0], high[1] - low[1], high[2] - low[2])).translate(low)


def rod(start: Point, end: Point, radius: float, radius_at_end: float | None = None) -> Manifold:
    """A round rod between two places, as thick at its end as is said there."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    along = (b - a) / np.linalg.norm(b - a)
    aside = np.eye(3)[np.abs(along).argmin()]
    across = np.cross(along, aside)
    across /= np.linalg.norm(across)
    other = np.cross(along, across)
    angles = np.linspace(0, 2 * math.pi, SIDES, endpoint=False)
    circle = np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * other
    last = radius if radius_at_end is None else radius_at_end
    corners: np.ndarray = np.concatenate([a + radius * circle, b + last * circle])
    return Manifold.hull_points(corners)


def turned(profile: Sequence[tuple[float, float]]) -> Manifold:
    """A closed outline of (radius, height), against the clock, turned around the z axis."""
    return Manifold.revolve(CrossSection([np.asarray(profile, float)]), SIDES)


def plate(outline: CrossSection, low: float, high: float) -> Manifold:
    """An outline in the plane of x and y, from one height to another."""
    return Manifold.extrude(outline, high - low).translate((0, 0, low))


def upright(solid: Manifold) -> Manifold:
    """What lay in the plane of x and y stands in that of x and z."""
    return solid.rotate((90, 0, 0))


def disc(radius: float, sides: int = SIDES) -> CrossSection:
    """A round outline, or one with few corners."""
    return CrossSection.circle(radius, sides)


def rectangle(low: tuple[float, float], high: tuple[float, float]) -> CrossSection:
    """The rectangle between two corners."""
    return CrossSection.square((high[0] - low[0], high[1] - low[1])).translate(low)


def around(solid: Manifold, count: int) -> Manifold:
    """`count` copies of a solid, turned around the z axis, as one."""
    return joined([solid.rotate((0, 0, 360 * i / count)) for i in range(count)])


def joined(solids: Sequence[Manifold]) -> Manifold:
    """One solid of several."""
    return Manifold.batch_boolean(list(solids), OpType.Add)
