"""Draws a view of a thing: colour with straight alpha, and depth."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from fields.cameras import Camera
from fields.lens import Lens
from fields.shapes.srgb import from_linear
from fields_scenes.light import shade
from fields_scenes.thing import Thing

# Where a pixel is looked at, from its centre: there, and on a turned square around it, no two of
# which share a row or a column.
_WITHIN = np.array([(0, 0), (0.125, 0.375), (-0.375, 0.125), (0.375, -0.125), (-0.125, -0.375)])


class View(NamedTuple):
    """A picture [H, W, 4] uint8, sRGB with straight alpha, and depths [H, W] float32 along the
    camera's axis at the centres of pixels, 0 where there is nothing."""

    pixels: np.ndarray
    depths: np.ndarray


@dataclass(frozen=True)
class _Frame:
    """What tells which rays a camera has but for its pose."""

    width: int
    height: int
    fl_x: float
    fl_y: float
    cx: float
    cy: float
    lens: Lens


def draw(thing: Thing, camera: Camera) -> View:
    """What a camera sees; each pixel is the mean of five places, in linear light."""
    frame = _Frame(
        camera.width, camera.height, camera.fl_x, camera.fl_y, camera.cx, camera.cy, camera.lens
    )
    local = _local_rays(frame)
    turn = camera.cam_to_world[:3, :3].astype(np.float32)
    origin = camera.position.astype(np.float32)
    pixels = camera.width * camera.height
    light = np.zeros((pixels, 3), np.float32)
    cover = np.zeros(pixels, np.float32)
    depths = np.zeros(pixels, np.float32)
    for place, rays in enumerate(local):
        directions = rays @ turn.T
        near = _meets(thing.box, origin, directions)
        aimed = directions[near]
        hits = thing.cast(origin, aimed)
        which = near[hits.rays]
        light[which] += shade(thing, hits, origin, aimed)
        cover[which] += 1
        if place == 0:
            depths[which] = hits.distances * -rays[which, 2]
    colour = from_linear(light / np.maximum(cover, 1)[:, None])
    values = np.concatenate([colour, cover[:, None] / len(_WITHIN)], axis=1)
    shape = (camera.height, camera.width)
    whole = np.rint(values * 255).astype(np.uint8)
    return View(whole.reshape(*shape, 4), depths.reshape(shape))


@lru_cache(maxsize=2)  # views of one scene share their lens, unless intrinsics differ
def _local_rays(frame: _Frame) -> np.ndarray:
    """[5, H * W, 3] float32 in the camera's own axes."""
    camera = Camera(np.eye(4), **vars(frame))
    x, y = np.meshgrid(np.arange(frame.width) + 0.5, np.arange(frame.height) + 0.5)
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    return np.stack([camera.local_rays_of(centres + w).astype(np.float32) for w in _WITHIN])


def _meets(box: np.ndarray, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Which rays go through a ball around the box: the others need no look."""
    middle = (box.mean(0) - origin).astype(np.float32)
    radius = float(np.linalg.norm(box[1] - box[0])) / 2
    along = directions @ middle
    gap = float(middle @ middle) - along * along
    return np.flatnonzero(gap <= radius * radius)
