"""One training step: draw a batch, predict, compare, improve. The loop knows no more than this.

`choose` takes the step for a field and a signal: autograd with our Adam, or the one op that does it
all for a hash grid with what stands behind it, or for an MLP alone.
"""

from collections.abc import Callable
from typing import Protocol, TypeGuard

import torch
from torch import Tensor, nn

from fields import ops
from fields.errors import FieldsError
from fields.models.cam import Cam
from fields.models.hashgrid import HashGrid
from fields.models.network import Network
from fields.models.rbf import Rbf
from fields.plan import Plan, Training

Loss = Callable[[Tensor, Tensor], Tensor]


def l2(values: Tensor, targets: Tensor) -> Tensor:
    """Mean squared difference."""
    return torch.nn.functional.mse_loss(values, targets)


def l1(values: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute difference."""
    return torch.nn.functional.l1_loss(values, targets)


def relative(values: Tensor, targets: Tensor) -> Tensor:
    """Mean of |value - target| / (|target| + 0.01), for distances: what is near counts most."""
    return ((values - targets).abs() / (targets.abs() + 0.01)).mean()


def binary(values: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of sigmoid(value) and targets in [0, 1], for occupancy."""
    return torch.nn.functional.binary_cross_entropy_with_logits(values, targets)


LOSSES: dict[str, Loss] = {"l2": l2, "l1": l1, "relative": relative, "binary": binary}


class Signal(Protocol):
    """What a step needs of a signal."""

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates [count, D] in [0, 1] and values [count, C]; a pure function."""
        ...


class Step(Protocol):
    """Takes step number `step` (the first is 1) at `factor` times the rates of the plan.

    Returns the loss [1] or [] of its batch before the step, without waiting for it.
    """

    def __call__(self, step: int, factor: float) -> Tensor: ...

    def tensors(self) -> dict[str, Tensor]:
        """All that the next step depends on, by name: `field.*` and the optimiser's `adam.*`."""
        ...


def choose(
    field: nn.Module, signal: Signal, plan: Plan, loss: str | Loss
) -> "HashGridStep | MlpStep | CamStep | AutogradStep":
    """The fastest step that fits."""
    if _is_on_a_grid(field) and isinstance(loss, str):
        if field.table.requires_grad and field.params.requires_grad:
            return HashGridStep(field, signal, plan, loss)
    if isinstance(field, Network) and isinstance(loss, str) and MlpStep.fits(field, loss):
        return MlpStep(field, signal, plan, loss)
    if type(field) is Cam and isinstance(loss, str) and CamStep.fits(field):
        return CamStep(field, signal, plan, loss)
    return AutogradStep(field, signal, plan, loss)


def _is_on_a_grid(field: nn.Module) -> TypeGuard[HashGrid | Rbf]:
    """Whether a grid and what stands behind it are one op."""
    return type(field) is HashGrid or (type(field) is Rbf and field.is_fused)


class Moments:
    """Adam's two running means for each trained parameter of a field."""

    def __init__(self, field: nn.Module):
        self.field = field
        self.parameters = {n: p for n, p in field.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise FieldsError(f"{type(field).__name__} has no parameters to train")
        for name, parameter in self.parameters.items():
            if parameter.dtype != torch.float32:
                kind = str(parameter.dtype).removeprefix("torch.")
                raise FieldsError(f"parameter {name} is {kind}; training needs float32 weights")
        self.first = {n: self._zeros(p) for n, p in self.parameters.items()}
        self.second = {n: self._zeros(p) for n, p in self.parameters.items()}

    @staticmethod
    def _zeros(parameter: Tensor) -> Tensor:
        return torch.zeros_like(parameter, memory_format=torch.contiguous_format)

    def tensors(self) -> dict[str, Tensor]:
        """The field's tensors and these, under the names that they have in a checkpoint."""
        return {
            **{f"field.{name}": tensor for name, tensor in self.field.state_dict().items()},
            **{f"adam.first.{name}": tensor for name, tensor in self.first.items()},
            **{f"adam.second.{name}": tensor for name, tensor in self.second.items()},
        }


def is_table(name: str) -> bool:
    """A table of features, which has a learning rate of its own and no weight decay."""
    return name.rpartition(".")[2] == "table"


class AutogradStep:
    """Any module, any loss: torch's autograd, then our Adam on each parameter."""

    def __init__(self, field: nn.Module, signal: Signal, plan: Plan, loss: str | Loss):
        self.field, self.signal, self.plan = field, signal, plan
        self.loss = LOSSES[loss] if isinstance(loss, str) else loss
        self.moments = Moments(field)

    def tensors(self) -> dict[str, Tensor]:
        return self.moments.tensors()

    def __call__(self, step: int, factor: float) -> Tensor:
        training = self.plan.training
        coords, targets = self.signal.batch(training.batch, self.plan.seed, step)
        names, parameters = zip(*self.moments.parameters.items(), strict=True)
        loss = self.value(coords, targets)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for name, gradient in zip(names, gradients, strict=True):
            if gradient is not None:
                self._improve(name, gradient, step, factor, training)
        return loss.detach()

    def value(self, coords: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch."""
        return self.loss(self.field(coords), targets)

    def _improve(self, name: str, gradient: Tensor, step: int, factor: float, training: Training):
        table = is_table(name)
        ops.adam_step(
            self.moments.parameters[name].data,
            gradient,
            self.moments.first[name],
            self.moments.second[name],
            step=step,
            lr=factor * (training.table_rate if table else training.rate),
            beta1=training.beta1,
            beta2=training.beta2,
            eps=training.eps,
            weight_decay=0.0 if table else training.weight_decay,
            touched_only=training.touched_only and table,
        )


class MlpStep:
    """A field that is one MLP on fixed inputs, and a standard loss: all behind them is one op.

    The same step as AutogradStep's (tests/test_models_siren.py).
    """

    def __init__(self, field: Network, signal: Signal, plan: Plan, loss: str):
        self.field, self.signal, self.plan, self.loss = field, signal, plan, loss
        self.moments = Moments(field)

    @staticmethod
    def fits(field: Network, loss: str) -> bool:
        if loss not in ("l2", "l1") and (field.scale, field.offset) != (1.0, 0.0):
            return False  # these do not grow with the values
        trained = [name for name, p in field.named_parameters() if p.requires_grad]
        return type(field).forward is Network.forward and trained == ["params"]

    def tensors(self) -> dict[str, Tensor]:
        return self.moments.tensors()

    @torch.no_grad()
    def __call__(self, step: int, factor: float) -> Tensor:
        training, moments = self.plan.training, self.moments
        coords, targets = self.signal.batch(training.batch, self.plan.seed, step)
        # The network learns targets of its own range. Its loss is 1 / unit times the signal's, and
        # so are gradients: Adam takes the same step where weight decay and eps grow with them.
        scale, offset = self.field.scale, self.field.offset
        unit = scale**2 if self.loss == "l2" else scale  # 1 for losses that are not of a length
        loss = ops.mlp_step(
            self.field.inputs(coords),
            (targets - offset) / scale,
            (self.field.params.data, moments.first["params"], moments.second["params"]),
            self.field.mlp,
            step=step,
            lr=factor * training.rate,
            loss=self.loss,
            beta1=training.beta1,
            beta2=training.beta2,
            eps=training.eps / unit,
            weight_decay=training.weight_decay / unit,
        )
        return loss * unit


class CamStep:
    """A network with coordinate-aware modulation and a standard loss: all but the batch is one op.

    The same step as AutogradStep's (tests/test_models_cam.py).
    """

    def __init__(self, field: Cam, signal: Signal, plan: Plan, loss: str):
        self.field, self.signal, self.plan, self.loss = field, signal, plan, loss
        self.moments = Moments(field)

    @staticmethod
    def fits(field: Cam) -> bool:
        trained = field.table.requires_grad and field.params.requires_grad
        return trained and field.is_fused(field.params)

    def tensors(self) -> dict[str, Tensor]:
        return self.moments.tensors()

    def __call__(self, step: int, factor: float) -> Tensor:
        training, moments, field = self.plan.training, self.moments, self.field
        coords, targets = self.signal.batch(training.batch, self.plan.seed, step)
        return ops.cam_step(
            coords,
            targets,
            field.frequencies,
            (field.table.data, moments.first["table"], moments.second["table"]),
            (field.params.data, moments.first["params"], moments.second["params"]),
            field.mlp,
            field.config.axes,
            step=step,
            lr_table=factor * training.table_rate,
            lr_params=factor * training.rate,
            normalise=field.config.normalise == "features",
            loss=self.loss,
            beta1=training.beta1,
            beta2=training.beta2,
            eps=training.eps,
            weight_decay=training.weight_decay,
        )


class HashGridStep:
    """A hash grid with an MLP or kernels, and a standard loss: all but the batch is one op.

    The same step as AutogradStep's (tests/test_steps.py), without a tape and without touching
    memory for anything but the table.
    """

    def __init__(self, field: HashGrid | Rbf, signal: Signal, plan: Plan, loss: str):
        self.field, self.signal, self.plan, self.loss = field, signal, plan, loss
        self.moments = Moments(field)
        self.workspace = ops.step_workspace(field.table, field.dim, field.grid)
        self._op: Callable[..., Tensor] = ops.grid_mlp_step
        self._behind: ops.MlpSpec | ops.RbfSpec
        if isinstance(field, Rbf):
            self._op, self._behind = ops.grid_rbf_step, field.rbf
        else:
            self._behind = field.mlp

    def tensors(self) -> dict[str, Tensor]:
        return self.moments.tensors()

    def __call__(self, step: int, factor: float) -> Tensor:
        training, moments = self.plan.training, self.moments
        coords, targets = self.signal.batch(training.batch, self.plan.seed, step)
        return self._op(
            coords,
            targets,
            (self.field.table.data, moments.first["table"], moments.second["table"]),
            (self.field.params.data, moments.first["params"], moments.second["params"]),
            self.workspace,
            self.field.grid,
            self._behind,
            step=step,
            lr_table=factor * training.table_rate,
            lr_params=factor * training.rate,
            loss=self.loss,
            beta1=training.beta1,
            beta2=training.beta2,
            eps=training.eps,
            weight_decay=training.weight_decay,
            touched_only=training.touched_only,
        )
