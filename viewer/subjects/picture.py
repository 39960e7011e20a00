"""A fitted picture as a subject."""

from __future__ import annotations

import functools

import numpy as np
from torch import Tensor

from fields.runs import PictureRun, displayed
from fields_viewer.encode import as_rgb
from fields_viewer.subjects.subject import COMPARE, Box, Flat, Setting, Settings


class PictureSubject(Flat):
    """Its pixels are those of `fields render`, on a screen: HDR through the display curve, alpha
    before white."""

    kind = "picture"

    def __init__(self, run: PictureRun):
        self.run = run
        self.title = run.path.name
        self.step = run.steps

    def settings(self) -> list[Setting]:
        return [Setting("compare", "Beside it", "off", choices=COMPARE)]

    def size(self, settings: Settings) -> tuple[int, int]:
        return self.run.space.width, self.run.space.height

    def crop(
        self, size: tuple[int, int], box: Box, settings: Settings, cancel: Tensor
    ) -> np.ndarray:
        pixels = self.run.render(size, box, cancel=cancel)
        return as_rgb(displayed(pixels, self.run.space))

    def source_crop(self, size: tuple[int, int], box: Box, settings: Settings) -> np.ndarray:
        return enlarged_crop(self._source, size, box)

    @functools.cached_property
    def _source(self) -> np.ndarray:
        picture = self.run.source()
        return as_rgb(displayed(picture.pixels, self.run.space))


def enlarged_crop(pixels: np.ndarray, size: tuple[int, int], box: Box) -> np.ndarray:
    """Pixels of a box of the picture [H, W, C] at another size: the nearest ones where it is
    enlarged, every so-manieth where it is made smaller."""
    x0, y0, x1, y1 = box
    height, width = pixels.shape[:2]
    columns = ((np.arange(x0, x1) + 0.5) * width / size[0]).astype(int).clip(0, width - 1)
    rows = ((np.arange(y0, y1) + 0.5) * height / size[1]).astype(int).clip(0, height - 1)
    return pixels[rows[:, None], columns[None]]
