"""Distances to a mesh and its winding number in plain NumPy, every triangle with every point."""

import numpy as np


def _dot(a, b):
    return (a * b).sum(-1)


def _nearest_on_segments(points, a, b):
    side = b - a
    length2 = _dot(side, side)
    t = _dot(points - a, side) / np.where(length2 > 0, length2, 1)
    return a + np.clip(t, 0, 1)[..., None] * side


def nearest_points(points, vertices, faces):
    """On every triangle: [N, F, 3]."""
    points = np.asarray(points, np.float64)[:, None]
    a, b, c = np.asarray(vertices, np.float64)[np.asarray(faces).T][:, None]
    nearest = None
    for p, q in ((a, b), (b, c), (c, a)):
        on = _nearest_on_segments(points, p, q)
        if nearest is None:
            nearest = on
            continue
        nearer = _dot(points - on, points - on) < _dot(points - nearest, points - nearest)
        nearest = np.where(nearer[..., None], on, nearest)
    normal = np.cross(b - a, c - a)
    length2 = _dot(normal, normal)
    height = _dot(points - a, normal) / np.where(length2 > 0, length2, 1)
    below = points - height[..., None] * normal
    inside = length2 > 0
    for p, q in ((a, b), (b, c), (c, a)):
        inside = inside & (_dot(np.cross(q - p, below - p), normal) > 0)
    return np.where(inside[..., None], below, nearest)


def distances(points, vertices, faces):
    """Without a sign, to every triangle: [N, F]."""
    offset = np.asarray(points, np.float64)[:, None] - nearest_points(points, vertices, faces)
    return np.sqrt(_dot(offset, offset))


def winding_number(points, vertices, faces):
    """The sum of solid angles over 4 pi: [N] (van Oosterom and Strackee 1983)."""
    corners = np.asarray(vertices, np.float64)[np.asarray(faces).T][:, None]
    a, b, c = corners - np.asarray(points, np.float64)[:, None]
    la, lb, lc = (np.sqrt(_dot(x, x)) for x in (a, b, c))
    volume = _dot(a, np.cross(b, c))
    scale = la * lb * lc + _dot(a, b) * lc + _dot(b, c) * la + _dot(c, a) * lb
    ab, ac = b - a, c - a
    area2 = _dot(np.cross(ab, ac), np.cross(ab, ac))
    flat = area2 <= 1e-28 * _dot(ab, ab) * _dot(ac, ac)
    return np.where(flat, 0, np.arctan2(volume, scale)).sum(1) / (2 * np.pi)
