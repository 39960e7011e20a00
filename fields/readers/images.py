"""Planes as images: readers that convolve all channels of the three planes, or their energy, which
no initialisation changes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.readers.channel_tokens import resized_crop
from fields.readers.reader import Reader, Scaling


def channel_energy(planes: Tensor) -> Tensor:
    """Planes [N, 3, C, R, R] -> [N, 3, 2, R, R]: the logarithms of the sums over channels of their
    squares, and of the squares of their slopes.

    Turning the channels, as one turns axes, changes neither: fields that began with other numbers
    have the same energy but for how well they fit.
    """
    across = planes[..., 1:] - planes[..., :-1]
    along = planes[..., 1:, :] - planes[..., :-1, :]
    slope = _padded(across.square().sum(2), -1) + _padded(along.square().sum(2), -2)
    return torch.stack([planes.square().sum(2), slope], 2).clamp_min(1e-6).log()


def _padded(steps: Tensor, axis: int) -> Tensor:
    """Squares of R - 1 steps to R texels: the mean of those on both sides."""
    first, last = steps.narrow(axis, 0, 1), steps.narrow(axis, -1, 1)
    return (torch.cat([first, steps], axis) + torch.cat([steps, last], axis)) / 2


class Residual(nn.Module):
    """Two convolutions beside a way around them (He et al. 2016), the image halved where stride is
    2."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.first = _convolution(inputs, outputs, stride)
        self.second = _convolution(outputs, outputs, 1)
        self.around = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                               nn.BatchNorm2d(outputs))
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return (self.second(self.first(x).relu()) + self.around(x)).relu()


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
    )


class ImageReader(Reader):
    """Residual layers over the channels of three planes side by side.

    Args:
        channels: 3 C of what it is shown.
        classes, dropout: as those of a Reader.
        width: of the first layers; the following ones double it.
        least_crop: share of a plane's area, the least that training shows at a time.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        width: int = 32,
        dropout: float = 0.3,
        least_crop: float = 0.6,
    ):
        super().__init__(8 * width, classes, dropout)
        self.least_crop = least_crop
        self.scaling = Scaling(channels, 1, 1)
        self.layers = nn.Sequential(
            _convolution(channels, width, 2), nn.ReLU(),
            Residual(width, width),
            Residual(width, 2 * width, 2),
            Residual(2 * width, 4 * width, 2),
        )  # fmt: skip

    def begin(self, inputs: Tensor) -> None:
        self.scaling.begin(inputs.flatten(1, 2))

    def augmented(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        images = inputs.flatten(1, 2)
        cut = resized_crop(images, images.shape[-1], generator, self.least_crop)
        return cut.unflatten(1, inputs.shape[1:3])

    def features(self, inputs: Tensor) -> Tensor:
        seen = self.layers(self.scaling(inputs.flatten(1, 2)))
        return torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1)
