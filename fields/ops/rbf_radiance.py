"""Radiance fields of Gaussian kernels on a grid: the training step and the picture, each one op."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, check, in_range, shape
from fields.ops.hash_grid import check_grid
from fields.ops.march import MarchSpec
from fields.ops.marched import (
    RayTargets,
    State,
    check_numbers,
    check_picture,
    check_states,
    check_targets,
    picture_args,
    step_args,
)
from fields.ops.rbf import RbfSpec
from fields.ops.specs import ACTIVATIONS, GridSpec
from fields.ops.training import LOSSES

extension.load()
_ops = torch.ops.fields


@dataclass(frozen=True)
class RbfRadianceSpec:
    """What such a field looks like to the kernels (csrc/cpu/radiance_rbf.h).

    Attributes:
        grid: geometry of the hash grid.
        rbf: the kernels; of its channels the first is the log of the density, the others are
            coefficients [3, degree^2] of the colour.
        degree: of the spherical harmonics, 1 to 4.
    """

    grid: GridSpec
    rbf: RbfSpec
    degree: int

    def __post_init__(self):
        in_range("degree", self.degree, 1, 4)
        wanted = 1 + 3 * self.degree**2
        check(
            self.rbf.channels == wanted,
            f"rbf must have {wanted} channels for harmonics of degree {self.degree},"
            f" has {self.rbf.channels}",
        )

    def args(self) -> tuple:
        """As the ops take it, behind the grid's."""
        rbf = self.rbf
        activation = ACTIVATIONS[rbf.output_activation]
        return rbf.kernels, rbf.affine, rbf.factor, activation, self.degree


def check_rbf_radiance(table: Tensor, params: Tensor, times: Tensor | None, spec: RbfRadianceSpec):
    """Parameters fit the shape."""
    check_grid(table.new_empty(0, 3 if times is None else 4), table, spec.grid)
    inputs = spec.grid.num_levels * table.shape[1]
    shape("params", params, (spec.rbf.num_params(inputs),))
    alike("table", table, "params", params)


def rbf_radiance_step(
    origins: Tensor,
    directions: Tensor,
    colours: Tensor,
    backgrounds: Tensor,
    bits: Tensor,
    march: MarchSpec,
    table: State,
    params: State,
    workspace: Tensor,
    spec: RbfRadianceSpec,
    *,
    step: int,
    samples: int,
    lr_table: float,
    lr_params: float,
    times: Tensor | None = None,
    weights: Tensor | None = None,
    min_weight: float = 1e-4,
    min_transmittance: float = 1e-3,
    loss: str = "l2",
    seed: int | None = 0,
    beta1: float = 0.9,
    beta2: float = 0.99,
    eps: float = 1e-15,
    weight_decay: float = 0.0,
    touched_only: bool = True,
    stages: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """As radiance_step, of Gaussian kernels and one linear layer to density and colour.

    Args:
        params: (values, first moment, second moment) of the flat vector of `ops.rbf`, with
            num_levels * F inputs.
        spec: shape of the field.
        Others: see radiance_step.

    Returns the same. Not differentiable. CPU alone; the same bits for any number of threads.
    Bouzidi et al. 2025, section 4.
    """
    rays = RayTargets(origins, directions, colours, backgrounds, times, weights)
    check_targets(rays, bits, march)
    check_rbf_radiance(table[0], params[0], times, spec)
    check_states(rays, workspace, spec.grid, table=table, params=params)
    check_numbers(step, samples, loss, stages)
    return _ops.rbf_radiance_step(
        *step_args(rays, bits, march),
        *table,
        *params,
        workspace,
        *spec.grid.args(),
        *spec.args(),
        samples,
        min_weight,
        min_transmittance,
        LOSSES[loss],
        seed is not None,
        seed or 0,
        step,
        lr_table,
        lr_params,
        beta1,
        beta2,
        eps,
        weight_decay,
        touched_only,
        stages,
    )


def rbf_radiance_render(
    origins: Tensor,
    directions: Tensor,
    bits: Tensor,
    march: MarchSpec,
    table: Tensor,
    params: Tensor,
    spec: RbfRadianceSpec,
    *,
    times: Tensor | None = None,
    min_weight: float = 1e-4,
    min_transmittance: float = 1e-3,
    width: int | None = None,
    cancel: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """As radiance_render, of Gaussian kernels; `params` is the flat vector of `ops.rbf`.

    Returns colours [R, 3], opacity [R], depth [R]. Not differentiable. CPU alone.
    """
    check_picture(origins, directions, bits, march, times, width, cancel)
    check_rbf_radiance(table, params, times, spec)
    alike("origins", origins, "table", table)
    return _ops.rbf_radiance_render(
        *picture_args(origins, directions, times, bits, march),
        table.detach().contiguous(),
        params.detach().contiguous(),
        *spec.grid.args(),
        *spec.args(),
        min_weight,
        min_transmittance,
        width or 0,
        cancel,
    )
