"""Where a shape stands in the unit cube, and the way back to the units of its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LONGEST_SIDE = 0.9  # of a shape in the unit cube: what is near its surface is inside as well


@dataclass(frozen=True)
class ShapeSpace:
    """The map from the units of a source to the unit cube: unit = source * scale + offset.

    Args:
        scale: unit-cube lengths of one unit of the source, > 0, the same along all axes.
        offset: (x, y, z) in the unit cube, of the source's origin.
    """

    scale: float
    offset: tuple[float, float, float]

    @classmethod
    def around(cls, vertices: np.ndarray) -> "ShapeSpace":
        """The space in which the box of `vertices` [V, 3] is centred, its longest side 0.9."""
        low, high = vertices.min(0).astype(np.float64), vertices.max(0).astype(np.float64)
        scale = LONGEST_SIDE / float((high - low).max())
        x, y, z = 0.5 - (low + (high - low) / 2) * scale
        return cls(scale, (float(x), float(y), float(z)))

    def to_unit(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the source in the unit cube, float64."""
        return np.asarray(points, np.float64) * self.scale + np.asarray(self.offset)

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the unit cube in units of the source, float64."""
        return (np.asarray(points, np.float64) - np.asarray(self.offset)) / self.scale

    @property
    def world_to_unit(self) -> np.ndarray:
        """[4, 4] float64, for columns (x, y, z, 1)."""
        matrix = np.diag([self.scale, self.scale, self.scale, 1.0])
        matrix[:3, 3] = self.offset
        return matrix

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it; floats come back to the last bit."""
        return {"scale": self.scale, "offset": list(self.offset)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ShapeSpace":
        """The inverse of `as_dict`; ValueError, KeyError or TypeError where it is none."""
        x, y, z = values["offset"]
        space = cls(float(values["scale"]), (float(x), float(y), float(z)))
        if not (0 < space.scale < np.inf and np.isfinite(space.offset).all()):
            raise ValueError("a scale is more than 0 and finite, and so is an offset")
        return space
