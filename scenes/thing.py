"""What can be drawn: something that rays meet."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Hits:
    """Where rays meet a surface, M of N rays.

    Args:
        rays: [M] int64, which of them.
        distances: [M] along each, in units of the scene.
        normals: [M, 3] of unit length, on the side that is seen.
        colours: [M, 3] of the surface, linear light, 0 to 1.
        gloss: [M] how strong its highlight is, 0 to 1.
    """

    rays: np.ndarray
    distances: np.ndarray
    normals: np.ndarray
    colours: np.ndarray
    gloss: np.ndarray


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[N]: of vectors [N, 3] with vectors [N, 3] or one [3]; many times as fast as a product and a
    sum along the last axis."""
    return a @ b if b.ndim == 1 else np.einsum("ij,ij->i", a, b)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [N, 3] made as long as 1; those without a length stay."""
    square = dot(vectors, vectors)
    return vectors / np.sqrt(np.where(square > 0, square, 1))[:, None]


class Thing(Protocol):
    """Rays are origins [3] or [N, 3] and directions [N, 3] of unit length, float32."""

    @property
    def box(self) -> np.ndarray:
        """[2, 3] lowest and highest corner."""
        ...

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """The nearest surface along each ray."""
        ...

    def is_hit(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """[N] bool: there is a surface anywhere along a ray."""
        ...

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """Its surface as vertices [V, 3] and faces [F, 3]: what was drawn."""
        ...
