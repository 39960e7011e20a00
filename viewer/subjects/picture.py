"""A fitted picture as a subject."""

from __future__ import annotations

import functools

import numpy as np
from torch import Tensor

from fields.errors import FieldsError
from fields.runs import PictureRun, displayed
from fields.runs.scene_pictures import as_bytes, error_picture
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

    def source_missing(self) -> str | None:
        try:
            self._source  # noqa: B018
        except FieldsError as error:
            return str(error)
        return None

    def truth_crop(
        self, size: tuple[int, int], box: Box, settings: Settings, cancel: Tensor
    ) -> np.ndarray:
        why = self.source_missing()
        if why:
            raise ValueError(why)
        truth = enlarged_crop(self._source, size, box)
        if settings.get("compare") == "truth":
            return truth
        return error_of(self.crop(size, box, settings, cancel), truth)

    @functools.cached_property
    def _source(self) -> np.ndarray:
        picture = self.run.source()
        return as_rgb(displayed(picture.pixels, self.run.space))


def error_of(drawn: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The difference of two pictures [H, W, 3] uint8 as colours, see error_picture."""
    return as_bytes(error_picture(drawn.astype(np.float32) / 255, truth.astype(np.float32) / 255))


def enlarged_crop(pixels: np.ndarray, size: tuple[int, int], box: Box) -> np.ndarray:
    """Pixels of a box of the picture [H, W, C] at another size: the nearest ones where it is
    enlarged, every so-manieth where it is made smaller."""
    x0, y0, x1, y1 = box
    height, width = pixels.shape[:2]
    columns = ((np.arange(x0, x1) + 0.5) * width / size[0]).astype(int).clip(0, width - 1)
    rows = ((np.arange(y0, y1) + 0.5) * height / size[1]).astype(int).clip(0, height - 1)
    return pixels[rows[:, None], columns[None]]
