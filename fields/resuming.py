"""A fit that goes on: reads the last checkpoint and makes sure that it belongs to what is asked."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fields import catalogue, checkpoint, folder
from fields import plan as plans
from fields.configs import Config
from fields.errors import FieldsError, flag
from fields.folder import RunFolder
from fields.loop import Standing
from fields.pictures.naming import shown
from fields.plan import Plan
from fields.progress import duration
from fields.request import LOSSES, Request
from fields.signals.signal import Signal
from fields.steps import Step


@dataclass
class Checkpoint:
    """What state.safetensors held."""

    path: Path
    tensors: dict[str, Tensor]
    content: dict[str, Any]
    field: nn.Module
    config: Config | None
    plan: Plan
    loss: str
    standing: Standing
    fresh: dict[str, Any] | None = None  # what FreSh found when the run began

    @property
    def notes(self) -> list[str]:
        """What the user should know before the fit goes on, a line each."""
        notes = _damage(self.path.with_name(folder.FIELD))
        if self.plan.stop.done(self.standing.step, self.standing.seconds) >= 1:
            notes.append(self._at_its_end())
        return notes

    def _at_its_end(self) -> str:
        steps, seconds, stop = self.standing.step, self.standing.seconds, self.plan.stop
        by_steps = steps >= (stop.steps or math.inf)
        more = f"--steps {2 * steps}" if by_steps else f"--seconds {math.ceil(2 * seconds)}"
        return (
            f"the run is at {steps:,} steps ({duration(seconds)}) and no more is asked for;"
            f" to go on give more, such as {more}"
        )

    def restore(self, step: Step) -> None:
        """Put the optimiser's tensors and the random state back, in place."""
        for name, tensor in step.tensors().items():
            held = self.tensors.get(name)
            if held is None or held.shape != tensor.shape or held.dtype != tensor.dtype:
                raise FieldsError(
                    f"{shown(self.path)} does not fit: its {name} is of another shape"
                )
            with torch.no_grad():
                tensor.copy_(held)
        torch.set_rng_state(self.tensors["rng"])


@dataclass
class State:
    """A state.safetensors as it lies in a run folder, before it is known whether it fits."""

    run: Path
    path: Path
    tensors: dict[str, Tensor]
    content: dict[str, Any]

    @staticmethod
    def read(place: RunFolder) -> "State":
        path = place.file(folder.STATE)
        return State(place.path, path, *checkpoint.read(path))

    @property
    def is_coloured(self) -> bool:
        """The run stores the colours of its source."""
        return bool(self.content.get("signal", {}).get("coloured"))

    def with_options_of(self, request: Request) -> Request:
        """The request, with the run's options of the source and how much smaller it was read;
        FieldsError where other options are asked for."""
        held = self.content.get("signal", {}).get("options") or {}
        for name, given in request.signal_options.items():
            if given != held.get(name):
                raise _differs(self.run, name, given, held.get(name))
        downscale = request.downscale or self.content.get("signal", {}).get("downscale")
        return replace(request, signal_options=held, downscale=downscale)


def read(state: State, request: Request, signal: Signal) -> Checkpoint:
    """The checkpoint of a run; FieldsError if it is not of this source or of other options."""
    path, tensors, content = state.path, state.tensors, state.content
    try:
        plan = Plan.from_dict(content["plan"])
        standing = Standing(int(content["steps"]), float(content["seconds"]))
        _check(state.run, content, plan, request, signal)
    except (KeyError, TypeError) as error:
        raise FieldsError(f"{shown(path)} holds no state of a fit: {error}") from None
    if not request.stop.is_empty:
        # The same stop gives the same plan, and so the same steps as without the pause.
        fresh = plans.make(request.stop, kind=signal.kind, model=content["model"], seed=plan.seed)
        plan = replace(fresh, training=plan.training, bits=plan.bits)
    field = checkpoint.restore(path, tensors, content, request.module)
    config = None
    if content["config"] is not None:
        config = catalogue.find(content["model"], signal.kind).config.from_dict(content["config"])
    return Checkpoint(
        path, tensors, content, field, config, plan, content["loss"], standing, content.get("fresh")
    )


def _damage(field: Path) -> list[str]:
    """A line if the field beside a checkpoint is damaged: nothing needs it to go on."""
    try:
        checkpoint.read(field)
    except FieldsError as error:
        return [f"{str(error).partition(';')[0]}; it is written anew"]
    return []


def _check(
    run: Path, content: dict[str, Any], plan: Plan, request: Request, signal: Signal
) -> None:
    """Nothing that shapes the training may differ from what the run was started with."""
    model = content["model"]
    given_config = request.config
    asked = None if request.model is None else request.model_name
    if request.module is not None and given_config is None:
        asked = checkpoint.class_name(request.module)
    config = content["config"] or {}
    options = request.options if given_config is None else given_config.as_dict()
    pairs = [
        ("downscale", request.downscale, content["signal"].get("downscale", 1)),
        ("model", asked, model),
        ("seed", request.seed, plan.seed),
        ("batch", request.batch, plan.training.batch),
        ("rate", request.rate, plan.training.rate),
        ("loss", request.loss_name, content["loss"]),
        ("bits", request.bits, plan.bits),
        *[(name, value, config.get(name)) for name, value in options.items()],
    ]
    for name, given, held in pairs:
        if given is not None and given != held:
            raise _differs(run, name, given, held)
    if content["loss"] not in LOSSES and request.loss is None:
        raise FieldsError(f"{shown(run)} was fitted with your own loss {content['loss']}; pass it")
    if content["source_hash"] != signal.fingerprint():
        raise FieldsError(
            f"{shown(run)} was fitted to another {signal.kind} than {signal.name}; it cannot go on"
        )


def _differs(run: Path, name: str, given: Any, held: Any) -> FieldsError:
    return FieldsError(
        f"{shown(run)} was fitted with {flag(name)} {held}, not {given}; leave it away to resume"
    )
