"""The 48 symmetries of the cube: axes swapped and turned around, without a new fit.

On planes over xy, xz and yz they are exact: they swap planes, transpose them and turn them around,
and the planes that come of it are those of the field that was swapped and turned.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from fields.errors import FieldsError

_PAIRS = ((0, 1), (0, 2), (1, 2))  # axes of the planes, column first; a pair's place is its sum - 1
GROUPS = ("none", "flips", "all")


@dataclass(frozen=True)
class Symmetry:
    """A point p of the cube goes to q, q_i = p_j or 1 - p_j with j = axes[i].

    Args:
        axes: a permutation of (0, 1, 2).
        flips: which of the new axes are turned around.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)

    def points(self, points: Tensor) -> Tensor:
        """Where points [..., 3] of the unit cube go."""
        moved = points[..., list(self.axes)]
        return torch.where(torch.tensor(self.flips), 1 - moved, moved)

    def planes(self, planes: Tensor) -> Tensor:
        """Planes [..., 3, C, R, R] of the field that was moved."""
        moved = []
        for a, b in _PAIRS:
            first, second = self.axes[a], self.axes[b]
            plane = planes[..., first + second - 1, :, :, :]
            if first > second:
                plane = plane.transpose(-1, -2)
            turned = [-1] * self.flips[a] + [-2] * self.flips[b]
            moved.append(plane.flip(turned) if turned else plane)
        return torch.stack(moved, -4)

    def grid(self, grid: Tensor) -> Tensor:
        """Values [..., X, Y, Z] of the field that was moved."""
        lead = grid.dim() - 3
        moved = grid.permute(*range(lead), *(lead + axis for axis in self.axes))
        return moved.flip([lead + i for i in range(3) if self.flips[i]])

    def numbers(self, numbers: Tensor) -> Tensor:
        """Numbers [..., K] of a shape, the first three its extents."""
        return torch.cat([numbers[..., list(self.axes)], numbers[..., 3:]], -1)

    def moved(self, kind: str, inputs: Tensor) -> Tensor:
        """What a reader takes, of a moved field; `kind` is one of `Inputs`."""
        by_kind = {"planes": self.planes, "energy": self.planes, "points": self.points,
                   "values": self.grid, "numbers": self.numbers}  # fmt: skip
        if kind not in by_kind:
            raise FieldsError(f"{kind} cannot be moved; leave symmetries at none")
        return by_kind[kind](inputs)


def symmetries(group: str = "all") -> list[Symmetry]:
    """`none` but the identity, the 8 `flips`, or `all` 48; the identity first."""
    orders = itertools.permutations(range(3)) if group == "all" else [(0, 1, 2)]
    turns = [(False,) * 3] if group == "none" else itertools.product((False, True), repeat=3)
    return [Symmetry(axes, flips) for axes, flips in itertools.product(orders, turns)]  # type: ignore[arg-type]
