"""The normals of what depths describe."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fields.cameras import Camera

_REACH = 2  # pixels on each side
_SPREAD = 1.5  # of the weights of pixels, in pixels
# Depths of one surface differ by about so many sides of a pixel where it lies.
_ALIKE = 6.0


def normals_of(camera: Camera, depth: np.ndarray) -> np.ndarray:
    """The normals [H, W, 3] of the surface that depths [H, W] along a camera's axis describe, in
    axes of the source, towards the camera; 0 where the depth is 0, which is nothing.

    In a plane the inverse of the depth is linear in the place on the image plane. It is fitted to
    5 x 5 pixels, of which those count that lie about as deep (as in the bilateral filter of Tomasi
    and Manduchi 1998): edges stay, and the grain of depths goes.
    """
    seen = depth > 0
    inverse = np.where(seen, 1 / np.where(seen, depth, 1), 0)
    x, y = _places(camera)
    # Weighted sums of 1, x, y, 1 / depth and products of these, each less its value at the pixel.
    sums = np.zeros((9, *depth.shape))
    for at, other, weight in _neighbours(depth, seen, camera.focal):
        dx, dy = x[other] - x[at], y[other] - y[at]
        dq = inverse[other] - inverse[at]
        terms = (1.0, dx, dy, dq, dx * dx, dx * dy, dy * dy, dx * dq, dy * dq)
        for i, term in enumerate(terms):
            sums[(i, *at)] += weight * term
    n, mx, my, mq, xx, xy, yy, xq, yq = sums
    n = np.maximum(n, 1e-30)
    mx, my, mq = mx / n, my / n, mq / n
    least = 1e-6 / camera.focal**2  # what lies alone faces the camera
    xx, xy, yy = xx / n - mx * mx + least, xy / n - mx * my, yy / n - my * my + least
    xq, yq = xq / n - mx * mq, yq / n - my * mq
    area = xx * yy - xy * xy
    a, b = (yy * xq - xy * yq) / area, (xx * yq - xy * xq) / area
    c = inverse + mq - a * (x + mx) - b * (y + my)
    local = np.stack([-a, -b, c], axis=2)  # a x + b y + c = 1 / depth is the plane
    length = np.linalg.norm(local, axis=2, keepdims=True)
    local = np.where(seen[..., None] & (length > 0), local / np.maximum(length, 1e-30), 0)
    return (local @ camera.cam_to_world[:3, :3].T).astype(np.float32)


def _places(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """x to the right and y up [H, W] where rays of pixels meet the plane at depth 1."""
    _, directions = camera.rays()
    local = directions @ camera.cam_to_world[:3, :3]
    x, y = (local[:, :2] / -local[:, 2:]).T.reshape(2, camera.height, camera.width)
    return x, y


def _neighbours(depth: np.ndarray, seen: np.ndarray, focal: float) -> Iterator[tuple]:
    """For each shift within reach: the pixels that have a neighbour there, the neighbours, and
    their weights."""
    per_depth = focal / (_ALIKE * np.where(seen, depth, 1))
    for down in range(-_REACH, _REACH + 1):
        for right in range(-_REACH, _REACH + 1):
            at = (_part(-down), _part(-right))
            other = (_part(down), _part(right))
            apart = (depth[other] - depth[at]) * per_depth[at]
            far = (down * down + right * right) / (2 * _SPREAD**2)
            yield at, other, np.exp(-(apart**2) - far) * (seen[at] & seen[other])


def _part(shift: int) -> slice:
    """What remains of an axis when it is moved by `shift`."""
    return slice(max(shift, 0), min(shift, 0) or None)
