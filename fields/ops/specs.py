"""What a hash grid and an MLP look like to the kernels; checked when made."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from fields import grid_levels
from fields.ops.checks import check, in_range, one_of

ACTIVATIONS = {
    "none": 0,
    "relu": 1,
    "sine": 2,
    "sigmoid": 3,
    "softplus": 4,
    "exp": 5,
    "tanh": 6,
    "finer": 7,
}
PERIODIC = ("sine", "finer")
_DIMS = (1, 2, 3, 4)
PRECISIONS = {"float32": 0, "bf16": 1, "fp16": 2}


@dataclass(frozen=True)
class GridSpec:
    """Geometry of a hash grid, by tiny-cuda-nn's rule (csrc/maths/hash_grid.h).

    Attributes:
        num_levels: 1 to 32.
        base_resolution: cells along an axis on the coarsest level, >= 1.
        growth: ratio of resolutions of successive levels, >= 1.
        log2_table_size: at most 2^this rows a level, 3 to 28.
        smoothstep: cubic interpolation weights with zero slope at vertices; linear otherwise.
    """

    num_levels: int
    base_resolution: int
    growth: float
    log2_table_size: int
    smoothstep: bool = False

    def __post_init__(self):
        in_range("num_levels", self.num_levels, 1, 32)
        in_range("base_resolution", self.base_resolution, 1, 2**20)
        in_range("growth", self.growth, 1.0, 16.0)
        in_range("log2_table_size", self.log2_table_size, 3, 28)
        wrong = grid_levels.too_fine(self.num_levels, self.base_resolution, self.growth)
        check(wrong is None, wrong or "")
        levels = grid_levels.resolutions(self.num_levels, self.base_resolution, self.growth)
        object.__setattr__(self, "_resolutions", levels)
        # Looked up at every call of an op, so kept.
        rows = {d: [grid_levels.rows(r, d, self.log2_table_size) for r in levels] for d in _DIMS}
        object.__setattr__(self, "_rows", rows)

    def resolutions(self) -> list[int]:
        """Vertices along an axis, level by level."""
        return self._resolutions  # type: ignore[attr-defined]

    def rows(self, dim: int) -> list[int]:
        """Rows of the table that each level owns, in `dim` dimensions."""
        return self._rows[dim]  # type: ignore[attr-defined]

    def args(self) -> tuple:
        """As the ops take it."""
        return (
            self.num_levels,
            self.base_resolution,
            self.growth,
            self.log2_table_size,
            self.smoothstep,
        )


@dataclass(frozen=True)
class MlpSpec:
    """Shape of a fused multilayer perceptron (csrc/maths/mlp_shape.h).

    Attributes:
        width: units of a hidden layer.
        depth: hidden layers; 0 is one linear layer.
        channels: outputs.
        bias: whether layers have a bias.
        activation: of hidden layers, a name of ACTIVATIONS.
        output_activation: of the output, a name of ACTIVATIONS.
        precision: of the arithmetic, a name of PRECISIONS; parameters stay float32.
        first_omega, omega: frequency of the first layer and of those behind it, for hidden layers
            of "sine" and "finer"; 1 elsewhere. See csrc/maths/mlp_shape.h for what they multiply.
    """

    width: int
    depth: int
    channels: int
    bias: bool = False
    activation: str = "relu"
    output_activation: str = "none"
    precision: str = "float32"
    first_omega: float = 1.0
    omega: float = 1.0

    def __post_init__(self):
        in_range("width", self.width, 1, 4096)
        in_range("depth", self.depth, 0, 64)
        in_range("channels", self.channels, 1, 4096)
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("output_activation", self.output_activation, ACTIVATIONS)
        one_of("precision", self.precision, PRECISIONS)
        for name in ("first_omega", "omega"):
            in_range(name, getattr(self, name), 1e-6, 1e6)
        check(
            self.activation in PERIODIC or (self.first_omega, self.omega) == (1, 1),
            f"omega is for {' and '.join(PERIODIC)}; {self.activation} layers have none",
        )
        check(self.output_activation != "finer", "finer is for hidden layers")

    def layer_shapes(self, inputs: int) -> list[tuple[int, int]]:
        """[outputs, inputs] of each layer's weight, in the order of the flat vector."""
        sizes = [inputs, *[self.width] * self.depth, self.channels]
        return [(out, into) for into, out in itertools.pairwise(sizes)]

    def num_params(self, inputs: int) -> int:
        """Length of the flat parameter vector."""
        return sum(out * (into + self.bias) for out, into in self.layer_shapes(inputs))

    def args(self) -> tuple:
        """As the ops take it."""
        return (
            self.width,
            self.depth,
            self.channels,
            self.bias,
            ACTIVATIONS[self.activation],
            ACTIVATIONS[self.output_activation],
            PRECISIONS[self.precision],
            self.first_omega,
            self.omega,
        )
