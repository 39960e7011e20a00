"""A shape's field asked in units of its source."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from fields.errors import FieldsError
from fields.render import device_of
from fields.shapes import ShapeSpace


def distance(
    field: nn.Module, space: ShapeSpace, stores: str, points: np.ndarray | Tensor
) -> np.ndarray | Tensor:
    """Distances [...] of points [..., 3], in units of the source; of an occupancy the logit of
    being outside. An array for an array, a tensor for a tensor."""
    divisor = -1.0 if stores == "occupancy" else space.scale
    return asked(field, space, points, lambda values: values[:, 0] / divisor)


def asked(
    field: nn.Module,
    space: ShapeSpace,
    points: np.ndarray | Tensor,
    made: Callable[[Tensor], Tensor],
) -> np.ndarray | Tensor:
    """What is `made` of the values [N, C] of a field at points of the source: [..., 3] -> [...] or
    [..., C]."""
    array = points.detach().cpu().numpy() if isinstance(points, Tensor) else np.asarray(points)
    if array.ndim == 0 or array.shape[-1] != 3:
        raise FieldsError(f"points must be [..., 3], got {list(array.shape)}")
    coords = torch.from_numpy(space.to_unit(array).astype(np.float32)).reshape(-1, 3)
    with torch.inference_mode():
        values = torch.cat([made(field(c)) for c in coords.to(device_of(field)).split(1 << 18)])
    values = values.cpu().reshape((*array.shape[:-1], *values.shape[1:]))
    return values if isinstance(points, Tensor) else values.numpy()
