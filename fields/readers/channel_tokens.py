"""Channels of planes as tokens, and the two readers of them that do not know their order: the
Transformer of Cardace et al. 2024 (section 4), and an MLP with a maximum, as PointNet has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fields.readers.reader import Reader

CROP = 2  # texels that a crop is smaller than a plane, along an axis
_SCALE, _RATIO = (0.08, 1.0), (3 / 4, 4 / 3)  # of crops in training


@dataclass(frozen=True)
class TransformerSizes:
    """Of an encoder; `PAPER` is the published one, whose learning rate is 1e-4 with batches of 256
    over 150 epochs."""

    width: int = 96
    layers: int = 2
    heads: int = 4
    hidden: int = 192
    dropout: float = 0.1


PAPER = TransformerSizes(512, 8, 4, 2048, 0.1)


def normalised(planes: Tensor) -> Tensor:
    """Planes [B, 3, C, R, R] as channels [B, 3 C, R, R] whose squares sum to 1 at each texel."""
    channels = planes.flatten(1, 2)
    return channels / channels.norm(dim=1, keepdim=True).clamp_min(1e-12)


def resized_crop(
    images: Tensor, size: int, generator: torch.Generator, least: float = _SCALE[0]
) -> Tensor:
    """A box of [B, C, R, R] at random, for each image its own, resampled to [B, C, size, size].

    Its area is a share from `least` to 1, its sides differ by up to 4/3.
    """
    count = len(images)

    def drawn() -> Tensor:
        return torch.rand(count, generator=generator)

    area = least + (_SCALE[1] - least) * drawn()
    ratio = torch.exp(math.log(_RATIO[0]) + math.log(_RATIO[1] / _RATIO[0]) * drawn()).sqrt()
    width, height = ((area.sqrt() * r).clamp(max=1) for r in (ratio, 1 / ratio))
    # grid_sample's coordinates are from -1 to 1: a box of side w lies between w - 1 and 1 - w.
    x, y = (1 - width) * (2 * drawn() - 1), (1 - height) * (2 * drawn() - 1)
    nought = torch.zeros(count)
    boxes = torch.stack([width, nought, x, nought, height, y], 1).view(count, 2, 3).to(images)
    grid = nn.functional.affine_grid(boxes, [count, 1, size, size], align_corners=False)
    return nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def central_crop(images: Tensor, size: int) -> Tensor:
    """The middle [B, C, size, size] of images [B, C, R, R]."""
    start = (images.shape[-1] - size) // 2
    return images[..., start : start + size, start : start + size]


class TokenReader(Reader):
    """Channels of planes, each a token; a maximum over them. The order of the channels and planes
    does not matter.

    Args:
        resolution: R of planes [B, 3, C, R, R].
        num_features, classes, dropout: as those of a Reader.
        least_crop: share of a plane's area, the least that training shows at a time.
    """

    def __init__(
        self,
        resolution: int,
        num_features: int,
        classes: int,
        dropout: float = 0.0,
        least_crop: float = _SCALE[0],
    ):
        super().__init__(num_features, classes, dropout)
        self.size = max(resolution - CROP, 1)
        self.least_crop = least_crop

    def augmented(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        cut = resized_crop(normalised(inputs), self.size, generator, self.least_crop)
        return cut.unflatten(1, inputs.shape[1:3])

    def tokens(self, inputs: Tensor) -> Tensor:
        """Planes, or crops of them -> [B, 3 C, size^2]."""
        if inputs.shape[-1] == self.size:
            return inputs.flatten(3).flatten(1, 2)
        return central_crop(normalised(inputs), self.size).flatten(2)

    def encoded(self, tokens: Tensor) -> Tensor:
        """[B, T, size^2] -> [B, T, num_features], whatever the order of the tokens."""
        raise NotImplementedError

    def features(self, inputs: Tensor) -> Tensor:
        return self.encoded(self.tokens(inputs)).amax(1)


class ChannelTransformer(TokenReader):
    """A Transformer over the channels, without an encoding of their places."""

    def __init__(
        self,
        resolution: int,
        classes: int,
        sizes: TransformerSizes | None = None,
        least_crop: float = _SCALE[0],
    ):
        sizes = sizes or TransformerSizes()
        super().__init__(resolution, sizes.width, classes, 0.0, least_crop)
        self.embed = nn.Linear(self.size**2, sizes.width)
        self.encoder = encoder_of(sizes)

    def encoded(self, tokens: Tensor) -> Tensor:
        return self.encoder(self.embed(tokens))


class ChannelMlp(TokenReader):
    """An MLP over each channel alone."""

    def __init__(
        self, resolution: int, classes: int, width: int = 128, dropout: float = 0.3,
        least_crop: float = _SCALE[0],
    ):  # fmt: skip
        super().__init__(resolution, width, classes, dropout, least_crop)
        self.mlp = nn.Sequential(
            nn.Linear(self.size**2, width), nn.LayerNorm(width), nn.ReLU(),
            nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(),
            nn.Linear(width, width),
        )  # fmt: skip

    def encoded(self, tokens: Tensor) -> Tensor:
        return self.mlp(tokens)


def encoder_of(sizes: TransformerSizes) -> nn.TransformerEncoder:
    """Layers of attention with the norm behind, as published."""
    layer = nn.TransformerEncoderLayer(
        sizes.width, sizes.heads, sizes.hidden, sizes.dropout, batch_first=True
    )
    return nn.TransformerEncoder(layer, sizes.layers, enable_nested_tensor=False)
