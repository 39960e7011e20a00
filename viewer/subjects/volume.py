"""A fitted volume as a subject: its slices."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from torch import Tensor

from fields.runs import VolumeRun
from fields_viewer.encode import as_rgb
from fields_viewer.subjects.picture import enlarged_crop
from fields_viewer.subjects.subject import COLOURS, COMPARE, Box, Flat, Setting, Settings, mapped

AXES = ("x", "y", "z")


class VolumeSubject(Flat):
    """Its pixels are those of `fields render --slice`."""

    kind = "volume"

    def __init__(self, run: VolumeRun):
        self.run = run
        self.title = run.path.name
        self.step = run.steps

    def settings(self) -> list[Setting]:
        return [
            Setting("axis", "Slice across", "z", choices=AXES),
            Setting("at", "At", 0.5, low=0.0, high=1.0, step=0.005),
            Setting("colours", "Colours", "grey", choices=COLOURS),
            Setting("compare", "Beside it", "off", choices=COMPARE),
        ]

    def size(self, settings: Settings) -> tuple[int, int]:
        across = AXES.index(settings["axis"])
        width, height = (n for i, n in enumerate(self.run.shape) if i != across)
        return width, height

    def describe(self) -> dict[str, Any]:
        sizes = {axis: list(self.size({"axis": axis})) for axis in AXES}
        return super().describe() | {"sizes": sizes}

    def crop(
        self, size: tuple[int, int], box: Box, settings: Settings, cancel: Tensor
    ) -> np.ndarray:
        axis, at = settings["axis"], float(settings["at"])
        grey = as_rgb(self.run.render(size, box, axis=axis, at=at, cancel=cancel))
        return mapped(grey, settings.get("colours", "grey"))

    def source_crop(self, size: tuple[int, int], box: Box, settings: Settings) -> np.ndarray:
        voxels, across = self._source, AXES.index(settings["axis"])
        count = voxels.shape[across]
        index = min(int(float(settings["at"]) * count), count - 1)
        low, high = self.run.window
        plane = np.take(voxels, index, axis=across).T.astype(np.float32)
        grey = as_rgb(((plane - low) / (high - low)).clip(0, 1))
        return mapped(enlarged_crop(grey, size, box), settings.get("colours", "grey"))

    @functools.cached_property
    def _source(self) -> np.ndarray:
        return self.run.source().values
