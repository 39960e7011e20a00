"""The photos that a scene was fitted to: where they were taken, and what they show."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from fields.cameras import Camera
from fields.errors import FieldsError
from fields.runs import SceneRun
from fields.scenes import load_images
from fields.signals.scene import over

_SAME_VIEW = 1e-4  # difference of matrices, over the length of the scene
_KEPT = 16  # photos
_TOLD = 500  # at the most, to a page


class Photos:
    """Those of a run, read one at a time when they are asked for.

    Args:
        run: whose source has them, or had them.
        length: of the scene, by which cameras are compared.
    """

    def __init__(self, run: SceneRun, length: float):
        self.run, self.length = run, length
        self._read: dict[tuple[str, int], np.ndarray] = {}  # by split and number

    def described(self) -> list[dict[str, Any]]:
        """For pages, as JSON; none where the source is gone."""
        try:
            scene = self._scene
        except FieldsError:
            return []
        return [
            {
                "name": frame.name.rpartition("/")[2],
                "split": split,
                "c2w": frame.camera.cam_to_world.ravel().tolist(),
                "fov": 2 * math.degrees(math.atan(frame.camera.height / 2 / frame.camera.fl_y)),
                "time": frame.time,
            }
            for split, frames in scene.splits.items()
            for frame in frames
        ][:_TOLD]

    def at(self, camera: Camera) -> tuple[np.ndarray, Camera] | None:
        """The photo [H, W, 3] in [0, 1] that was taken from there, and its camera."""
        for split, frames in self._scene.splits.items():
            for i, frame in enumerate(frames):
                difference = np.abs(frame.camera.cam_to_world - camera.cam_to_world)
                difference[:3, 3] /= self.length
                if difference.max() < _SAME_VIEW:
                    return over(self._photo(split, i), self.run.background), frame.camera
        return None

    def keep(self, others: Photos) -> None:
        """Those that others have read already, of the same scene."""
        self._read = others._read

    @functools.cached_property
    def _scene(self) -> Any:
        return self.run.source()

    def _photo(self, split: str, index: int) -> np.ndarray:
        """[H, W, C] uint8; it alone is read, and a few are kept."""
        key = (split, index)
        if key not in self._read:
            frame = self._scene.splits[split][index]
            alone = dataclasses.replace(self._scene, splits={split: (frame,)})
            self._read[key] = load_images(alone, split).image(0)
            for old in list(self._read)[:-_KEPT]:
                del self._read[old]
        return self._read[key]
