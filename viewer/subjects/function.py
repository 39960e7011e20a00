"""Any function that draws as a subject."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from fields import cameras
from fields.cameras import Camera
from fields_viewer.encode import as_rgb
from fields_viewer.protocol import FIELD
from fields_viewer.subjects.subject import Settings, Solid

Render = Callable[[Camera, tuple[int, int], Tensor], Any]


class FunctionSubject(Solid):
    """
    Args:
        render: (camera, (width, height), cancel) -> a picture [height, width, 3], uint8 or floats
            in [0, 1]; `cancel` is a tensor [1] that is not zero once nobody waits for the picture.
        centre, radius: of the ball that the first camera sees.
        up: x, y or z.
        title: for the page.
    """

    kind = "function"

    def __init__(
        self,
        render: Render,
        *,
        centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
        radius: float = 1.0,
        up: str = "z",
        title: str | None = None,
    ):
        self.render, self.centre, self.radius, self.up = render, np.asarray(centre), radius, up
        self.title = title or getattr(render, "__name__", type(render).__name__)

    def home(self) -> tuple[Camera, np.ndarray, np.ndarray, float]:
        camera = cameras.around(self.centre, self.radius, (800, 800), up=self.up)
        return camera, self.centre, np.asarray(cameras.UPS[self.up]), 2 * self.radius

    def draw(self, camera: Camera, settings: Settings, cancel: Tensor) -> tuple[np.ndarray, int]:
        size = (camera.width, camera.height)
        pixels = as_rgb(self.render(camera, size, cancel))
        if pixels.shape[:2] != size[::-1]:
            raise ValueError(
                f"render was asked for {size[0]} x {size[1]} pixels and returned"
                f" {pixels.shape[1]} x {pixels.shape[0]}"
            )
        return pixels, FIELD
