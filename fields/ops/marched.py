"""What ops that march rays through a radiance field have in common: checks of what they take."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, cancel_flag, check, float32_state, in_range, one_of, shape
from fields.ops.march import MarchSpec, check_rays
from fields.ops.specs import GridSpec
from fields.ops.training import LOSSES, check_workspace

extension.load()

# Of a step: rays to samples; features and densities of those; the ones that have weight are kept;
# their colours, the loss and all gradients but those of the table; these, and Adam on it.
STAGES = ("walk", "encode", "density", "keep", "colour", "table")

State = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class RayTargets:
    """Rays of a step and what is seen along them, [R, 3] each; times and weights [R] or None."""

    origins: Tensor
    directions: Tensor
    colours: Tensor
    backgrounds: Tensor
    times: Tensor | None
    weights: Tensor | None


def check_targets(rays: RayTargets, bits: Tensor, march: MarchSpec) -> None:
    check_rays(rays.origins, rays.directions, bits, march)
    for name in ("colours", "backgrounds"):
        shape(name, getattr(rays, name), (rays.origins.shape[0], 3))
        alike(name, getattr(rays, name), "origins", rays.origins)
    _check_each("times", rays.times, rays.origins)
    _check_each("weights", rays.weights, rays.origins)


def step_args(rays: RayTargets, bits: Tensor, march: MarchSpec) -> tuple:
    """What a step takes before the field's parameters."""
    return (
        rays.origins.contiguous(),
        rays.directions.contiguous(),
        _held(rays.times),
        rays.colours.contiguous(),
        rays.backgrounds.contiguous(),
        None if rays.weights is None else rays.weights.contiguous(),
        bits.contiguous(),
        *march.args(),
    )


def picture_args(
    origins: Tensor, directions: Tensor, times: Tensor | None, bits: Tensor, march: MarchSpec
) -> tuple:
    """What a picture takes before the field's parameters."""
    rays = origins.contiguous(), directions.contiguous(), _held(times)
    return *rays, bits.contiguous(), *march.args()


def check_states(rays: RayTargets, workspace: Tensor, grid: GridSpec, **states: State) -> None:
    """Values and moments; `table` is among them."""
    for name, state in states.items():
        for suffix, tensor in zip(("", "_m", "_v"), state, strict=True):
            float32_state(name + suffix, tensor, state[0])
    table = states["table"][0]
    alike("origins", rays.origins, "table", table)
    check_workspace(workspace, table, 3 if rays.times is None else 4, grid)


def check_numbers(step: int, samples: int, loss: str, stages: Tensor | None) -> None:
    in_range("step", step, 1, 2**53)
    in_range("samples", samples, 1, 2**40)
    one_of("loss", loss, LOSSES)
    if stages is not None:
        shape("stages", stages, (len(STAGES),))
        check(stages.dtype == torch.int64, f"stages must be int64, got {stages.dtype}")


def check_picture(
    origins: Tensor,
    directions: Tensor,
    bits: Tensor,
    march: MarchSpec,
    times: Tensor | None,
    width: int | None,
    cancel: Tensor | None,
) -> None:
    check_rays(origins, directions, bits, march)
    _check_each("times", times, origins)
    if width is not None:
        in_range("width", width, 1, 2**31)
        rays = origins.shape[0]
        check(rays % width == 0, f"{rays} rays do not make rows of {width}")
    cancel_flag(cancel)


def _check_each(name: str, values: Tensor | None, origins: Tensor) -> None:
    """A number of each ray, where it is given."""
    if values is not None:
        shape(name, values, (origins.shape[0],))
        alike(name, values, "origins", origins)


def _held(times: Tensor | None) -> Tensor | None:
    return None if times is None else times.clamp(0, 1).contiguous()


# ---- shapes without data


@torch.library.register_fake("fields::radiance_render")
@torch.library.register_fake("fields::rbf_radiance_render")
def _(origins, *_):
    rays = origins.shape[0]
    return origins.new_empty(rays, 3), origins.new_empty(rays), origins.new_empty(rays)


@torch.library.register_fake("fields::radiance_step")
@torch.library.register_fake("fields::rbf_radiance_step")
def _(origins, *_):
    return (
        origins.new_empty(1),
        origins.new_empty(origins.shape[0]),
        origins.new_empty(3, dtype=torch.int64),
    )
