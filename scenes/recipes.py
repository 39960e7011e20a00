"""Ten families of closed shapes, each by a recipe that draws its proportions: parts by name.

Proportions spread so far that volume and area do not tell which family a shape is of; see
families.py, which chooses among what is drawn.
"""

import math
from collections.abc import Callable

import numpy as np
from manifold3d import CrossSection, Manifold

from fields_scenes.blocks import (
    around,
    box,
    disc,
    joined,
    plate,
    rectangle,
    rod,
    turned,
    upright,
)

Parts = dict[str, Manifold]
"""The parts of a shape by name; they overlap where they meet."""

_IN = 0.02  # how far parts reach into each other
SMOOTH = 16  # sides of what is round and small


class Draw:
    """Numbers of a recipe, from a generator."""

    def __init__(self, generator: np.random.Generator):
        self._generator = generator

    def __call__(self, low: float, high: float) -> float:
        """Any number between two."""
        return float(self._generator.uniform(low, high))

    def whole(self, low: int, high: int) -> int:
        """A whole number, the ends included."""
        return int(self._generator.integers(low, high + 1))

    def is_so(self, share: float) -> bool:
        """True that often."""
        return bool(self._generator.uniform() < share)


Recipe = Callable[[Draw], Parts]


def arch(draw: Draw) -> Parts:
    """Half rings on posts, which may stand on feet."""
    bays, thick, depth = draw.whole(1, 3), draw(0.12, 0.45), draw(0.25, 0.6)
    height = draw(0.4, 1.6)
    ring = (disc(1) - disc(1 - thick)) ^ rectangle((-2, -_IN), (2, 2))
    apart = 2 - 0.9 * thick  # so that outlines cut, and do not touch, each other
    places = [i * apart for i in range(bays)]
    outline = CrossSection()
    for x in places:
        outline += ring.translate((x, 0))
    bow = upright(plate(outline, -depth, depth))
    # Not quite as wide and deep as the ring: faces that lie in one another make edges of four.
    slim = 0.02 * thick
    post = box((1 - thick + slim, slim - depth, -height), (1 - slim, depth - slim, 0))
    posts = [post.translate((x, 0, 0)) for x in (-apart, *places)]
    parts = {"bow": bow, "posts": joined(posts)}
    if draw.is_so(0.5):
        wide, deep, high = draw(0.05, 0.2), draw(0.1, 0.4), draw(0.08, 0.3)
        foot = box(
            (1 - thick - wide, -depth - deep, -height - high),
            (1 + wide, depth + deep, -height + _IN),
        )
        parts["feet"] = joined([foot.translate((x, 0, 0)) for x in (-apart, *places)])
    return parts


def bottle(draw: Draw) -> Parts:
    """Hollow, with a neck narrower than the body, open at the top."""
    neck, wall, floor = draw(0.25, 0.5), draw(0.08, 0.25), draw(0.1, 0.6)
    shoulder, low, high = draw(0.15, 0.5), draw(0.9, 1.5), draw(0.4, 1.2)
    top = low + shoulder
    body = turned([(0, 0), (1, 0), (1, low), (neck, top), (0, top)])
    inner = neck - min(wall, 0.6 * neck)
    cavity = turned([
        (0, floor), (1 - wall, floor), (1 - wall, max(low, floor + 0.02)), (inner, top),
        (inner, top + high + 1),
        (0, top + high + 1),
    ])  # fmt: skip
    tube = plate(disc(neck - 1e-3), top - 0.5 * shoulder, top + high)
    if draw.is_so(0.5):
        tube += plate(disc(neck + draw(0.03, 0.12)), top + high - draw(0.08, 0.2), top + high)
    return {"body": body - cavity, "neck": tube - cavity}


def chair(draw: Draw) -> Parts:
    """A seat on four legs with a back: a board, bars, or a frame."""
    deep, thick, leg = draw(0.7, 1.0), draw(0.1, 0.45), draw(0.12, 0.3)
    height, back = draw(0.5, 1.1), draw(0.8, 1.5)
    seat = box((-1, -deep, 0), (1, deep, thick))
    splay = draw(0, 0.15)
    legs = joined([
        rod((x * (1 - leg), y * (deep - leg), _IN),
            (x * (1 - leg + splay), y * (deep - leg + splay), -height), leg, leg * draw(0.6, 1))
        for x in (-1, 1) for y in (-1, 1)
    ])  # fmt: skip
    board = draw(0.12, 0.4)
    whole = box((-1, deep - board, thick - _IN), (1, deep, back))
    kind = draw.whole(0, 2)
    rim = (back - thick) * draw(0.15, 0.35)
    if kind == 1:  # bars that stand
        gaps = [
            box((x - rim / 4, deep - board - 1, thick + rim), (x + rim / 4, deep + 1, back - rim))
            for x in np.linspace(-0.7, 0.7, draw.whole(3, 5))
        ]
        whole -= joined(gaps)
    elif kind == 2:  # a frame
        low, high = thick + rim, back - rim
        whole -= box((-1 + rim, deep - board - 1, low), (1 - rim, deep + 1, high))
    return {"seat": seat, "legs": legs, "back": whole}


def gear(draw: Draw) -> Parts:
    """A wheel with teeth and spokes around a hub with a hole."""
    teeth, deep = draw.whole(8, 16), draw(0.12, 0.3)
    inner, hub, hole = draw(0.6, 0.88), draw(0.2, 0.4), draw(0.3, 0.7)
    thick, length = draw(0.1, 0.3), draw(0.3, 0.6)
    width = math.pi / teeth * draw(0.7, 1.1)
    tooth = CrossSection([np.array([
        (1 - deep - 0.05, -width / 2), (1, -width / 3), (1, width / 3), (1 - deep - 0.05, width / 2)
    ])])  # fmt: skip
    rim = plate(disc(1 - deep, 3 * SMOOTH) - disc(inner - deep, 2 * SMOOTH), -thick, thick)
    crown = around(plate(tooth, -0.97 * thick, 0.97 * thick), teeth)
    bar, flat = draw(0.06, 0.16), thick * draw(0.5, 0.9)
    bore = plate(disc(hub * hole), -2, 2)
    spoke = box((hub * hole, -bar, -flat), (inner - deep + _IN, bar, flat))
    spokes = around(spoke, draw.whole(3, 6)) - bore
    return {
        "teeth": crown,
        "rim": rim,
        "spokes": spokes,
        "hub": plate(disc(hub), -length, length) - bore,
    }


def lamp(draw: Draw) -> Parts:
    """A shade, open below, on a pole with a foot."""
    low, high, tall, wall = draw(0.6, 1.0), draw(0.25, 0.6), draw(0.5, 0.9), draw(0.05, 0.22)
    pole, foot, flat = draw(0.06, 0.25), draw(0.4, 0.9), draw(0.06, 0.3)
    height = draw(1.2, 1.8)
    outer = turned([(0, height - tall), (low, height - tall), (high, height), (0, height)])
    inner = turned([
        (0, height - tall - 1), (low - wall, height - tall - 1), (low - wall, height - tall),
        (max(high - wall, 0.05), height - wall), (0, height - wall),
    ])  # fmt: skip
    rise = draw(0, 0.25)
    base = turned([(0, 0), (foot, 0), (foot, flat), (1.1 * pole, flat + rise), (0, flat + rise)])
    return {
        "shade": outer - inner,
        "pole": rod((0, 0, flat / 2), (0, 0, height - wall / 2), pole),
        "foot": base,
    }


def mug(draw: Draw) -> Parts:
    """A hollow body with a handle."""
    wall, tall, top = draw(0.08, 0.3), draw(1.2, 1.9), draw(0.8, 1.2)
    floor = tall * draw(0.08, 0.45)
    body = turned([(0, 0), (1, 0), (top, tall), (0, tall)])
    cavity = turned([(0, floor), (1 - wall, floor), (top - wall, tall), (top - wall, tall + 1),
                     (0, tall + 1)])  # fmt: skip
    reach, bar = tall * draw(0.28, 0.4), draw(0.1, 0.2)
    ring = disc(reach) - disc(reach - bar)
    loop = upright(plate(ring, -draw(0.08, 0.25), bar)).scale((draw(0.8, 1.4), 1, 1))
    at = (1 + top) / 2 - 0.04
    handle = loop.translate((at, 0, tall * draw(0.48, 0.55))) - cavity
    return {"body": body - cavity, "handle": handle}


def screw(draw: Draw) -> Parts:
    """A head with a slot or corners, and a threaded shank with a tip."""
    head, flat, shank = draw(0.7, 1.0), draw(0.15, 0.5), draw(0.22, 0.5)
    length, tip = draw(1.3, 2.0), draw(0.2, 0.7)
    has_corners = draw.is_so(0.5)
    top = plate(disc(head, 6 if has_corners else SMOOTH), 0, flat)
    if not has_corners:
        slot = draw(0.06, 0.14)
        top -= box((-2, -slot, flat * draw(0.3, 0.6)), (2, slot, 2))
    # An outline that is off its axis becomes a thread as it is twisted.
    ridge = shank * draw(0.12, 0.25)
    turns = draw.whole(3, 7)
    outline = disc(shank, SMOOTH).translate((ridge, 0))
    thread = Manifold.extrude(outline, length, 10 * turns, 360 * turns).translate((0, 0, -length))
    end = rod((0, 0, -length + _IN), (0, 0, -length - tip), 0.9 * shank, 0.15 * shank)
    thread += plate(disc(shank - ridge), -_IN, _IN)
    return {"head": top, "thread": thread, "tip": end}


def star(draw: Draw) -> Parts:
    """Points around a core, which stands upright."""
    count, inner, depth = draw.whole(4, 7), draw(0.25, 0.5), draw(0.12, 0.45)
    blunt, sharp = draw(0.02, 0.12), draw(0.3, 0.9)
    wide = inner * math.tan(math.pi / count) * draw(0.85, 0.99)
    root = inner * 0.9
    corners = [(root, y, z) for y in (-wide, wide) for z in (-depth, depth)]
    corners += [(1, y, z) for y in (-blunt, blunt) for z in (-depth * sharp, depth * sharp)]
    point = Manifold.hull_points(np.array(corners))
    core = plate(disc(inner, 2 * SMOOTH), -depth * 1.03, depth * 1.03)
    if draw.is_so(0.5):
        core -= plate(disc(inner * draw(0.3, 0.6)), -2, 2)
        point -= plate(disc(inner * 0.65), -2, 2)
    turn = (0, 0, 90)
    return {
        "core": upright(core.rotate(turn)),
        "points": upright(around(point, count).rotate(turn)),
    }


def table(draw: Draw) -> Parts:
    """A top on three or four legs, which may have bars or a shelf between them."""
    thick, leg, height, deep = draw(0.08, 0.4), draw(0.08, 0.28), draw(0.8, 1.6), draw(0.7, 1.0)
    count = draw.whole(3, 4)
    is_round = count == 3 or draw.is_so(0.3)
    top = plate(disc(1) if is_round else rectangle((-1, -1), (1, 1)), 0, thick)
    place = (0.72 if is_round else 0.97) - leg
    first = 0 if count == 3 else math.pi / 4
    far = place if is_round else place * math.sqrt(2)
    splay = draw(0.8, 1.1)
    tops = [
        (far * math.cos(first + 2 * math.pi * i / count),
         far * math.sin(first + 2 * math.pi * i / count))
        for i in range(count)
    ]  # fmt: skip
    slim = leg * draw(0.5, 1)
    legs = joined([rod((x, y, _IN), (splay * x, splay * y, -height), leg, slim) for x, y in tops])
    parts = {"top": top, "legs": legs}
    under = draw.whole(0, 2)
    if under == 1:
        low, bar = -height * draw(0.4, 0.75), 0.6 * slim
        parts["bars"] = joined([rod((x, y, low), (0, 0, low), bar) for x, y in tops])
    elif under == 2:
        low, wide = -height * draw(0.35, 0.75), place * draw(0.9, 1.05)
        board = disc(wide) if is_round else rectangle((-wide, -wide), (wide, wide))
        parts["shelf"] = plate(board, low, low + thick * draw(0.4, 0.9))
    return {name: part.scale((1, deep, 1)) for name, part in parts.items()}


def tree(draw: Draw) -> Parts:
    """A trunk under a crown of cones or of balls."""
    trunk, stem = draw(0.1, 0.35), draw(0.4, 0.9)
    if draw.is_so(0.5):
        tiers, step, shrink = draw.whole(2, 6), draw(0.35, 0.55), draw(0.75, 0.93)
        tall = step * draw(1.1, 1.7)
        cones = [
            rod((0, 0, stem + i * step), (0, 0, stem + i * step + tall), shrink**i, 0.1 * shrink**i)
            for i in range(tiers)
        ]
        crown, top = joined(cones), stem + 0.5 * step
    else:
        balls = []
        for i in range(draw.whole(3, 8)):
            angle, away = 2.4 * i + draw(-0.5, 0.5), draw(0.4, 0.8)
            size = draw(0.25, 0.5)
            ball = Manifold.sphere(size, SMOOTH)
            place = (away * math.cos(angle), away * math.sin(angle), stem + draw(0.1, 1.0))
            balls.append(ball.translate(place))
        balls.append(Manifold.sphere(draw(0.35, 0.5), SMOOTH).translate((0, 0, stem + 0.5)))
        crown, top = joined(balls), stem + 0.4
    return {"crown": crown, "trunk": rod((0, 0, 0), (0, 0, top), trunk, 0.7 * trunk)}


RECIPES: dict[str, Recipe] = {
    recipe.__name__: recipe
    for recipe in (arch, bottle, chair, gear, lamp, mug, screw, star, table, tree)
}
