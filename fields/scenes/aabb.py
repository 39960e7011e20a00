"""The box that a file states by the keys of instant-ngp."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.scenes.poses import number
from fields.scenes.scene import Broken
from fields.scenes.views import cube

_MOST = 1024  # aabb_scale; instant-ngp takes up to 128
_LARGEST = 4  # aabb_scale up to which the box ends where the scene does; beyond, it holds a world


class StatedBox(NamedTuple):
    """A box [2, 3] in units of the source, and how many times longer it is than the cube in its
    middle that holds what the scene is about, at least 1."""

    box: np.ndarray
    zoom: float


def stated_box(content: Mapping[str, Any], path: Path) -> StatedBox | None:
    """What a file says; None where nothing is stated, or a whole world is.

    instant-ngp trains in p * scale + offset, in the cube of side aabb_scale around 0.5; `aabb` says
    scale and offset by the corners of a box that becomes the unit cube. Raises FieldsError.
    """
    try:
        times = number(content, "aabb_scale", 1.0)
        if not times > 0:
            raise Broken(f"has an aabb_scale of {times:g}; it must be more than 0")
        if times > _MOST:
            raise Broken(f"has an aabb_scale of {times:g}; instant-ngp's are from 1 to 128")
        unit = _unit_cube(content)
    except Broken as reason:
        raise FieldsError(f"{shown(path)} {reason}") from None
    if unit is None or times > _LARGEST:
        return None
    middle, half = unit
    return StatedBox(cube(middle, half * times), max(times, 1.0))


def _unit_cube(content: Mapping[str, Any]) -> tuple[np.ndarray, float] | None:
    """Middle and half a side, in units of the source, of what is instant-ngp's unit cube."""
    if content.get("aabb") is not None:
        box = _array(content, "aabb", (2, 3))
        if not (box[0] < box[1]).all():
            raise Broken("has an aabb whose second corner is not beyond its first")
        return box.mean(0), float((box[1] - box[0]).max()) / 2
    if all(content.get(key) is None for key in ("aabb_scale", "scale", "offset")):
        return None
    scale = number(content, "scale", 0.33)
    if not scale > 0:
        raise Broken(f"has a scale of {scale:g}; it must be more than 0")
    offset = np.full(3, 0.5)
    if content.get("offset") is not None:
        offset = _array(content, "offset", (3,))
    return (0.5 - offset) / scale, 0.5 / scale


def _array(content: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        value = np.asarray(content[key], np.float64)
    except (TypeError, ValueError):
        value = np.empty(0)
    if value.shape != shape or not np.isfinite(value).all():
        wanted = " x ".join(map(str, shape))
        raise Broken(f"has a key {key} that is not {wanted} finite numbers")
    return value
