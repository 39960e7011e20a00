"""Readers of the field itself: its values on a grid, and what the planes alone say of each place.
Neither knows how the field began."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.readers.reader import Reader, Scaling

_AXES = (2 / 3, 3 / 2)  # by which training scales the axes, up to a common factor
_TURN = 0.25  # radians about each axis, at most


def plane_volume(planes: Tensor, side: int) -> Tensor:
    """Planes [N, 3, C, R, R] -> [N, 2, side, side, side] over (x, y, z): logarithms of the energy
    of their sum and of the sum of their energies, at points from face to face of the unit cube.

    Turning the channels changes neither.
    """
    small = nn.functional.interpolate(
        planes.flatten(1, 2), (side, side), mode="bilinear", align_corners=True
    ).unflatten(1, planes.shape[1:3])
    # Planes have rows along their second axis: xy [y, x], xz [z, x], yz [z, y].
    xy, xz, yz = (small[:, i].transpose(-1, -2) for i in range(3))
    own = [plane.square().sum(1) for plane in (xy, xz, yz)]
    energies = own[0][..., None] + own[1][:, :, None] + own[2][:, None]
    between = (
        torch.einsum("ncxy,ncxz->nxyz", xy, xz)
        + torch.einsum("ncxy,ncyz->nxyz", xy, yz)
        + torch.einsum("ncxz,ncyz->nxyz", xz, yz)
    )
    whole = (energies + 2 * between).clamp_min(1e-6)
    return torch.stack([whole.log(), energies.clamp_min(1e-6).log()], 1)


class VolumeReader(Reader):
    """Convolutions over a grid [B, channels, S, S, S].

    Training shows it scaled along its axes and turned a little.

    Args:
        channels: of the grid.
        classes, dropout: as those of a Reader.
        width: of the first layer.
    """

    takes = "volume"

    def __init__(self, channels: int, classes: int, width: int = 16, dropout: float = 0.4):
        super().__init__(16 * width, classes, dropout)
        self.scaling = Scaling(channels, 1, 1, 1)
        self.layers = nn.Sequential(
            *_convolution(channels, width, 2),
            *_convolution(width, 2 * width, 2),
            *_convolution(2 * width, 4 * width, 1),
            *_convolution(4 * width, 8 * width, 2),
        )

    def begin(self, inputs: Tensor) -> None:
        self.scaling.begin(inputs)

    def augmented(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        count = len(inputs)
        low, high = _AXES
        scales = low * (high / low) ** torch.rand(count, 3, generator=generator)
        scales = scales / scales.amax(1, keepdim=True)  # what was in the cube stays there
        turns = _TURN * (2 * torch.rand(count, 3, generator=generator) - 1)
        places = turned(turns) / scales[:, None]
        grid = nn.functional.affine_grid(
            torch.cat([places, torch.zeros(count, 3, 1)], 2), list(inputs.shape),
            align_corners=False,
        )  # fmt: skip
        return nn.functional.grid_sample(inputs, grid, padding_mode="border", align_corners=False)

    def features(self, inputs: Tensor) -> Tensor:
        seen = self.layers(self.scaling(inputs))
        return torch.cat([seen.mean((2, 3, 4)), seen.amax((2, 3, 4))], 1)


class ValuesReader(VolumeReader):
    """The same over the values of the field: distances, or logits of being inside."""

    takes = "values"


def turned(angles: Tensor) -> Tensor:
    """Rotations [B, 3, 3] about x, then y, then z by angles [B, 3] in radians."""
    matrices = torch.eye(3).repeat(len(angles), 1, 1)
    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        cos, sin = angles[:, axis].cos(), angles[:, axis].sin()
        turn = torch.eye(3).repeat(len(angles), 1, 1)
        turn[:, i, i], turn[:, j, j], turn[:, i, j], turn[:, j, i] = cos, cos, -sin, sin
        matrices = turn @ matrices
    return matrices


def _convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(),
    ]
