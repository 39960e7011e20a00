"""Fields that are differentiable twice, for losses that hold a gradient with respect to coords.

The fused ops of a model are differentiable once. Here the same field, with the same parameters, is
put together from encodings that are differentiable twice and layers of plain torch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fields import ops
from fields.errors import FieldsError
from fields.mlp import split_params
from fields.models.cam import Cam
from fields.models.hashgrid import HashGrid
from fields.models.network import Network
from fields.models.rbf import Rbf
from fields.models.triplane import TriPlane
from fields.points import as_matrix

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": nn.Identity(),
    "relu": torch.relu,
    "sine": torch.sin,
    "sigmoid": torch.sigmoid,
    "softplus": nn.functional.softplus,
    "exp": torch.exp,
    "tanh": torch.tanh,
}


ONCE = "cam has no second derivatives; take hashgrid, rbf, siren or finer"


def mlp(x: Tensor, params: Tensor, spec: ops.MlpSpec) -> Tensor:
    """As ops.mlp in float32, in plain torch: x [N, inputs] -> [N, channels]."""
    layers = split_params(params, x.shape[1], spec)
    for i, (weight, bias) in enumerate(layers):
        last = i == len(layers) - 1
        omega = spec.omega if i else spec.first_omega
        if spec.activation == "finer":
            # omega multiplies the bias too, and not the last layer; |x| + 1 is no constant here,
            # as it is in training: the slope of the field is asked for.
            x = nn.functional.linear(x, weight, bias)
            x = x if last else torch.sin(omega * (x.abs() + 1) * x)
        else:
            x = nn.functional.linear(x, omega * weight, bias)
            x = x if last else _ACTIVATIONS[spec.activation](x)
    return _ACTIVATIONS[spec.output_activation](x)


def values_and_gradient(field: nn.Module, coords: Tensor) -> tuple[Tensor, Tensor]:
    """The values of a field of one channel and their gradient, both differentiable.

    Args:
        field: a model of the catalogue but cam, or any module that torch differentiates twice.
        coords: [N, D] in [0, 1].

    Returns values [N] and gradient [N, D], in units of value over unit-cube length, differentiable
    in the parameters.
    Raises FieldsError for cam, whose modulation is differentiable once.
    """
    if isinstance(field, Cam):
        raise FieldsError(ONCE)
    if isinstance(field, Rbf) and field.config.kernel == "gaussian":
        values, jacobian = field.with_grad(coords)
        return values[:, 0], jacobian[:, 0]
    coords = coords.detach().requires_grad_()
    with torch.enable_grad():
        values = _forward(field, coords)[:, 0]
        (gradient,) = torch.autograd.grad(values.sum(), coords, create_graph=True)
    return values, gradient


def _forward(field: nn.Module, coords: Tensor) -> Tensor:
    if isinstance(field, HashGrid):
        points = as_matrix("coords", coords, field.dim, field.table)
        return mlp(ops.hash_grid(points, field.table, field.grid), field.params, field.mlp)
    if isinstance(field, TriPlane):
        points = as_matrix("coords", coords, field.dim, field.table)
        return mlp(field.features(points), field.params, field.mlp)
    if isinstance(field, Network):
        points = as_matrix("coords", coords, field.dim, field.params)
        values = mlp(field.inputs(points), field.params, field.mlp)
        return values * field.scale + field.offset
    return field(coords)
