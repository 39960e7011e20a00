"""Coordinate-aware modulation: a network whose layers are scaled and shifted by small grids."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import ops
from fields.configs import CamConfig
from fields.encodings.fourier import gaussian_frequencies, positional_frequencies
from fields.mlp import init_linear, init_periodic, split_params
from fields.ops.checks import alike
from fields.points import as_matrix

# Each group of samples sums the gradients of all grids apart.
_LARGEST_FUSED_TABLE = 2**18
_PERIODIC = {"siren": "sine", "finer": "finer"}


class Cam(nn.Module):
    """Each hidden layer is activation(gamma(p) norm(W x + b) + beta(p)) (Lee et al. 2024).

    gamma and beta are read by linear interpolation from grids of the layer's own; p is a subset of
    the coordinates, and norm is over the features of a point, without affine.

    Takes the settings of `CamConfig`; see there for their meaning and range. Parameters: `params`,
    the network's flat vector, and `table` [depth, 2, *knots, channels], gamma (1 before training)
    and beta (0) of each layer. Without grids `table` is a buffer that is neither trained nor kept.
    Once differentiable in coordinates and parameters.

    The fourier and positional trunks take coordinates in [0, 1], as published for this method, the
    siren and finer trunks in [-1, 1]. In those two, norm acts on the argument of the sine, and
    leaves the first layer alone: there the size of the argument is the frequency. They are not in
    the paper. Weights start as those of torch's Linear: from larger ones, as a ReLU network without
    norm is often given, small fits ended about 2 dB lower.
    """

    frequencies: Tensor

    def __init__(self, channels: int, dim: int = 2, **settings):
        super().__init__()
        self.config = config = CamConfig(channels, dim, **settings)
        self.channels = channels
        self.dim = dim
        generator = torch.Generator().manual_seed(config.seed)
        frequencies = torch.zeros(0, dim)
        if config.trunk == "fourier":
            frequencies = gaussian_frequencies(config.frequencies, dim, config.sigma, generator)
        elif config.trunk == "positional":
            frequencies = positional_frequencies(config.octaves, dim)
        self.register_buffer("frequencies", frequencies)
        periodic = config.trunk in _PERIODIC
        self.mlp = ops.MlpSpec(
            config.width,
            config.depth,
            channels,
            True,
            _PERIODIC.get(config.trunk, "relu"),
            config.output_activation,
            first_omega=config.omega if periodic else 1.0,
            omega=config.hidden_omega if periodic else 1.0,
        )
        init = init_periodic if periodic else init_linear
        self.params = nn.Parameter(init(config.inputs, self.mlp, generator))
        per_knot = config.width if config.modulation == "feature" else 1
        table = torch.zeros(config.depth, 2, *config.knots, per_knot)
        table[:, 0] = 1
        if config.grids:
            self.table = nn.Parameter(table)
        else:
            self.register_buffer("table", table, persistent=False)

    def inputs(self, coords: Tensor) -> Tensor:
        """Coordinates [N, dim] in [0, 1] -> what the first layer takes, [N, inputs]."""
        if len(self.frequencies):
            return ops.fourier(coords, self.frequencies)
        return coords * 2 - 1

    def forward(self, coords: Tensor) -> Tensor:
        """coords [..., dim] in [0, 1] -> values [..., channels].

        bf16 and fp16 coordinates are cast up; values have the type of the parameters.
        """
        points = as_matrix("coords", coords, self.dim, self.params)
        alike("coords", points, "params", self.params)
        if self.is_fused(points):
            network = self.frequencies, self.table, self.params, self.mlp, self.config.axes
            values = ops.cam_mlp(points, *network, normalise=self.config.normalise == "features")
        else:
            values = self.layer_by_layer(points)
        return values.reshape(*coords.shape[:-1], self.channels)

    def is_fused(self, coords: Tensor) -> bool:
        """Whether one kernel does all: on the CPU, with one scale for all features of a layer."""
        small = self.table.numel() <= _LARGEST_FUSED_TABLE
        return coords.device.type == "cpu" and self.config.modulation == "one" and small

    def layer_by_layer(self, coords: Tensor) -> Tensor:
        """coords [N, dim] -> values [N, channels], with one op for all of a layer but its product.

        The same as one kernel's up to rounding; anywhere, and with any grids.
        """
        return self.modulated(coords, coords[:, list(self.config.axes)], self.table)

    def modulated(
        self, coords: Tensor, positions: Tensor, table: Tensor, samples: int | None = None
    ) -> Tensor:
        """`layer_by_layer`, by grids of the caller's.

        Args:
            coords: [N, dim] in [0, 1].
            positions: [N, K] in [0, 1], where the grids are read.
            table: [depth, 2, *knots, channels], with K axes of knots.
            samples: so many successive rows are normalised together, where rows are normalised.
        """
        mlp, x = self.mlp, self.inputs(coords)
        normalise = self.config.normalise
        if samples is not None and normalise == "features":
            normalise = "ray"
        layers = split_params(self.params, x.shape[1], mlp)
        for i, (weight, bias) in enumerate(layers):
            omega = mlp.first_omega if i == 0 else mlp.omega
            if mlp.activation == "finer":
                omega = 1.0 if i == mlp.depth else omega
                bias = None if bias is None else bias * omega
            x = nn.functional.linear(x, weight * omega if omega != 1 else weight, bias)
            if i < mlp.depth:
                spec = ops.ModulationSpec(
                    "none" if i == 0 and mlp.activation != "relu" else normalise,
                    samples or 1,
                    activation="none" if mlp.activation == "finer" else mlp.activation,
                )
                x = ops.modulate(x, positions, table[i, 0], table[i, 1], spec)
                if mlp.activation == "finer":
                    x = torch.sin((x.detach().abs() / omega + 1) * x)
        return _OUTPUTS[mlp.output_activation](x)


_OUTPUTS = {
    "none": lambda x: x,
    "sigmoid": torch.sigmoid,
    "softplus": nn.functional.softplus,
    "exp": torch.exp,
}
