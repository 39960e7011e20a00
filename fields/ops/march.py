"""Samples along rays through what is not empty, and the occupancy that says what is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, check, float32_state, in_range, shape

extension.load()
_ops = torch.ops.fields

RESOLUTIONS = (4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class MarchSpec:
    """How rays are walked (csrc/maths/march.h); lengths are those of the unit cube.

    Attributes:
        resolution: cells along an axis of the occupancy's cascades, a power of two from 4 to 512.
        step: the smallest step, and the only one without growth.
        near, far: where rays begin and end, beside the cube itself.
        growth: steps are `growth` times the distance from the origin, within [step, largest_step].
        largest_step: where steps grow.
        contract: samples lie in all of space, which a contraction brings into the unit cube
            (csrc/maths/contraction.h), instead of in the unit cube alone.
    """

    resolution: int = 64
    step: float = math.sqrt(3) / 512
    near: float = 0.0
    far: float = 1e3
    growth: float = 0.0
    largest_step: float = 1e3
    contract: bool = False

    def __post_init__(self):
        known = ", ".join(map(str, RESOLUTIONS))
        check(self.resolution in RESOLUTIONS, f"resolution must be one of {known}")
        in_range("step", self.step, 1e-5, 1e3)
        in_range("near", self.near, 0.0, 1e6)
        in_range("far", self.far, 1e-5, 1e6)
        check(self.near < self.far, f"near {self.near:g} must be less than far {self.far:g}")
        in_range("growth", self.growth, 0.0, 1.0)
        in_range("largest_step", self.largest_step, self.step, 1e6)

    def words(self) -> int:
        """64-bit words of one cascade's bits."""
        count, n = 0, self.resolution
        while n >= 4:
            n //= 4
            count += n**3
        return count

    def args(self) -> tuple:
        """As the ops take it."""
        return (
            self.resolution,
            self.near,
            self.far,
            self.step,
            self.growth,
            self.largest_step,
            self.contract,
        )


def check_rays(origins: Tensor, directions: Tensor, bits: Tensor, spec: MarchSpec) -> None:
    """Rays and the bits of an occupancy fit together."""
    for name, tensor in (("origins", origins), ("directions", directions)):
        shape(name, tensor, (origins.shape[0] if origins.dim() else 0, 3))
        check(tensor.dtype == torch.float32, f"{name} must be float32, got {tensor.dtype}")
    alike("origins", origins, "directions", directions)
    check(
        bits.dtype == torch.int64 and bits.dim() == 2 and bits.shape[1] == spec.words(),
        f"bits must be [cascades, {spec.words()}] int64, got {tuple(bits.shape)} {bits.dtype}",
    )
    in_range("number of cascades", bits.shape[0], 1, 1 if spec.contract else 16)
    check(
        bits.device == origins.device,
        f"bits are on {bits.device} but origins on {origins.device}; move one",
    )


def march_rays(
    origins: Tensor,
    directions: Tensor,
    bits: Tensor,
    spec: MarchSpec,
    *,
    seed: int | None = None,
    step: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Samples of rays in cells that are not empty, packed one ray behind the other.

    Args:
        origins: [R, 3] float32.
        directions: [R, 3] float32, of unit length.
        bits: [C, spec.words()] int64, from occupancy_update. Cascade c of C covers the cube of side
            2^(c + 1 - C) around the centre of the unit cube.
        spec: the steps.
        seed: rays begin at a random place of their first step, a function of (seed, step, ray);
            None: all in its middle.
        step: of the training; chooses other places.

    Returns:
        coords [N, 3] in [0, 1], t [N] along the ray and dt [N], the length that the sample stands
        for, rays [N] int32, and offsets [R + 1] int64: samples of ray r are those from offsets[r]
        to offsets[r + 1], front to back.

    Not differentiable. The same samples for any number of threads.
    """
    check_rays(origins, directions, bits, spec)
    return _ops.march_rays(
        origins.detach().contiguous(),
        directions.detach().contiguous(),
        bits.contiguous(),
        *spec.args(),
        seed is not None,
        seed or 0,
        step,
    )


def occupancy_update(
    density: Tensor, cells: Tensor, values: Tensor, *, decay: float, threshold: float
) -> Tensor:
    """New densities of some cells, in place, and the bits that follow from all.

    Args:
        density: [C, n, n, n] float32 in the order z, y, x; each of the cells becomes
            max(density * decay, value). Negative ones stay as they are, and empty: cells that no
            camera sees.
        cells: [K] int64, places in the flat density, different ones.
        values: [K] float32, densities found there.
        decay: in [0, 1].
        threshold: cells are set above this density, or above the mean of all cells that are not
            negative where that is less (Mueller et al. 2022, appendix E.2).

    Returns:
        bits [C, words] int64 for march_rays.
    """
    check(density.dim() == 4, f"density must be [C, n, n, n], got {tuple(density.shape)}")
    n = density.shape[1]
    check(n in RESOLUTIONS, f"density must have a power of two of cells an axis, got {n}")
    shape("density", density, (density.shape[0], n, n, n))
    in_range("number of cascades", density.shape[0], 1, 16)
    float32_state("density", density, density)
    check(cells.dim() == 1 and cells.dtype == torch.int64, "cells must be [K] int64")
    shape("values", values, (cells.shape[0],))
    alike("values", values, "density", density)
    check(cells.device == density.device, f"cells are on {cells.device}, not {density.device}")
    in_range("decay", decay, 0.0, 1.0)
    in_range("threshold", threshold, 0.0, 1e30)
    return _ops.occupancy_update(density, cells.contiguous(), values.contiguous(), decay, threshold)


# ---- shapes without data


@torch.library.register_fake("fields::march_rays")
def _(origins, directions, *_):
    count = torch.library.get_ctx().new_dynamic_size()
    return (
        origins.new_empty(count, 3),
        origins.new_empty(count),
        origins.new_empty(count),
        origins.new_empty(count, dtype=torch.int32),
        origins.new_empty(origins.shape[0] + 1, dtype=torch.int64),
    )


@torch.library.register_fake("fields::occupancy_update")
def _(density, *_):
    words, n = 0, density.shape[1]
    while n >= 4:
        n //= 4
        words += n**3
    return density.new_empty(density.shape[0], words, dtype=torch.int64)
