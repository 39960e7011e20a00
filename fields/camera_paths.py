"""Where a scene is looked at from: paths that follow from its own cameras, and paths of files."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fields import cameras
from fields.cameras import Camera
from fields.errors import FieldsError
from fields.pictures.naming import plain, shown
from fields.scenes.poses import camera_of, checked_pose, number
from fields.scenes.scene import Broken

FPS = 30.0
Size = tuple[int, int]

_TURNS = 2  # of a spiral
_REACH = 90.0  # percentile of the cameras' offsets that a spiral goes as far as
_SWAY = 0.1  # of the distance, where cameras stand all around
_ONE_WAY = 0.6  # length of the mean of level directions beyond which they face one way


@dataclass(frozen=True, eq=False)
class Shot:
    """A view, and its time from 0 to 1 where it has one."""

    camera: Camera
    time: float | None = None


@dataclass(frozen=True, eq=False)
class Rig:
    """The cameras that a scene was seen from, as far as new ones follow from them.

    Args:
        positions, directions: [N, 3], in units and axes of the source; directions of unit length.
        centre: [3], what they look at.
        up: [3], of unit length.
        focal: focal length of pictures one pixel wide.
    """

    positions: np.ndarray
    directions: np.ndarray
    centre: np.ndarray
    up: np.ndarray
    focal: float

    @property
    def faces_one_way(self) -> bool:
        """As of photos of a room's one side; elsewhere cameras stand all around."""
        level = self._level(self.directions)
        each = float(np.linalg.norm(level, axis=1).mean())
        return float(np.linalg.norm(level.mean(0))) > _ONE_WAY * each

    def view(self, size: Size) -> Camera:
        """A good one to begin with."""
        return self._mean(size) if self.faces_one_way else self.orbit(1, size)[0]

    def camera(self, index: int, size: Size) -> Camera:
        """One of its own, upright."""
        eye = self.positions[index]
        return self._at(eye, eye + self.directions[index], size)

    def orbit(self, count: int, size: Size) -> list[Camera]:
        """`count` cameras once around the centre, as far away and as high above it as most cameras
        were. The first is on the side of all of them where they face one way, elsewhere a little
        beside the front that files of such axes have, as of shapes."""
        away = self.positions - self.centre
        level = self._level(away)
        height = float(np.median(away @ self.up))
        radius = float(np.median(np.linalg.norm(level, axis=1)))
        first = level.mean(0)
        if not self.faces_one_way or np.linalg.norm(first) < 1e-6 * max(radius, 1e-9):
            front = self._level(np.asarray(cameras.FRONTS["xyz"[np.abs(self.up).argmax()]]))
            first = cameras.turned(front, self.up, cameras.AZIMUTH)
        first = first / np.linalg.norm(first)
        turns = 360.0 * np.arange(count) / count
        if math.hypot(radius, height) < 1e-9 + 1e-6 * float(np.abs(self.positions).max()):
            # Cameras that stand in one place look around.
            around = (cameras.turned(first, self.up, angle) for angle in turns)
            return [self._at(self.centre, self.centre + along, size) for along in around]
        return [
            self._at(
                self.centre + radius * cameras.turned(first, self.up, angle) + height * self.up,
                self.centre,
                size,
            )
            for angle in turns
        ]

    def spiral(self, count: int, size: Size) -> list[Camera]:
        """`count` cameras that sway around one view, two turns from side to side and once to and
        fro, and look at one point (after Mildenhall et al. 2019, LLFF).

        The view is that of the mean camera, and the sway as large as their offsets from it; where
        they stand all around, it is `view`, and the sway a tenth of the distance.
        """
        base = self.view(size)
        turn, eye = base.cam_to_world[:3, :3], base.position
        distance = max(float((self.centre - eye) @ base.forward), 1e-6)
        if self.faces_one_way:
            reach = np.percentile(np.abs((self.positions - eye) @ turn), _REACH, axis=0)
            distance = max(distance, 2 * float(reach.max()))
        else:
            reach = _SWAY * distance * np.array([1.0, 1.0, 0.5])
        at = eye + distance * base.forward
        result = []
        for angle in 2 * np.pi * _TURNS * np.arange(count) / count:
            sway = (math.cos(angle), -math.sin(angle), -math.sin(angle / _TURNS))
            result.append(self._at(eye + turn @ (reach * sway), at, size))
        return result

    def _mean(self, size: Size) -> Camera:
        eye = self.positions.mean(0)
        return self._at(eye, eye + self.directions.mean(0), size)

    def _level(self, vectors: np.ndarray) -> np.ndarray:
        """[..., 3] without what of them points up."""
        return vectors - (vectors @ self.up)[..., None] * self.up

    def _at(self, eye: np.ndarray, centre: np.ndarray, size: Size) -> Camera:
        pose = cameras.look_at(eye, centre, self.up)
        return Camera.simple(pose, size[0], size[1], self.focal * size[0])


@dataclass(frozen=True, eq=False)
class CameraPath:
    """Views of a file, and how many a second."""

    shots: list[Shot]
    fps: float = FPS


def read(path: Path, size: Size | None, usual: Size) -> CameraPath:
    """The cameras of a JSON file: a path as nerfstudio's viewer saves it, or `frames` as in
    transforms.json, each with a 4 x 4 matrix from camera to world.

    Args:
        path: the file.
        size: (width, height) of the pictures; by default that of the file. Of a path the vertical
            field of view is kept, of frames the horizontal one.
        usual: where neither says it.

    Raises FieldsError, in one line, for what is no such file.
    """
    name = shown(path)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FieldsError(f"{name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise FieldsError(f"{name} is no JSON; name a camera path") from None
    keyed = content if isinstance(content, dict) else {}
    views = keyed.get("camera_path") or keyed.get("frames")
    if not isinstance(views, list) or not views or not all(isinstance(v, dict) for v in views):
        raise FieldsError(
            f"{name} holds no cameras; it needs camera_path or frames, each with a 4 x 4 matrix"
        )
    of_path = bool(keyed.get("camera_path"))
    try:
        keys = ("render_width", "render_height") if of_path else ("w", "h")
        own = [_stated_size(keyed if of_path else {**keyed, **view}, keys) for view in views]
        stated = next(filter(None, own), None)  # the first gives the size of all pictures
        fps = _stated_fps(keyed, len(views)) if of_path else FPS
    except Broken as reason:
        raise FieldsError(f"{name} {reason}") from None
    shots = []
    for i, view in enumerate(views):
        try:
            if of_path:
                shots.append(_of_path(keyed, view, size or stated or usual))
            else:
                shots.append(_of_frame(keyed, view, own[i], size or stated or usual))
        except Broken as reason:
            raise FieldsError(f"{name}: view {i} {reason}") from None
    return CameraPath(shots, fps)


def _stated_size(content: dict[str, Any], keys: tuple[str, str]) -> Size | None:
    width, height = (int(number(content, key, 0)) for key in keys)
    return (width, height) if width > 0 and height > 0 else None


def _stated_fps(content: dict[str, Any], count: int) -> float:
    """Frames a second: as stated, or as many seconds ask for."""
    seconds = number(content, "seconds", 0.0)
    stated = number(content, "fps", count / seconds if seconds > 0 else FPS)
    return stated if 0 < stated <= 240 else FPS


def _of_path(content: dict[str, Any], view: dict[str, Any], size: Size) -> Shot:
    """A view of nerfstudio's; its field of view is vertical, in degrees."""
    kind = content.get("camera_type", "perspective")
    if kind != "perspective":
        raise Broken(f"is of the kind {plain(str(kind))[:40]}; perspective ones are drawn")
    try:
        matrix = np.asarray(view["camera_to_world"], np.float64).reshape(4, 4)
    except (KeyError, TypeError, ValueError):
        raise Broken("has no camera_to_world of 16 numbers") from None
    half = math.radians(number(view, "fov", cameras.FIELD_OF_VIEW)) / 2
    if not 0 < half < math.pi / 2:
        raise Broken("has a fov that is not between 0 and 180 degrees")
    focal = size[1] / 2 / math.tan(half)
    return Shot(Camera.simple(checked_pose(matrix), *size, focal), _time(view, "render_time"))


def _of_frame(
    content: dict[str, Any], frame: dict[str, Any], stated: Size | None, size: Size
) -> Shot:
    """A view of a transforms.json, with its lens."""
    if stated is None and any(number(k, "fl_x", 0.0) for k in (frame, content)):
        raise Broken("has a focal length in pixels, and no w and h say of how many")
    camera = camera_of(content, frame, stated or size, turned=False)
    factor = size[0] / camera.width
    camera = replace(
        camera.resized(*size, factor, factor),
        cy=camera.cy * factor + (size[1] - camera.height * factor) / 2,
    )
    return Shot(camera, _time(frame, "time"))


def _time(view: dict[str, Any], key: str) -> float | None:
    if view.get(key) is None:
        return None
    time = number(view, key, 0.0)
    if not 0 <= time <= 1:
        raise Broken(f"has the time {time:g}; times run from 0 to 1")
    return time
