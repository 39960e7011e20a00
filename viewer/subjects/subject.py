"""A subject: what the page shows. The server asks it to draw and knows no more of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fields.cameras import Camera
from fields.errors import FieldsError
from fields.runs.scene_pictures import as_bytes, error_picture
from fields_viewer.protocol import FIELD

Settings = Mapping[str, Any]
Box = tuple[int, int, int, int]
PART = 128  # pixels along a side of a part of a still picture
COLOURS = ("grey", "viridis", "turbo", "inferno")  # maps of depth, opacity and occupancy
COMPARE = ("off", "truth", "error")


@dataclass(frozen=True)
class Setting:
    """Something that the page may change.

    Args:
        name, title: for messages, and for people.
        value: at the beginning.
        choices: of a choice.
        low, high, step: of a slider.
        is_power: the value is a power of 10, and 0 stands for nothing.
    """

    name: str
    title: str
    value: Any
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01
    is_power: bool = False

    def allows(self, value: Any) -> bool:
        if self.choices:
            return isinstance(value, str) and value in self.choices
        if isinstance(self.value, bool):
            return isinstance(value, bool)
        number = type(value) in (int, float) and math.isfinite(value)
        return number and self.low <= value <= self.high

    def as_dict(self) -> dict[str, Any]:
        kind = "choice" if self.choices else "switch" if isinstance(self.value, bool) else "range"
        return {
            "name": self.name,
            "title": self.title,
            "kind": kind,
            "value": self.value,
            "choices": list(self.choices),
            "low": self.low,
            "high": self.high,
            "step": self.step,
            "power": self.is_power,
        }


class Subject:
    """What flat and solid subjects share.

    Attributes:
        title: for the page.
        kind: picture, shape, volume, scene or function.
        step: training steps behind the field.
        is_live: the field is trained while it is shown.
    """

    title: str = "fields"
    kind: str = "function"
    step: int = 0
    is_live: bool = False

    def settings(self) -> list[Setting]:
        return []

    def replaces(self, before: Subject) -> None:
        """Take over what still holds of the subject that was shown until now."""

    def can_bake(self, everywhere: bool) -> bool:
        """Whether there is a proxy that can be made of it; on a CPU alone, or `everywhere`."""
        return False

    def bake(self) -> Iterator[None]:
        """Make the proxy, of the field as it is now, in parts of some milliseconds."""
        raise NotImplementedError

    def proxy_state(self) -> dict[str, Any] | None:
        """Of the proxy that there is, as JSON; None where there is none."""
        return None

    def describe(self) -> dict[str, Any]:
        """What the page must know, as JSON."""
        return {
            "title": self.title,
            "kind": self.kind,
            "settings": [setting.as_dict() for setting in self.settings()],
        }


class Solid(Subject):
    """Seen by a camera."""

    def home(self) -> tuple[Camera, np.ndarray, np.ndarray, float]:
        """A good view to begin with, the point [3] that it turns around, the direction [3] that
        points up, and the length of the subject."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        camera, target, up, length = self.home()
        fov = 2 * math.degrees(math.atan(camera.height / 2 / camera.fl_y))
        return super().describe() | {
            "flat": False,
            "c2w": camera.cam_to_world.ravel().tolist(),
            "fov": fov,
            "target": np.asarray(target, float).tolist(),
            "up": np.asarray(up, float).tolist(),
            "length": float(length),
            "box": None if (box := self.box()) is None else box.ravel().tolist(),
            "photos": self.photos(),
        }

    def box(self) -> np.ndarray | None:
        """[2, 3]: where a crop box begins; None where nothing can be cropped."""
        return None

    def photos(self) -> list[dict[str, Any]]:
        """Views that the truth is known of: name, split, c2w, fov."""
        return []

    def draws(self, settings: Settings) -> int:
        """What frames in motion show now, FIELD or PROXY."""
        return FIELD

    def draw(self, camera: Camera, settings: Settings, cancel: Tensor) -> tuple[np.ndarray, int]:
        """A frame in motion, [height, width, 3] uint8, and whether it shows FIELD or PROXY."""
        raise NotImplementedError

    def parts(
        self, camera: Camera, settings: Settings, cancel: Tensor
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """The still picture in parts: column and row of the corner, and pixels."""
        yield 0, 0, self.draw(camera, settings, cancel)[0]

    def truth(
        self, camera: Camera, settings: Settings, cancel: Tensor
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """What stands beside the still picture, in parts; FieldsError says why there is nothing."""
        raise FieldsError("there is no source to compare with")


class Flat(Subject):
    """Seen from above: a picture, or a slice."""

    def size(self, settings: Settings) -> tuple[int, int]:
        """Width and height at one pixel for each of the source."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        usual = {setting.name: setting.value for setting in self.settings()}
        return super().describe() | {"flat": True, "size": list(self.size(usual))}

    def crop(
        self, size: tuple[int, int], box: Box, settings: Settings, cancel: Tensor
    ) -> np.ndarray:
        """These pixels, [h, w, 3] uint8, of all in `size`."""
        raise NotImplementedError

    def truth_crop(
        self, size: tuple[int, int], box: Box, settings: Settings, cancel: Tensor
    ) -> np.ndarray:
        """What stands beside them: the source, or where they differ from it."""
        truth = self.source_crop(size, box, settings)
        if settings.get("compare") == "truth":
            return truth
        return error_of(self.crop(size, box, settings, cancel), truth)

    def source_crop(self, size: tuple[int, int], box: Box, settings: Settings) -> np.ndarray:
        """The same pixels of the source; FieldsError says why there are none."""
        raise FieldsError("there is no source to compare with")


def parts_of(width: int, height: int, side: int = PART) -> list[Box]:
    """Boxes that make up a picture, from its middle outwards."""
    boxes = [
        (x, y, min(x + side, width), min(y + side, height))
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]
    middle = (width / 2, height / 2)
    return sorted(boxes, key=lambda b: math.dist(middle, ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2)))


def mapped(grey: np.ndarray, name: str, nothing: int = 0) -> np.ndarray:
    """Grey [H, W, 3] uint8 through a colour map; what is as grey as `nothing` stays so."""
    if name == "grey":
        return grey
    from matplotlib import colormaps

    levels = (colormaps[name](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    levels[nothing] = nothing
    return levels[grey[..., 0]]


def error_of(drawn: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The difference of two pictures [H, W, 3] uint8 as colours, see error_picture."""
    return as_bytes(error_picture(drawn.astype(np.float32) / 255, truth.astype(np.float32) / 255))
