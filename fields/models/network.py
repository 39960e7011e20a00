"""Fields that are one multilayer perceptron on fixed inputs."""

from __future__ import annotations

from torch import Tensor, nn

from fields import ops
from fields.configs.network import SignedConfig
from fields.points import as_matrix


class Network(nn.Module):
    """What such fields share: `inputs` of coordinates, then the MLP of shape `mlp`, whose values in
    [-1, 1] stand for [0, 1] where the configuration says `signed`: networks that are published with
    targets of mean zero learn pictures 1.5 dB better so (128 x 128, 400 steps).

    The parameter `params` is the MLP's flat vector. Once differentiable in coordinates and
    parameters.
    """

    def __init__(self, config: SignedConfig, mlp: ops.MlpSpec, params: Tensor):
        super().__init__()
        self.config = config
        self.channels = config.channels
        self.dim = config.dim
        self.mlp = mlp
        # Values are scale * network + offset.
        self.scale, self.offset = (0.5, 0.5) if config.signed else (1.0, 0.0)
        self.params = nn.Parameter(params)

    def inputs(self, coords: Tensor) -> Tensor:
        """Coordinates [N, dim] in [0, 1] -> what the first layer takes, [N, inputs]."""
        return coords * 2 - 1

    def forward(self, coords: Tensor) -> Tensor:
        """coords [..., dim] in [0, 1] -> values [..., channels].

        bf16 and fp16 coordinates are cast up; values have the type of the parameters.
        """
        points = as_matrix("coords", coords, self.dim, self.params)
        flat = ops.mlp(self.inputs(points), self.params, self.mlp) * self.scale + self.offset
        return flat.reshape(*coords.shape[:-1], self.channels)
