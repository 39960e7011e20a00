"""Radiance fields on a hash grid: the training step and the picture, each in one op."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, in_range, one_of, shape
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
from fields.ops.specs import PRECISIONS, GridSpec, MlpSpec
from fields.ops.training import LOSSES

extension.load()
_ops = torch.ops.fields

FEATURES = 16  # outputs of the density MLP; the first is the log of the density
LARGEST_LOG_DENSITY = 15.0


@dataclass(frozen=True)
class RadianceSpec:
    """What a radiance field looks like to the kernels (csrc/maths/radiance.h).

    Attributes:
        grid: geometry of the hash grid.
        density_width, density_depth: hidden layers of the MLP from features to density.
        colour_width, colour_depth: hidden layers of the MLP from its outputs, and harmonics of the
            direction, to colour.
        degree: of the spherical harmonics, 1 to 4.
        precision: of the MLPs' arithmetic, "float32" or "bf16".
    """

    grid: GridSpec
    density_width: int = 64
    density_depth: int = 1
    colour_width: int = 64
    colour_depth: int = 1
    degree: int = 4
    precision: str = "float32"

    def __post_init__(self):
        in_range("degree", self.degree, 1, 4)
        one_of("precision", self.precision, PRECISIONS)
        _ = self.density, self.colour  # checked when made

    @property
    def density(self) -> MlpSpec:
        return MlpSpec(self.density_width, self.density_depth, FEATURES, precision=self.precision)

    @property
    def colour(self) -> MlpSpec:
        return MlpSpec(
            self.colour_width,
            self.colour_depth,
            3,
            output_activation="sigmoid",
            precision=self.precision,
        )

    @property
    def colour_inputs(self) -> int:
        return FEATURES + self.degree**2

    def args(self) -> tuple:
        """As the ops take it, behind the grid's."""
        return (
            self.density_width,
            self.density_depth,
            self.colour_width,
            self.colour_depth,
            self.degree,
            PRECISIONS[self.precision],
        )


def check_radiance(
    table: Tensor, density: Tensor, colour: Tensor, times: Tensor | None, spec: RadianceSpec
) -> None:
    """Parameters fit the shape."""
    check_grid(table.new_empty(0, 3 if times is None else 4), table, spec.grid)
    inputs = spec.grid.num_levels * table.shape[1]
    shape("density", density, (spec.density.num_params(inputs),))
    shape("colour", colour, (spec.colour.num_params(spec.colour_inputs),))
    alike("table", table, "density", density)
    alike("table", table, "colour", colour)


def radiance_step(
    origins: Tensor,
    directions: Tensor,
    colours: Tensor,
    backgrounds: Tensor,
    bits: Tensor,
    march: MarchSpec,
    table: State,
    density: State,
    colour: State,
    workspace: Tensor,
    spec: RadianceSpec,
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
    """One training step of a radiance field in one op: march, colours, loss, gradients and Adam.

    Rays are marched front to back. Samples of a weight below `min_weight` count as empty, and only
    the others are trained on; a ray ends where its transmittance falls below `min_transmittance`.

    Args:
        origins, directions: [R, 3] float32, of unit length; more rays than are needed.
        colours: [R, 3] what is seen along each ray, over its background.
        backgrounds: [R, 3] what shows where a ray is not stopped.
        bits: [C, words], from occupancy_update.
        march: the steps.
        table, density, colour: (values, first moment, second moment), updated in place: the grid's
            [P, F] and the flat vectors of the two MLPs.
        workspace: from step_workspace, zero between steps.
        spec: shape of the field.
        step: 1 for the first.
        samples: rays are used in runs, from the first on, until so many samples are kept; a run
            is 256 rays, or a 16th of the batch where that is less.
        times: [R] in [0, 1], the fourth coordinate of a grid over space and time.
        weights: [R] that rays' losses are multiplied by; None: all 1.
        loss: a name of LOSSES; the mean over used rays and channels.
        seed: of the places where rays begin; None: in the middle of their first step.
        weight_decay: L2 on the MLPs alone.
        touched_only: numbers of the table whose gradient is exactly zero keep their value and
            moments.
        stages: [6] int64; the nanoseconds that each of STAGES took, of all threads together, are
            added to it.

    Returns:
        loss [1] before the update; errors [R], the loss of each ray without its weight, 0 where
        it was not used; and counts [3] int64: rays used, samples marched, samples kept.

    Not differentiable. CPU alone; the same bits for any number of threads.
    """
    rays = RayTargets(origins, directions, colours, backgrounds, times, weights)
    check_targets(rays, bits, march)
    check_radiance(table[0], density[0], colour[0], times, spec)
    check_states(rays, workspace, spec.grid, table=table, density=density, colour=colour)
    check_numbers(step, samples, loss, stages)
    return _ops.radiance_step(
        *step_args(rays, bits, march),
        *table,
        *density,
        *colour,
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


def radiance_render(
    origins: Tensor,
    directions: Tensor,
    bits: Tensor,
    march: MarchSpec,
    table: Tensor,
    density: Tensor,
    colour: Tensor,
    spec: RadianceSpec,
    *,
    times: Tensor | None = None,
    min_weight: float = 1e-4,
    min_transmittance: float = 1e-3,
    width: int | None = None,
    cancel: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """What is seen along rays, in one op: nothing but rays and results touches memory.

    Args:
        origins, directions: [R, 3] float32, of unit length.
        bits: [C, words], from occupancy_update.
        march: the steps; each ray begins in the middle of its first one.
        table, density, colour: the grid's [P, F] and the flat vectors of the two MLPs.
        spec: shape of the field.
        times, min_weight, min_transmittance: as radiance_step.
        width: of a picture whose rays these are, row by row; they are then taken in squares, which
            is faster.
        cancel: uint8 [1] on the CPU; once another thread sets it, RuntimeError("cancelled") is
            raised.

    Returns:
        colours [R, 3] without what is behind, which shows with 1 - opacity; opacity [R]; and depth
        [R], the sum of weights times distances.

    Not differentiable. CPU alone.
    """
    check_picture(origins, directions, bits, march, times, width, cancel)
    check_radiance(table, density, colour, times, spec)
    alike("origins", origins, "table", table)
    return _ops.radiance_render(
        *picture_args(origins, directions, times, bits, march),
        table.detach().contiguous(),
        density.detach().contiguous(),
        colour.detach().contiguous(),
        *spec.grid.args(),
        *spec.args(),
        min_weight,
        min_transmittance,
        width or 0,
        cancel,
    )
