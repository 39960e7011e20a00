"""The small fused multilayer perceptron as a module."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fields import ops
from fields.points import as_matrix


def init_params(inputs: int, spec: ops.MlpSpec, generator: torch.Generator) -> Tensor:
    """Flat initial parameters of an MLP.

    Uniform with variance 2 / inputs for hidden layers (He et al. 2015, eq. 10) and 1 / inputs for
    the output; sine layers as Sitzmann et al. 2020, section 3.2, without a frequency. Biases 0.
    """
    parts = []
    for i, (out, into) in enumerate(spec.layer_shapes(inputs)):
        last = i == spec.depth
        bound = math.sqrt((3 if last else 6) / into)
        if spec.activation == "sine":
            bound = 1 / into if i == 0 else math.sqrt(6 / into)
        parts.append((torch.rand(out * into, generator=generator) * 2 - 1) * bound)
        if spec.bias:
            parts.append(torch.zeros(out))
    return torch.cat(parts)


def init_linear(inputs: int, spec: ops.MlpSpec, generator: torch.Generator) -> Tensor:
    """Flat initial parameters as torch's Linear has them: all within 1 / sqrt(inputs of a layer).

    Where layers are normalised the size of a weight is the inverse of its learning rate.
    """
    parts = []
    for out, into in spec.layer_shapes(inputs):
        for count in (out * into, out if spec.bias else 0):
            parts.append((torch.rand(count, generator=generator) * 2 - 1) * into**-0.5)
    return torch.cat(parts)


def init_periodic(
    inputs: int,
    spec: ops.MlpSpec,
    generator: torch.Generator,
    first_bias: float | None = None,
    last: float = 1.0,
) -> Tensor:
    """Flat initial parameters of a network of sines, so that each layer's output is distributed
    like the one before it; that of the last layer is `last` times as large.

    Weights uniform within 1 / inputs in the first layer and sqrt(6 / inputs) / omega behind it, the
    last one included (Sitzmann et al. 2020, section 3.2). Biases within 1 / sqrt(inputs), as those
    of torch's Linear; the first layer's within `first_bias` where that is given (Liu et al. 2024,
    section 3.2).
    """
    parts = []
    for i, (out, into) in enumerate(spec.layer_shapes(inputs)):
        bound = math.sqrt(6 / into) / spec.omega if i else 1 / into
        parts.append((torch.rand(out * into, generator=generator) * 2 - 1) * bound)
        bound = first_bias if i == 0 and first_bias is not None else into**-0.5
        parts.append((torch.rand(out, generator=generator) * 2 - 1) * bound)
    parts[-2:] = [part * last for part in parts[-2:]]
    return torch.cat(parts)


class MLP(nn.Module):
    """A small multilayer perceptron that runs in one kernel.

    Args:
        inputs: length of an input.
        channels: length of an output.
        width: units of a hidden layer.
        depth: hidden layers; 0 is one linear layer.
        bias: whether layers have a bias.
        activation: "relu" or "sine", of hidden layers.
        output_activation: "none", "sigmoid", "softplus" or "exp".
        precision: "float32", "bf16" or "fp16" arithmetic; parameters stay float32.
        seed: of the initial parameters.

    Parameter `params` is one flat vector (`layers` gives views of it). Once differentiable.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        *,
        width: int = 64,
        depth: int = 2,
        bias: bool = False,
        activation: str = "relu",
        output_activation: str = "none",
        precision: str = "float32",
        seed: int = 0,
    ):
        super().__init__()
        self.inputs = inputs
        self.spec = ops.MlpSpec(
            width, depth, channels, bias, activation, output_activation, precision
        )
        generator = torch.Generator().manual_seed(seed)
        self.params = nn.Parameter(init_params(inputs, self.spec, generator))

    def forward(self, x: Tensor) -> Tensor:
        """x [..., inputs] -> [..., channels].

        bf16 and fp16 inputs are cast up; values have the type of `params`, under autocast too.
        """
        flat = ops.mlp(as_matrix("x", x, self.inputs, self.params), self.params, self.spec)
        return flat.reshape(*x.shape[:-1], self.spec.channels)

    def layers(self) -> list[tuple[Tensor, Tensor | None]]:
        """(weight [out, in], bias [out] or None) of each layer, as views of `params`."""
        return split_params(self.params, self.inputs, self.spec)


def split_params(
    params: Tensor, inputs: int, spec: ops.MlpSpec
) -> list[tuple[Tensor, Tensor | None]]:
    """Views of a flat parameter vector: (weight [out, in], bias [out] or None) of each layer."""
    views, at = [], 0
    for out, into in spec.layer_shapes(inputs):
        weight = params[at : at + out * into].view(out, into)
        at += out * into
        bias = params[at : at + out] if spec.bias else None
        at += out if spec.bias else 0
        views.append((weight, bias))
    return views
