"""Colours that change with the direction, as a row of bytes each: what few numbers tell best about
all colours of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fields.ops.bricks import ROW

_RIDGE = 1e-4  # keeps coefficients small that directions do not tell
_CUT = 0.0005  # of all numbers, on each side, which the range of a byte need not hold
_LEAST = 1e-3  # of a margin


@dataclass(frozen=True, eq=False)
class Palette:
    """A mean, and the ROW directions away from it in which colours differ most.

    Attributes:
        coefficients: [1 + ROW, 3, degree^2] float32, as `ops.Bricks` has them.
        weights: [D, 3, ROW] and zero: [ROW]: bytes are weights times colours, less zero.
    """

    coefficients: Tensor
    weights: Tensor
    zero: Tensor

    def bytes(self, colours: Tensor) -> Tensor:
        """colours [K, D, 3], seen along the directions that the palette was made for -> uint8
        [K, ROW]."""
        numbers = colours.flatten(1) @ self.weights.flatten(0, 1) - self.zero
        return numbers.nan_to_num(0).round().clamp(0, 255).to(torch.uint8)


def palette_of(colours: Tensor, harmonics: Tensor) -> Palette:
    """
    Args:
        colours: [K, D, 3], a sample of what is to be told: RGB along each of D directions.
        harmonics: [D, degree^2] of these directions, see ops.spherical_harmonics.

    The principal components of the harmonics' coefficients, which are the least squares of what
    is seen; distances between them are those of what is seen along the D directions. Colours that
    are not finite are left out of it.
    """
    colours = colours[colours.isfinite().flatten(1).all(1)]
    count, size = harmonics.shape
    gram = harmonics.T @ harmonics / count
    ridge = _RIDGE * torch.eye(size).to(gram)
    ridge[0, 0] = 0
    # Colours to coefficients, and these to numbers whose distances are those of colours.
    fit = torch.linalg.solve(gram + ridge, harmonics.T / count)
    root = torch.linalg.cholesky(gram + ridge)
    straight = torch.einsum("hd,hj->dj", fit, root)
    x = torch.einsum("kdc,dj->kcj", colours, straight).flatten(1)
    mean = x.mean(0) if len(x) else x.new_zeros(3 * size)
    apart = (x - mean).double()
    axes = torch.linalg.eigh(apart.T @ apart)[1].flip(1)[:, :ROW].to(x)
    if axes.shape[1] < ROW:
        axes = torch.cat([axes, axes.new_zeros(3 * size, ROW - axes.shape[1])], 1)
    numbers = (x - mean) @ axes
    if len(x):
        low, high = numbers.quantile(_CUT, 0), numbers.quantile(1 - _CUT, 0)
    else:
        low = high = numbers.new_zeros(ROW)
    margin = 0.1 * (high - low) + _LEAST
    low, step = low - margin, (high - low + 2 * margin) / 255
    vectors = axes.T.reshape(ROW, 3, size)
    weights = torch.einsum("dj,kcj->dck", straight, vectors) / step
    rows = torch.cat([(mean + axes @ low).view(1, 3, size), vectors * step[:, None, None]])
    # From numbers back to coefficients.
    coefficients = torch.linalg.solve_triangular(root, rows, upper=False, left=False)
    return Palette(coefficients.contiguous(), weights, (mean @ axes + low) / step)
