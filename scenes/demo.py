"""The scene of `fields fit demo-scene`: painted solids on a plinth, made at first use."""

import math
import os
from dataclasses import replace
from pathlib import Path

from fields.progress import Progress
from fields_scenes.generate import Wanted, render_thing
from fields_scenes.patterns import checks, marble, rings, sectors, stripes
from fields_scenes.solids import Solid, Solids
from fields_scenes.thing import Thing

VERSION = 1  # of its looks: another one is another folder
WANTED = Wanted()

_CREAM, _RED, _BLUE, _YELLOW = (
    (0.80, 0.74, 0.62),
    (0.62, 0.06, 0.05),
    (0.04, 0.12, 0.45),
    (0.8, 0.55, 0.06),
)
_GREEN, _ORANGE, _DARK = (0.05, 0.32, 0.12), (0.75, 0.28, 0.04), (0.10, 0.07, 0.06)
_OAK, _WALNUT = (0.52, 0.33, 0.17), (0.30, 0.16, 0.07)
_TOP = -0.54  # of the plinth

SOLIDS = (
    Solid("cylinder", (1.08, 1.08, 0.09), (0, 0, _TOP - 0.09), rings(_OAK, _WALNUT, 0.09, 3)),
    Solid("ball", (0.34, 0.34, 0.34), (-0.42, -0.34, _TOP + 0.34), sectors(_RED, _CREAM, 10),
          tilt=35, gloss=0.55),
    Solid("cube", (0.27, 0.27, 0.27), (0.42, -0.40, _TOP + 0.27), checks(_BLUE, _YELLOW, 0.1804),
          turn=28),
    Solid("cylinder", (0.21, 0.21, 0.42), (0.38, 0.42, _TOP + 0.42),
          stripes(_GREEN, _CREAM, 2, 0.13)),
    Solid("ball", (0.27, 0.27, 0.15), (0.38, 0.42, _TOP + 0.99), marble(_CREAM, _DARK, 5),
          gloss=0.6),
    Solid("cone", (0.33, 0.33, 0.40), (-0.42, 0.42, _TOP + 0.40), stripes(_ORANGE, _DARK, 2, 0.11)),
    Solid("cylinder", (0.035, 0.035, 0.5), (0.02, 0.0, _TOP + 0.42),
          stripes(_CREAM, _RED, 2, 0.095), turn=60, tilt=36),
)  # fmt: skip

_BALL, _CUBE = 1, 2  # among the solids


def demo_scene(folder: Path | None = None, *, progress: Progress | None = None) -> Path:
    """The folder of the demo scene, made now if it is not there.

    Args:
        folder: where; by default in the user's cache ($XDG_CACHE_HOME, or ~/.cache).
        progress: is told of each view that is made.

    It needs no open3d: rays meet its solids in closed form.
    """
    folder = folder or cache() / f"demo-scene-{VERSION}"
    if not (folder / "transforms_train.json").is_file():
        render_demo(folder, WANTED, progress=progress)
    return folder


def render_demo(out: Path, wanted: Wanted, *, progress: Progress | None = None) -> None:
    """Make the demo scene anew, as large as wanted; where it moves, the ball leaps."""
    resting = Solids(SOLIDS)

    def at(time: float | None) -> Thing:
        return resting if time is None else Solids(_moved(time))

    render_thing(at, out, wanted, progress=progress)


def _moved(time: float) -> list[Solid]:
    """The ball leaps once and turns; the cube turns to and fro; the rest stands."""
    swing = math.sin(2 * math.pi * time)
    parts = list(SOLIDS)
    ball, cube = parts[_BALL], parts[_CUBE]
    x, y, z = ball.place
    leap = 0.55 * math.sin(math.pi * time) ** 2
    parts[_BALL] = replace(ball, place=(x, y, z + leap), turn=180.0 * time)
    parts[_CUBE] = replace(cube, turn=cube.turn + 50.0 * swing)
    return parts


def cache() -> Path:
    """Where what can be made again is kept."""
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "fields"
