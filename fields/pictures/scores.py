"""How far a drawn picture is from the original, band by band, so that a large one needs no more
memory than a small one."""

import math

import numpy as np

from fields.pictures.picture import Picture
from fields.pictures.quantise import quantise
from fields.pictures.tone import display_curve

_BAND_VALUES = 1 << 20


class PictureScore:
    """Adds up the squared error of a picture as it is drawn, band by band.

    The convention, peak 1 throughout:
    - 8 and 16 bits: the estimate is clamped and rounded to the integers that the file would hold.
    - Floats: both go through `display_curve` of the original (Reinhard, then sRGB), unrounded.
    - Alpha: both are composited, as stored values, over black and over white; the two mean squared
      errors are averaged. A colour that nobody can see thus costs nothing.
    """

    def __init__(self, original: Picture):
        self.original = original
        self._curve = display_curve(original.pixels) if original.is_hdr else None
        self._squares = 0.0
        self._rows = 0

    def add(self, top: int, band: np.ndarray) -> None:
        """Count rows top, top + 1, ... of the estimate: [rows, W, C], each row once.

        Floats hold 0..1 for integer pictures and the file's own values for HDR; integers are taken
        as the file's own. Raises ValueError if the shape does not fit.
        """
        original = self.original.pixels[top : top + len(band)]
        if top < 0 or band.shape != original.shape:
            raise ValueError(
                f"the band at row {top} must be {list(original.shape)}, got {list(band.shape)}"
            )
        rows = max(1, _BAND_VALUES // max(1, original[:1].size))
        for at in range(0, len(band), rows):
            part = slice(at, at + rows)
            self._squares += self._squared_error(original[part], band[part])
        self._rows += len(band)

    @property
    def mse(self) -> float:
        """Mean squared error over the colour values of the rows added; nan before the first."""
        colours = self.original.channels - self.original.has_alpha
        count = self._rows * self.original.width * colours
        return self._squares / count if count else math.nan

    @property
    def psnr(self) -> float:
        """-10 log10(mse) in dB; inf where nothing differs."""
        return -10 * math.log10(self.mse) if self.mse != 0 else math.inf

    def _squared_error(self, original: np.ndarray, estimate: np.ndarray) -> float:
        if self._curve is None:
            bits = self.original.bit_depth
            top = np.float32(2**bits - 1)
            estimate = quantise(estimate, bits) / top
            original = original / top
        else:
            colours = self.original.channels - self.original.has_alpha
            original = _curved(original, self._curve, colours)
            estimate = _curved(estimate, self._curve, colours)
        if not self.original.has_alpha:
            return _sum_of_squares(original - estimate)
        over_black = _premultiplied(original) - _premultiplied(estimate)
        # Over white each colour has 1 - alpha added to it.
        over_white = over_black - (original[:, :, -1:] - estimate[:, :, -1:])
        return (_sum_of_squares(over_black) + _sum_of_squares(over_white)) / 2


def psnr(original: Picture, estimate: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of [H, W, C] against the original, as `PictureScore` says.

    Raises ValueError if the shapes differ.
    """
    if estimate.shape != original.pixels.shape:
        raise ValueError(
            f"estimate must be {list(original.pixels.shape)}, got {list(estimate.shape)}"
        )
    score = PictureScore(original)
    score.add(0, estimate)
    return score.psnr


def _curved(pixels: np.ndarray, curve, colours: int) -> np.ndarray:
    """The colours through the curve, alpha clamped to [0, 1] beside them."""
    result = np.empty(pixels.shape, np.float32)
    result[:, :, :colours] = curve.encode(pixels[:, :, :colours])
    result[:, :, colours:] = np.clip(pixels[:, :, colours:], 0, 1)
    return result


def _premultiplied(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, :, :-1] * pixels[:, :, -1:]


def _sum_of_squares(values: np.ndarray) -> float:
    return float(np.square(values).sum(dtype=np.float64))
