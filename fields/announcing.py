"""What a fit will do, told before its first step."""

from collections.abc import Iterator
from typing import Any

import torch

from fields import checkpoint, ops
from fields.beginning import Beginning
from fields.pictures.naming import shown
from fields.signals.scene import SceneSignal
from fields.signals.signal import Signal


def kernels(where: torch.device) -> str:
    return ops.ACTIVE.cpu if where.type == "cpu" else "cuda"


def announcement(
    begin: Beginning,
    signal: Signal,
    facts: dict[str, Any],
    reason: str | None,
    no_fresh: bool,
) -> Iterator[str]:
    """What will be done, for the reader."""
    if reason:
        yield f"on the CPU: {reason}"
    model = checkpoint.describe_model(begin.field, begin.config)["model"]
    count = sum(parameter.numel() for parameter in begin.field.parameters())
    yield f"{signal.name} ({signal}) -> {model}, {count:,} parameters"
    if begin.found:
        yield str(begin.found)
    if no_fresh and begin.config is not None and begin.config.frequency is None:
        yield f"--no-fresh changes nothing: {model} has no frequency that FreSh could choose"
    threads = f"{facts['threads']} thread{'s' if facts['threads'] != 1 else ''}"
    where = f"{threads}, {facts['kernels']}" if facts["device"] == "cpu" else "cuda"
    since, stop = "", begin.plan.stop.described(signal.unit or " IoU")
    if begin.held:
        at = begin.held.standing
        since = f"from step {at.step:,} ({at.seconds:.1f} s) "
    yield from begin.held.notes if begin.held else signal.notes
    if isinstance(signal, SceneSignal) and begin.plan.stop.target and not signal.has_validation:
        yield "there is no validation split: the target is compared with views that are trained on"
    yield f"{since}until {stop} ({where}) -> {shown(begin.place.path)}"
