"""The run of a picture: the field drawn at any size."""

import math
import os
from typing import Any

import numpy as np
from torch import Tensor

from fields import folder
from fields.pictures import RelativeSpace, png, quantise, read_picture
from fields.pictures.downscale import downscale
from fields.pictures.naming import shown
from fields.pictures.picture import Picture
from fields.render import Box, Size, bands, checked_box, enlarged
from fields.runs.run import Run
from fields.signals.picture import PictureSignal
from fields.signals.picture_score import score
from fields.signals.picture_space import PictureSpace

PREVIEW_SIDE = 1024  # of the preview picture, at most about


class PictureRun(Run):
    """A fitted picture: see Run.

    Attributes:
        space: how values become pixels.
        icc: the colour profile of the source, or None.
    """

    def _read_signal(self, signal: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        icc = tensors.get("signal.icc")
        self.icc = None if icc is None else bytes(icc.numpy())
        self.space = PictureSpace.from_dict(signal)

    def render(
        self,
        size: Size | float | None = None,
        crop: Box | None = None,
        *,
        cancel: Tensor | None = None,
    ) -> np.ndarray:
        """Draw the picture, at any size.

        Args:
            size: (width, height) in pixels, or how many times larger than the source; by default
                that of the source.
            crop: (x0, y0, x1, y1) in those pixels, x1 and y1 not included.
            cancel: [1]; Cancelled is raised once it is not zero.

        Returns [h, w, C] in the encoding and the dtype of the source.
        """
        source = (self.space.width, self.space.height)
        if size is None:
            size = source
        elif isinstance(size, (int, float)):
            size = enlarged(source, size)
        x0, y0, x1, y1 = checked_box(size, crop)
        result = np.empty((y1 - y0, x1 - x0, self.space.channels), self.space.dtype)
        for top, values in bands(self.field, size, crop, source=source, cancel=cancel):
            result[top : top + len(values)] = self.space.to_pixels(values.numpy())
        return result

    def source(self, path: str | os.PathLike | None = None) -> Picture:
        """The picture that was fitted, as it was fitted; by default read from where it was.

        Raises FieldsError if the run does not know where, or it is no longer there.
        """
        picture = read_picture(self._source_path() if path is None else path)
        return downscale(picture, self.config["signal"]["downscale"])

    def png(self, longest: int | None = None) -> bytes:
        """The picture as a PNG file of 8 or 16 bits; floats through the display curve.

        Args:
            longest: side that a larger picture is drawn at.
        """
        width, height = self.space.width, self.space.height
        shrink = min(1.0, (longest or max(width, height)) / max(width, height))
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        return png.encode(displayed(self.render(size), self.space), self.icc)

    def scores(self, source: Picture) -> dict[str, Any]:
        """PSNR and SSIM; see `score`."""
        return score(source, self.render())

    @property
    def described(self) -> str:
        return str(self.space)

    def finish(self, signal: PictureSignal, place: folder.RunFolder) -> dict[str, Any]:
        pixels = self.render()
        picture = Picture(pixels, signal.name, "png")
        factor = math.ceil(max(picture.width, picture.height) / PREVIEW_SIDE)
        small = downscale(picture, factor).pixels
        with place.replacing(folder.PREVIEW) as file:
            file.write(png.encode(displayed(small, signal.space), self.icc))
        return score(signal.picture, pixels)

    def __repr__(self) -> str:
        score = f", {self.metrics['psnr']:.2f} dB" if self.metrics.get("psnr") else ""
        return f"Run({shown(self.path)!r}: {self.config['model']}, {self.space}{score})"


def displayed(pixels: np.ndarray, space: PictureSpace) -> np.ndarray:
    """Pixels that a screen can show: integers as they are, floats through the display curve.

    The curve is that of the source: a crop is as bright as the whole, and what little a field makes
    of black stays black.
    """
    if not space.relative:
        return pixels
    curve = RelativeSpace(*space.relative).display_curve()
    result = np.clip(pixels.astype(np.float32), 0, 1)
    result[..., : space.colours] = curve.encode(pixels[..., : space.colours])
    return quantise(result, 8)
