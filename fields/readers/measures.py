"""What a field says of its shape in some hundred numbers, whatever weights it began with: the first
reader to try on a small set."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

_SHARP = 6.0  # how sharply values are taken for inside or outside
_RADII, _RADIUS, _BLUR = 16, 0.75, 0.04  # balls around the middle, lengths of the unit cube
_LEVELS = 16  # of values, whose shares tell area and thickness
_APART, _FURTHEST = 24, 1.2  # distances between pairs of points, lengths of the unit cube
_LEAST = 1e-6  # of what logarithms are taken of


def measured_values(values: Tensor) -> Tensor:
    """Values [N, 1, S, S, S] of fields, -1 inside to 1 outside, at points of the unit cube ->
    [N, 6 S + 79].

    They are, of the inside (`_of_inside`), the surface (`_of_surface`) and pairs of points within
    (`_of_pairs`); and the shares of values about levels from -1 to 0.9.
    """
    inside = torch.sigmoid(-_SHARP * values[:, 0])
    step = 2 / _LEVELS
    shares = [
        torch.exp(-(((values.flatten(1) - level) / step) ** 2)).mean(1).clamp_min(_LEAST).log()
        for level in torch.linspace(-1, 0.9, _LEVELS)
    ]
    shares = torch.stack(shares, 1)
    return torch.cat([_of_inside(inside), shares, _of_surface(inside), _of_pairs(inside)], 1)


def _of_inside(inside: Tensor) -> Tensor:
    """[N, 3 S + 29]: the share of each slice across each axis that is inside; how much of the
    inside lies how far from its middle; logarithms of its second moments, sorted and along the
    axes; of each axis the share of lines that meet it, and the mean square of how much of a line it
    fills; the logarithm of the volume."""
    count, side = inside.shape[:2]
    slices = [inside.mean((2, 3)), inside.mean((1, 3)), inside.mean((1, 2))]
    axis = torch.linspace(0, 1, side)
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    weights = inside.reshape(count, -1)
    total = weights.sum(1, keepdim=True).clamp_min(_LEAST)
    away = places - ((weights @ places) / total)[:, None]
    distances = away.norm(dim=2)
    radii = torch.stack(
        [
            (weights * torch.exp(-(((distances - radius) / _BLUR) ** 2))).sum(1)
            for radius in torch.linspace(0, _RADIUS, _RADII)
        ],
        1,
    )
    moments = torch.einsum("nk,nki,nkj->nij", weights, away, away) / total[..., None]
    spreads = torch.linalg.eigvalsh(moments).clamp_min(_LEAST).log()
    along = torch.diagonal(moments, dim1=1, dim2=2).clamp_min(_LEAST).log()
    met = torch.stack([inside.amax(i).mean((1, 2)) for i in (1, 2, 3)], 1)
    filled = torch.stack([inside.mean(i).square().mean((1, 2)).sqrt() for i in (1, 2, 3)], 1)
    return torch.cat([*slices, radii / total, spreads, along, met, filled, total.log()], 1)


def _of_surface(inside: Tensor) -> Tensor:
    """[N, 3 S + 10]: the length of the rim of each slice; the logarithm of the area; how much of it
    faces each axis, and the spread of its normals, sorted; how often lines along each axis that
    meet the inside go through the surface, in logarithms."""
    slopes = torch.stack(torch.gradient(inside, dim=(1, 2, 3)), -1)
    steep = slopes.norm(dim=-1)
    area = steep.sum((1, 2, 3)).clamp_min(_LEAST)
    rims = [
        (slopes[..., a].square() + slopes[..., b].square()).sqrt().mean(axes)
        for a, b, axes in ((1, 2, (2, 3)), (0, 2, (1, 3)), (0, 1, (1, 2)))
    ]
    facing = slopes.abs().sum((1, 2, 3))
    spread = torch.einsum(
        "nxyzi,nxyzj->nij", slopes, slopes / steep.clamp_min(_LEAST)[..., None]
    )  # fmt: skip
    normals = torch.linalg.eigvalsh(spread / area[:, None, None])
    shadows = torch.stack([inside.amax(i).sum((1, 2)) for i in (1, 2, 3)], 1)
    through = (facing / shadows.clamp_min(_LEAST)).clamp_min(_LEAST).log()
    return torch.cat([*rims, area.log()[:, None], facing / area[:, None], normals, through], 1)


def _of_pairs(inside: Tensor) -> Tensor:
    """[N, 24]: logarithms of how many pairs of points of the inside are how far apart."""
    side = inside.shape[-1]
    room = (2 * side,) * 3  # so that nothing comes round to the other side
    waves = torch.fft.rfftn(inside, s=room, dim=(1, 2, 3)).abs().square()
    pairs = torch.fft.irfftn(waves, s=room, dim=(1, 2, 3)).flatten(1)
    shares = pairs @ _rings(side) / pairs.sum(1, keepdim=True).clamp_min(_LEAST)
    return shares.clamp_min(_LEAST).log()


@functools.cache
def _rings(side: int) -> Tensor:
    """[8 side^3, 24]: how near the shift of each cell of a correlation is to each distance."""
    steps = torch.fft.fftfreq(2 * side) * 2 * side / (side - 1)
    square = steps.square()
    apart = (square[:, None, None] + square[:, None] + square).sqrt().flatten()
    rings = torch.linspace(0, _FURTHEST, _APART)
    return torch.stack([torch.exp(-(((apart - ring) / _BLUR) ** 2)) for ring in rings], 1)
