"""What a page asks to see: a camera, or a part of a flat picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fields.cameras import Camera
from fields_viewer.protocol import TILE, Refused

LOWEST, HIGHEST = -12, 8  # levels of tiles; level l has 2^l pixels for one of the source


@dataclass(frozen=True, eq=False)
class View:
    """A camera that a page asked for.

    Args:
        id: counts the views of a page.
        cam_to_world: [4, 4], in units of the source.
        fov: vertical field of view in degrees.
        width, height: pixels of the still picture.
    """

    id: int
    cam_to_world: np.ndarray
    fov: float
    width: int
    height: int

    @classmethod
    def of(cls, message: dict[str, Any]) -> View:
        matrix = np.asarray(message["c2w"], np.float64).reshape(4, 4)
        return cls(message["id"], matrix, message["fov"], message["w"], message["h"])

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def camera(self, width: int, height: int) -> Camera:
        """At another size."""
        focal = self.height / 2 / math.tan(math.radians(self.fov) / 2)
        whole = Camera.simple(self.cam_to_world, self.width, self.height, focal)
        if (width, height) == (self.width, self.height):
            return whole
        return whole.resized(width, height, width / self.width, height / self.height)


def tile_box(
    source: tuple[int, int], level: int, column: int, row: int
) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """The size of the whole picture at a level, and the box of a tile; Refused beside it."""
    if not LOWEST <= level <= HIGHEST:
        raise Refused(f"levels of tiles go from {LOWEST} to {HIGHEST}, not {level}")
    width, height = (max(1, round(side * 2.0**level)) for side in source)
    x, y = column * TILE, row * TILE
    if not (0 <= x < width and 0 <= y < height):
        raise Refused("there is no such tile")
    return (width, height), (x, y, min(x + TILE, width), min(y + TILE, height))


def flat_box(message: dict[str, Any]) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """The size of the whole picture, and what of it is seen and there; Refused for nonsense."""
    width, height = (max(1, round(side)) for side in message["size"])
    x0, y0, x1, y1 = map(round, message["crop"])
    if (x1 - x0) * (y1 - y0) > 1 << 24 or x1 <= x0 or y1 <= y0:
        raise Refused("crop of a flat view is empty, or too large")
    return (width, height), (max(x0, 0), max(y0, 0), min(x1, width), min(y1, height))
