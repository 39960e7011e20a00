"""sRGB and the light that it stands for (IEC 61966-2-1); both from 0 to 1."""

import numpy as np


def to_linear(encoded: np.ndarray) -> np.ndarray:
    """sRGB -> linear light, of the same floating type; beyond 0 to 1 it is clamped."""
    encoded = np.clip(encoded, 0, 1)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def from_linear(light: np.ndarray) -> np.ndarray:
    """The inverse."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
