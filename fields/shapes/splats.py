"""Points with normals as small triangles: a surface that has distances and winding numbers."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 8  # of a point, that say how much of the surface it stands for


def splats(
    points: np.ndarray, normals: np.ndarray, workers: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """One equilateral triangle for each point, square to its normal, as large as its share of the
    surface: of the disk that holds its eight nearest neighbours an eighth.

    The triangles do not meet, and need not: the sum of their solid angles still tells inside from
    outside (Barill et al. 2018, Fast winding numbers for soups and clouds, section 3.3).

    Args:
        points: [N, 3].
        normals: [N, 3] of length 1.
        workers: threads.

    Returns vertices [3 N, 3] float32 and faces [N, 3].
    """
    from scipy.spatial import KDTree

    points = np.asarray(points, np.float64)
    normals = np.asarray(normals, np.float64)
    count = min(NEIGHBOURS, len(points) - 1)
    if count:
        farthest = KDTree(points).query(points, [count + 1], workers=workers)[0][:, 0]  # pyright: ignore
        area = np.pi * farthest**2 / count
    else:
        area = np.zeros(len(points))
    least = np.abs(normals).argmin(axis=1)
    along = np.cross(normals, np.eye(3)[least])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(normals, along)
    reach = np.sqrt(4 * area / np.sqrt(27))  # from the middle to a corner
    corners = []
    for i in range(3):
        angle = 2 * np.pi * i / 3
        outwards = np.cos(angle) * along + np.sin(angle) * across
        corners.append(points + reach[:, None] * outwards)
    vertices = np.stack(corners, axis=1).reshape(-1, 3).astype(np.float32)
    return vertices, np.arange(len(vertices)).reshape(-1, 3)
