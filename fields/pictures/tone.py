"""Two curves for HDR pictures: one to fit in, which is invertible, and one to look at and score.

Light spans many powers of ten, and what the eye and a user call an error is relative to the light
around it. Both curves are placed by the picture's key: the geometric mean of its colour values that
are not black.
"""

import math
from dataclasses import dataclass

import numpy as np

_BAND_VALUES = 1 << 20
_MIDDLE_GREY = 0.18
_SRGB_TOE = 0.0031308  # below it sRGB is a straight line (IEC 61966-2-1)


@dataclass(frozen=True)
class RelativeSpace:
    """f(v) = sign(v) log(1 + |v| / scale) / span: an odd function, 0 at 0, smooth, invertible.

    f' = 1 / (span (scale + |v|)), so an error e in this space is an error of e span (scale + |v|)
    in v: relative where |v| is large against `scale`, absolute where it is small. Nothing is
    clamped, so negative values and those larger than the picture's have their place.
    """

    scale: float
    span: float

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values as stored, any shape -> float32; the picture's own fall in [-1, 1]."""
        values = np.asarray(values, np.float32)
        magnitude = np.log1p(np.abs(values) / np.float32(self.scale))
        return np.copysign(magnitude / np.float32(self.span), values)

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """The inverse, float32; exact within some 1e-6 of the value, far finer than half floats.

        A magnitude stops at four times the picture's largest: a badly fitted value, of a model that
        has not learned yet, would overflow otherwise.
        """
        encoded = np.asarray(encoded, np.float32)
        exponent = np.minimum(np.abs(encoded) * np.float32(self.span), self.span + math.log(4))
        magnitude = np.expm1(exponent.astype(np.float32))
        magnitude *= np.float32(self.scale)
        return np.copysign(magnitude, encoded)

    def display_curve(self) -> "DisplayCurve":
        """The curve of the picture that this space was made for: see `relative_space`."""
        return DisplayCurve(self.scale * _MIDDLE_GREY / _SRGB_TOE)


@dataclass(frozen=True)
class DisplayCurve:
    """Light to a picture for the screen: Reinhard's global curve, then sRGB.

    L = 0.18 / key * max(v, 0), then L / (1 + L), then the sRGB curve: Reinhard et al. 2002, eq. 2
    and 3, on each channel. The key of the picture becomes a middle grey and nothing is clipped.
    """

    key: float

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values as stored, any shape -> float32 in [0, 1], sRGB-encoded; not invertible."""
        light = np.maximum(np.asarray(values, np.float32), 0) * np.float32(_MIDDLE_GREY / self.key)
        light /= 1 + light
        return np.where(
            light <= np.float32(_SRGB_TOE),
            np.float32(12.92) * light,
            np.float32(1.055) * light ** np.float32(1 / 2.4) - np.float32(0.055),
        )


def relative_space(pixels: np.ndarray) -> RelativeSpace:
    """The space to fit a float picture [H, W, C] in; alpha, if there is one, plays no part.

    The scale lies where the display curve becomes a straight line, key * 0.0031 / 0.18: darker
    than that the error that is seen is absolute, brighter it is relative.
    """
    key, largest = _key_and_largest(pixels)
    scale = key * _SRGB_TOE / _MIDDLE_GREY
    return RelativeSpace(scale, math.log1p(largest / scale) if largest > 0 else 1.0)


def display_curve(pixels: np.ndarray) -> DisplayCurve:
    """The curve that shows, and scores, a float picture [H, W, C]."""
    return DisplayCurve(_key_and_largest(pixels)[0])


def _key_and_largest(pixels: np.ndarray) -> tuple[float, float]:
    """Geometric mean of the colour values that are not black, and the largest magnitude.

    Black is what lies below 1e-9 of the largest: renderers leave denormals in the dark, and a few
    of them would draw the mean down. Without any light the mean is 1.
    """
    height, width, channels = pixels.shape
    colours = pixels[:, :, : channels - (channels in (2, 4))]
    rows = max(1, _BAND_VALUES // (width * channels))
    bands = [colours[top : top + rows] for top in range(0, height, rows)]
    largest = max(float(np.abs(band).max()) for band in bands)
    total, count = 0.0, 0
    for band in bands:
        light = band[band > 1e-9 * largest].astype(np.float32)
        total += float(np.log(light).sum(dtype=np.float64))
        count += light.size
    return (math.exp(total / count) if count else 1.0), largest
