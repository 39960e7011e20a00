"""Training steps of radiance fields: rays, what they see, and what they should have seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fields import ops, steps
from fields.errors import FieldsError
from fields.loop import Diverged
from fields.march import march
from fields.models.cam_radiance import CamRadiance
from fields.models.composed import RbfRadiance
from fields.models.radiance import Radiance, RadianceField
from fields.ops.training import step_workspace
from fields.plan import Plan
from fields.signals.scene import SceneSignal
from fields.signals.views import Rays

LOOK_EVERY = 16  # steps between two looks at what is empty
LOOKS = 1 << 14  # cells of a later look
MOMENTS = 2  # at which a cell of a scene that moves is looked at
# At first the field is thin fog: nothing is known to be empty, and nothing is sharp. So all cells
# are marched, in steps so many times as long that samples go to as many more rays, and all are
# looked at. What is thin and taken for empty sooner is hardly found again: a cable of mic was left
# in pieces.
FOG_UNTIL, STRIDE = 256, 4
# Samples of less weight are not trained on. In fog all weights are small; later a larger bound
# gives 0.1 dB more after a minute.
FOG_WEIGHT, MIN_WEIGHT = 1e-4, 1e-3
_IN_FOG = 64  # samples of a ray then, about
_LEAST_RAYS, _MOST_RAYS = 32, 1 << 17


class _RayStep:
    """What all such steps share: batches of so many rays as give the samples wanted, and the
    occupancy that follows the field.

    `batch` of the plan is the number of samples that are trained on, after those of no weight were
    left out; how many rays that takes is learned from the last step: a few dozen in the first fog,
    thousands once most of space is empty.
    """

    field: Radiance

    def __init__(self, field: Radiance, signal: SceneSignal, plan: Plan):
        self.field, self.signal, self.plan = field, signal, plan
        self.moments = steps.Moments(field)
        self.occupancy = field.occupancy
        # Rays of the next step.
        self.count = torch.tensor([max(plan.training.batch // _IN_FOG, _LEAST_RAYS)])
        self.error_map = signal.error_map()
        fine = field.march
        self._open = torch.full_like(self.occupancy.bits, -1)
        self._long = replace(fine, step=STRIDE * fine.step, growth=STRIDE * fine.growth)

    def tensors(self) -> dict[str, Tensor]:
        """See Step; the occupancy's densities, the number of rays, and errors, are part of it."""
        held = {"occupancy.density": self.occupancy.density, "rays.count": self.count}
        errors = {} if self.error_map is None else self.error_map.tensors()
        return self.moments.tensors() | held | errors

    def _rays(self, step: int) -> Rays:
        return self.signal.rays(int(self.count), self.plan.seed, step, self.error_map)

    def _look(self, step: int) -> None:
        """Ask the field, now and then, where it is empty, and draw pixels by what was seen."""
        if step % LOOK_EVERY != 1:
            return
        if self.error_map is not None:
            self.error_map.follow()
        if self.field.of_rays:
            return
        every = step <= FOG_UNTIL
        self.occupancy.update(
            self._density(step),
            seed=self.plan.seed,
            step=step,
            samples=None if every else LOOKS,
        )
        if not every and not self.occupancy.bits.any():
            raise Diverged(f"step {step}: the field has no density left")

    def _walk(self, step: int) -> tuple[Tensor, ops.MarchSpec]:
        """The cells that rays are marched through, and how."""
        if step <= FOG_UNTIL:
            return self._open, self._long
        return self.occupancy.bits, self.field.march

    def _least_weight(self, step: int) -> float:
        return FOG_WEIGHT if step <= FOG_UNTIL else MIN_WEIGHT

    def _density(self, step: int) -> Callable[[Tensor], Tensor]:
        """Coordinates [N, 3] -> densities [N]; of what moves the largest of some times, others at
        each look: a cell is empty if it is so at all times."""
        field = self.field
        if self.signal.dim == 3:
            return lambda coords: field.density(coords, None)[0]
        generator = torch.Generator().manual_seed((self.plan.seed * 1_000_003 + step) % 2**63)

        def largest(coords: Tensor) -> Tensor:
            within = torch.rand(MOMENTS, len(coords), generator=generator)
            times = ((within + torch.arange(MOMENTS)[:, None]) / MOMENTS).to(coords)
            return torch.stack([field.density(coords, t)[0] for t in times]).amax(0)

        return largest

    def _learn(self, used: int, given: int) -> None:
        """Take a few more rays than the last step used, or twice as many where it used all."""
        wanted = used + used // 4 + _LEAST_RAYS if used < given else 2 * given
        self.count.fill_(min(wanted, _MOST_RAYS))


class StepOp(NamedTuple):
    """A whole step in one op, on the CPU."""

    step: Callable[..., tuple[Tensor, Tensor, Tensor]]
    spec: Any
    names: tuple[str, ...]  # of the parameters, the table first


def op_of(field: nn.Module) -> StepOp | None:
    """The op that trains a field, if there is one; a class of the user's own has other colours."""
    if type(field) is RadianceField:
        return StepOp(ops.radiance_step, field.spec, ("table", "density_params", "colour_params"))
    if type(field) is RbfRadiance and field.spec is not None:
        return StepOp(ops.rbf_radiance_step, field.spec, ("inner.table", "inner.params"))
    return None


class FusedRayStep(_RayStep):
    """All of it in one op."""

    def __init__(self, field: Radiance, signal: SceneSignal, plan: Plan, loss: str):
        super().__init__(field, signal, plan)
        op = op_of(field)
        if op is None:
            raise TypeError(f"no op trains a {type(field).__name__}")
        self.op, self.loss = op, loss
        table = self.moments.parameters[op.names[0]].data
        self.workspace = step_workspace(table, field.dim, op.spec.grid)

    @torch.no_grad()
    def __call__(self, step: int, factor: float) -> Tensor:
        field, training, seed = self.field, self.plan.training, self.plan.seed
        self._look(step)
        count = int(self.count)
        rays = self._rays(step)
        loss, errors, counts = self.op.step(
            rays.origins,
            rays.directions,
            rays.colours,
            rays.backgrounds,
            *self._walk(step),
            *(self._state(name) for name in self.op.names),
            self.workspace,
            self.op.spec,
            step=step,
            samples=training.batch,
            lr_table=factor * training.table_rate,
            lr_params=factor * training.rate,
            times=field.scaled(rays.times),
            weights=rays.weights,
            min_weight=self._least_weight(step),
            loss=self.loss,
            seed=seed,
            beta1=training.beta1,
            beta2=training.beta2,
            eps=training.eps,
            weight_decay=training.weight_decay,
            touched_only=training.touched_only,
        )
        used = int(counts[0])
        self._learn(used, count)
        if self.error_map is not None:
            self.error_map.add(rays.pixels[:used], errors[:used])
        return loss

    def _state(self, name: str) -> tuple[Tensor, Tensor, Tensor]:
        moments = self.moments
        return moments.parameters[name].data, moments.first[name], moments.second[name]


class MarchedStep(_RayStep, steps.AutogradStep):
    """Any radiance field on any device: march, torch's autograd, then our Adam."""

    def __init__(self, field: Radiance, signal: SceneSignal, plan: Plan, loss: str | steps.Loss):
        super().__init__(field, signal, plan)
        self.loss = steps.LOSSES[loss] if isinstance(loss, str) else loss

    def __call__(self, step: int, factor: float) -> Tensor:
        training = self.plan.training
        self._look(step)
        rays = self._rays(step)
        values, kept = self._see(rays, step)
        loss = self._weighted(values, rays)
        names, parameters = zip(*self.moments.parameters.items(), strict=True)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for name, gradient in zip(names, gradients, strict=True):
            if gradient is not None:
                self._improve(name, gradient, step, factor, training)
        wanted = int(self.count) * training.batch / max(kept, 1)
        self.count.fill_(int(min(max(wanted, _LEAST_RAYS), _MOST_RAYS, 2 * int(self.count))))
        if self.error_map is not None:
            self.error_map.add(rays.pixels, self._each(values.detach(), rays.colours))
        return loss.detach()

    def _see(self, rays: Rays, step: int) -> tuple[Tensor, int]:
        """What rays see over their backgrounds [R, 3], and how many samples that took."""
        field = self.field
        seen = march(
            field,
            rays.origins,
            rays.directions,
            *self._walk(step),
            times=rays.times,
            seed=self.plan.seed,
            step=step,
            density=lambda *where: field.density(*where)[0],
            min_weight=self._least_weight(step),
        )
        return seen.over(rays.backgrounds), len(seen.t)

    def _weighted(self, values: Tensor, rays: Rays) -> Tensor:
        """The loss [] of a batch; a loss of the user's own takes all rays alike."""
        if rays.weights is None or self.loss not in (steps.l1, steps.l2):
            return self.loss(values, rays.colours)
        return (rays.weights * self._each(values, rays.colours)).mean()

    def _each(self, values: Tensor, colours: Tensor) -> Tensor:
        """Errors [R] of rays: their losses, or squares where the loss is the user's own."""
        away = values - colours
        return (away.abs() if self.loss is steps.l1 else away.square()).mean(1)


class WholeRayStep(MarchedStep):
    """A field that is asked by whole rays, all of whose samples are trained on."""

    field: CamRadiance

    def _see(self, rays: Rays, step: int) -> tuple[Tensor, int]:
        seed = self.plan.seed
        colours, opacity, _ = self.field.along(rays.origins, rays.directions, seed=seed, step=step)
        values = colours + (1 - opacity)[:, None] * rays.backgrounds
        return values, len(values) * self.field.config.ray_samples


def choose(
    field: nn.Module, signal: SceneSignal, plan: Plan, loss: str | steps.Loss
) -> FusedRayStep | MarchedStep | WholeRayStep:
    """The fastest step that fits."""
    if not isinstance(field, Radiance):
        raise FieldsError(
            f"{type(field).__name__} has no density and colour; a scene needs a Radiance field"
        )
    if isinstance(field, CamRadiance) and field.of_rays:
        return WholeRayStep(field, signal, plan, loss)
    fused = isinstance(loss, str) and op_of(field) is not None
    parameters = list(field.parameters())
    on_cpu = parameters[0].device.type == "cpu"
    if fused and on_cpu and all(parameter.requires_grad for parameter in parameters):
        return FusedRayStep(field, signal, plan, str(loss))
    return MarchedStep(field, signal, plan, loss)
