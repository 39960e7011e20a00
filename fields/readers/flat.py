"""All numbers of a field in a row: the weak baseline; and the numbers of its shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.readers.reader import Reader, Scaling


class FlatReader(Reader):
    """An MLP over numbers in a row, such as all weights as they lie in memory.

    Args:
        numbers: of what it is shown, [B, numbers].
        classes, dropout: as those of a Reader.
        width: of its layers.
    """

    def __init__(self, numbers: int, classes: int, width: int = 128, dropout: float = 0.3):
        super().__init__(width, classes, dropout)
        self.scaling = Scaling(numbers)
        self.mlp = nn.Sequential(
            nn.Linear(numbers, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(),
        )  # fmt: skip

    def begin(self, inputs: Tensor) -> None:
        self.scaling.begin(inputs)

    def features(self, inputs: Tensor) -> Tensor:
        return self.mlp(self.scaling(inputs))


class NumbersReader(FlatReader):
    """An MLP over the logarithms of what a ruler and scales say of the shape: see `explicit`."""

    def augmented(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(inputs.shape, generator=generator)
        return inputs + 0.03 * self.scaling.spread * noise
