"""Chooses the training step for a field and a signal."""

from __future__ import annotations

from torch import nn

from fields import radiance_steps, steps
from fields.eikonal import EikonalStep, PointsStep
from fields.errors import FieldsError
from fields.plan import Plan
from fields.signals.of_shape import ShapeSource
from fields.signals.points import PointSignal
from fields.signals.scene import SceneSignal
from fields.signals.signal import Signal
from fields.steps import Loss, Step
from fields.twice import ONCE


def check_model(name: str, signal: Signal) -> None:
    """FieldsError, before anything is computed, where a model cannot be trained as the signal's
    options ask."""
    slopes = isinstance(signal, ShapeSource) and signal.options.eikonal > 0
    if slopes and name == "cam":
        raise FieldsError(ONCE)


def choose_step(field: nn.Module, signal: Signal, plan: Plan, loss: str | Loss) -> Step:
    """The fastest step that does what the signal's options ask for."""
    if isinstance(signal, SceneSignal):
        return radiance_steps.choose(field, signal, plan, loss)
    if isinstance(signal, ShapeSource) and signal.options.eikonal:
        weight = signal.options.eikonal
        if isinstance(signal, PointSignal):
            return PointsStep(field, signal, plan, loss, weight)
        return EikonalStep(field, signal, plan, loss, weight)
    return steps.choose(field, signal, plan, loss)
