"""Planes over pairs of axes as an encoding of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields import ops
from fields.points import as_matrix


def init_planes(
    shape: tuple[int, int, int, int], combine: str, spread: float, generator: torch.Generator
) -> Tensor:
    """Normal numbers around what changes nothing: 1 in a product, otherwise 0."""
    mean = 1.0 if combine == "product" else 0.0
    return mean + spread * torch.randn(shape, generator=generator)


class TriPlaneEncoding(nn.Module):
    """Features interpolated from planes over every pair of axes, and combined.

    In three dimensions a tri-plane (Chan et al. 2022, section 4); in two a single plane; in four,
    with `combine="product"`, one resolution of K-Planes (Fridovich-Keil et al. 2023, section 3.1).

    Args:
        dim: coordinates of a point, 2 to 4.
        resolution: texels along an axis of a plane.
        channels: features of a texel.
        combine: "sum", "product" or "concatenation".
        align_corners: whether the outermost texel centres lie on the faces of the unit cube (True),
            or half a texel inside of them (False, as Cardace et al. 2024 fit theirs).
        padding: beyond the outermost centres, "border" or "zeros" (that paper's): ops.PlaneSpec.
        spread: standard deviation of the initial planes around 0, or around 1 for a product.
            None is 0.001 (Cardace et al. 2024), and 0.1 for a product.
        seed: of the initial planes.

    Parameter `table` [P, resolution, resolution, channels], planes in the order xy, xz, yz. Twice
    differentiable.
    """

    def __init__(
        self,
        dim: int = 3,
        *,
        resolution: int = 32,
        channels: int = 16,
        combine: str = "sum",
        align_corners: bool = True,
        padding: str = "border",
        spread: float | None = None,
        seed: int = 0,
    ):
        super().__init__()
        if dim not in ops.NUM_PLANES:
            raise ValueError(f"dim must be from 2 to 4, got {dim}")
        for name, value, most in (("resolution", resolution, 65536), ("channels", channels, 4096)):
            if not 1 <= value <= most:
                raise ValueError(f"{name} must be from 1 to {most}, got {value}")
        if spread is None:
            spread = 0.1 if combine == "product" else 0.001
        if not 0 <= spread < float("inf"):
            raise ValueError(f"spread must be finite and not negative, got {spread}")
        self.dim = dim
        self.spec = ops.PlaneSpec(combine, align_corners, padding)
        generator = torch.Generator().manual_seed(seed)
        shape = (ops.NUM_PLANES[dim], resolution, resolution, channels)
        self.table = nn.Parameter(init_planes(shape, combine, spread, generator))

    @property
    def features(self) -> int:
        """Length of a point's encoding."""
        return self.spec.outputs(self.dim, self.table.shape[3])

    def forward(self, coords: Tensor) -> Tensor:
        """coords [..., dim] in [0, 1] -> features [..., features]."""
        flat = ops.triplane(self._points(coords), self.table, self.spec)
        return flat.reshape(*coords.shape[:-1], self.features)

    def with_grad(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Features [..., features] and their jacobian [..., features, dim], once differentiable."""
        features, jacobian = ops.triplane_with_grad(self._points(coords), self.table, self.spec)
        shape = coords.shape[:-1]
        return (
            features.reshape(*shape, self.features),
            jacobian.reshape(*shape, self.features, self.dim),
        )

    def _points(self, coords: Tensor) -> Tensor:
        return as_matrix("coords", coords, self.dim, self.table)
