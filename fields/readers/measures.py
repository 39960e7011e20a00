"""What a field says of its shape in some hundred numbers, whatever weights it began with: the first
reader to try on a small set."""

from __future__ import annotations

import torch
from torch import Tensor

from fields.readers.flat import FlatReader

_SHARP = 6.0  # how sharply values are taken for inside or outside
_RADII, _RADIUS, _BLUR = 16, 0.75, 0.04  # balls around the middle, lengths of the unit cube
_LEVELS = 16  # of values, whose shares tell area and thickness


def measured_values(values: Tensor) -> Tensor:
    """Values [N, 1, S, S, S] of fields, -1 inside to 1 outside, at points of the unit cube ->
    [N, 3 S + 45].

    They are: the share of each slice across each axis that is inside; how much of the inside lies
    how far from its middle; logarithms of its second moments, sorted and along the axes; of each
    axis the share of lines that meet it, and the mean square of how much of a line it fills; the
    logarithm of the volume; and the shares of values about levels from -1 to 0.9.
    """
    inside = torch.sigmoid(-_SHARP * values[:, 0])
    count, side = inside.shape[:2]
    slices = [inside.mean((2, 3)), inside.mean((1, 3)), inside.mean((1, 2))]
    axis = torch.linspace(0, 1, side)
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    weights = inside.reshape(count, -1)
    total = weights.sum(1, keepdim=True).clamp_min(1e-6)
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
    spreads = torch.linalg.eigvalsh(moments).clamp_min(1e-6).log()
    along = torch.diagonal(moments, dim1=1, dim2=2).clamp_min(1e-6).log()
    met = torch.stack([inside.amax(i).mean((1, 2)) for i in (1, 2, 3)], 1)
    filled = torch.stack([inside.mean(i).square().mean((1, 2)).sqrt() for i in (1, 2, 3)], 1)
    step = 2 / _LEVELS
    shares = [
        torch.exp(-(((values.flatten(1) - level) / step) ** 2)).mean(1).clamp_min(1e-6).log()
        for level in torch.linspace(-1, 0.9, _LEVELS)
    ]
    others = [radii / total, spreads, along, met, filled, total.log(), torch.stack(shares, 1)]
    return torch.cat([*slices, *others], 1)


class MeasuresReader(FlatReader):
    """An MLP over what is measured of the field's values."""

    takes = "measures"
