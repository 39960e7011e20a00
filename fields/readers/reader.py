"""What all readers are: features of what they are shown, and a linear layer to the classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Reader(nn.Module):
    """A network from what it is shown of a field to logits of its class.

    Attributes:
        takes: what it is shown, one of those of `Inputs`; the catalogue says it.

    Args:
        num_features: of what `features` gives.
        classes: logits.
        dropout: share of the features that training leaves out.
    """

    takes: str = "planes"

    def __init__(self, num_features: int, classes: int, dropout: float = 0.0):
        super().__init__()
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, classes))

    def begin(self, inputs: Tensor) -> None:
        """Look at what it will be trained on, [N, ...], for its mean and spread; nothing by
        default."""

    def augmented(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """A batch [B, ...] with what training changes of it at random; nothing by default."""
        return inputs

    def features(self, inputs: Tensor) -> Tensor:
        """[B, ...] -> [B, num_features], by which shapes are near one another."""
        raise NotImplementedError

    @property
    def num_weights(self) -> int:
        """That were learnt."""
        return sum(p.numel() for p in self.parameters())

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, ...] -> logits [B, classes]."""
        return self.head(self.features(inputs))


class Scaling(nn.Module):
    """Takes off the mean and divides by the spread of what is trained on, over all but some axes.

    Args:
        shape: of mean and spread; axes of length 1 are those that are taken together.
        least: that it divides by.
    """

    def __init__(self, *shape: int, least: float = 1e-8):
        super().__init__()
        self.least = least
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("spread", torch.ones(shape))

    def begin(self, inputs: Tensor) -> None:
        """Take both from [N, ...]."""
        axes = [0, *(i + 1 for i, size in enumerate(self.mean.shape) if size == 1)]
        spread, mean = torch.std_mean(inputs, axes, keepdim=True)
        self.mean.copy_(mean[0])
        self.spread.copy_(spread[0].clamp_min(self.least))

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.mean) / self.spread
