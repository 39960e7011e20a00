"""Radiance fields as a camera sees them, asked only where their bakes say that something is."""

from __future__ import annotations

import torch
from torch import Tensor

from fields import extension
from fields.ops.bricks import Bricks, check_cameras, check_walk
from fields.ops.checks import alike, cancel_flag, in_range
from fields.ops.radiance import RadianceSpec, check_radiance
from fields.ops.rbf_radiance import RbfRadianceSpec, check_rbf_radiance

extension.load()
_ops = torch.ops.fields

CAUTION = 4.0


def radiance_in_bricks(
    bricks: Bricks,
    pose: Tensor,
    intrinsics: Tensor,
    size: tuple[int, int],
    table: Tensor,
    density: Tensor,
    colour: Tensor,
    spec: RadianceSpec,
    *,
    step: float,
    near: float = 0.0,
    min_weight: float = 1e-4,
    min_transmittance: float = 1e-3,
    caution: float = CAUTION,
    cancel: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """What radiance_render finds along the rays of a pinhole, in about half the time.

    Rays are walked through the bricks first. The field is asked at those places alone where they
    say that a sample weighs something; its weight and its colour are the field's.

    Args:
        bricks: the bake of this field, as it is now: what they leave out is not seen.
        pose, intrinsics, size, step, near: as bricks_render.
        table, density, colour, spec, min_weight, min_transmittance, cancel: as radiance_render.
        caution: at least 1. Places count that weigh 1 / caution of min_weight by the bricks, and
            rays go on to 1 / caution of min_transmittance.

    Returns:
        colours [H * W, 3] row by row, without what is behind, opacity [H * W] and depth [H * W], as
        radiance_render.

    Not differentiable. CPU alone. The same bits for any number of threads.
    """
    check_radiance(table, density, colour, None, spec)
    in_range("caution", caution, 1.0, 1e6)
    cancel_flag(cancel)
    return _ops.radiance_in_bricks(
        *_view_args(bricks, pose, intrinsics, size, table, step, near),
        min_weight,
        min_transmittance,
        caution,
        table.detach().contiguous(),
        density.detach().contiguous(),
        colour.detach().contiguous(),
        *spec.grid.args(),
        *spec.args(),
        cancel,
    )


def rbf_radiance_in_bricks(
    bricks: Bricks,
    pose: Tensor,
    intrinsics: Tensor,
    size: tuple[int, int],
    table: Tensor,
    params: Tensor,
    spec: RbfRadianceSpec,
    *,
    step: float,
    near: float = 0.0,
    min_weight: float = 1e-4,
    min_transmittance: float = 1e-3,
    caution: float = CAUTION,
    cancel: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """As radiance_in_bricks, of Gaussian kernels; `params` is the flat vector of `ops.rbf`."""
    check_rbf_radiance(table, params, None, spec)
    in_range("caution", caution, 1.0, 1e6)
    cancel_flag(cancel)
    return _ops.rbf_radiance_in_bricks(
        *_view_args(bricks, pose, intrinsics, size, table, step, near),
        min_weight,
        min_transmittance,
        caution,
        table.detach().contiguous(),
        params.detach().contiguous(),
        *spec.grid.args(),
        *spec.args(),
        cancel,
    )


def _view_args(
    bricks: Bricks,
    pose: Tensor,
    intrinsics: Tensor,
    size: tuple[int, int],
    table: Tensor,
    step: float,
    near: float,
) -> tuple:
    check_cameras(bricks, pose[None], intrinsics[None], size)
    check_walk(step, near)
    alike("pose", pose, "table", table)
    return pose[None].contiguous(), intrinsics[None].contiguous(), *size, *bricks.args(), near, step


# ---- shapes without data


@torch.library.register_fake("fields::radiance_in_bricks")
@torch.library.register_fake("fields::rbf_radiance_in_bricks")
def _(pose, intrinsics, width, height, *_):
    pixels = width * height
    return pose.new_empty(pixels, 3), pose.new_empty(pixels), pose.new_empty(pixels)
