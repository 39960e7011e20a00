"""Moves the vertices of a mesh onto the level set of its field."""

import numpy as np
import torch

from fields.shapes.asking import Asking

_STEPS = 2
_REACH = 0.5  # of a cell: further than that, vertices would pass one another
_CLOSE = 0.01  # of a cell: near enough


def polish(field: Asking, vertices: np.ndarray, cell: float) -> np.ndarray:
    """Vertices [V, 3] float64 of the unit cube after up to two Newton steps along the slope,
    x - f / |grad f|^2 grad f; none goes further than half a `cell` nor leaves the cube."""
    start = torch.from_numpy(vertices.astype(np.float32))
    result = start.clone()
    left = torch.arange(len(result))
    for _ in range(_STEPS):
        values, slopes = field.with_slope(result[left])
        step = (values / slopes.square().sum(1).clamp(min=1e-8))[:, None] * slopes
        away = result[left] - step - start[left]
        away *= (_REACH * cell / away.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
        result[left] = (start[left] + away).clamp(0, 1)
        left = left[step.norm(dim=1) > _CLOSE * cell]
    return result.numpy().astype(np.float64)


def field_normals(values, vertices: np.ndarray) -> np.ndarray:
    """The unit slopes [V, 3] float64 of a field (see `extract`) at vertices of the unit cube."""
    coords = torch.from_numpy(np.ascontiguousarray(vertices, np.float32))
    slopes = Asking(values).with_slope(coords)[1]
    return torch.nn.functional.normalize(slopes.double(), dim=1).numpy()
