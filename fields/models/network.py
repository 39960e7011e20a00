"""Fields that are one multilayer perceptron on fixed inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import ops
from fields.configs.network import NetworkConfig
from fields.points import as_matrix


class Network(nn.Module):
    """What such fields share: `inputs` of coordinates, then the MLP of shape `mlp`.

    The parameter `params` is the MLP's flat vector. Once differentiable in coordinates and
    parameters.
    """

    def __init__(self, config: NetworkConfig, mlp: ops.MlpSpec, params: Tensor):
        super().__init__()
        self.config = config
        self.channels = config.channels
        self.dim = config.dim
        self.mlp = mlp
        self.params = nn.Parameter(params)

    def inputs(self, coords: Tensor) -> Tensor:
        """Coordinates [N, dim] in [0, 1] -> what the first layer takes, [N, inputs]."""
        return coords * 2 - 1

    def forward(self, coords: Tensor) -> Tensor:
        """coords [..., dim] in [0, 1] -> values [..., channels].

        bf16 and fp16 coordinates are cast up; values have the type of the parameters.
        """
        points = as_matrix("coords", coords, self.dim, self.params)
        flat = _mlp(self.inputs(points), self.params, self.mlp)
        return flat.reshape(*coords.shape[:-1], self.channels)


def _mlp(x: Tensor, params: Tensor, spec: ops.MlpSpec) -> Tensor:
    if spec.activation == "relu":
        return ops.mlp(x, params, spec)
    at = 0
    for i, (out, into) in enumerate(spec.layer_shapes(x.shape[1])):
        weight = params[at : at + out * into].view(out, into)
        bias = params[at + out * into : at + out * (into + 1)]
        at += out * (into + 1)
        omega = spec.first_omega if i == 0 else spec.omega
        if spec.activation == "sine":
            x = nn.functional.linear(x, weight * omega, bias)
            x = x.sin() if i < spec.depth else x
        else:
            x = nn.functional.linear(x, weight, bias)
            x = torch.sin(omega * (x.abs() + 1).detach() * x) if i < spec.depth else x
    return x
