"""The colours of a shape: a small field of its own beside that of the distances, in the same file.

It is fitted once the distances are done, by a number of steps that follows from theirs, so that the
loop and its checkpoints know nothing of it; a fit that goes on begins it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from fields import checkpoint, loop
from fields import plan as plans
from fields.catalogue import build
from fields.configs import HashGridConfig
from fields.configs.hashgrid import COLOUR_GRID
from fields.errors import FieldsError
from fields.models.hashgrid import HashGrid
from fields.pictures.naming import shown
from fields.signals.colours import ColourSignal
from fields.steps import HashGridStep

KEY = "colours"  # of a file: the prefix of its tensors, and what its JSON says of them
_STOP_EVERY = 16  # steps between two looks at whether to stop


def fit(
    signal: ColourSignal, taken: int, seed: int, device: Any, stopped: Callable[[], bool]
) -> HashGrid | None:
    """A field that gives the colours of a surface: points [N, 3] of the unit cube -> sRGB [N, 3],
    not clamped. Raises Diverged if a number of it is not finite.

    Args:
        signal: the colours.
        taken: steps that the distances took.
        seed: of weights and batches.
        device: where it is to be.
        stopped: asked again and again; None is returned once it says so.
    """
    field = build(HashGridConfig(3, 3, seed=seed, **COLOUR_GRID)).to(device)
    plan = plans.of_colours(taken, seed)
    take = HashGridStep(field, signal, plan, "l2")
    steps = plan.stop.steps or 0
    for step in range(1, steps + 1):
        if step % _STOP_EVERY == 1 and stopped():
            return None
        take(step, plan.schedule.factor(step / steps))
    broken = loop.broken_tensor(take)
    if broken:
        raise loop.Diverged(f"the colours: {broken} holds NaN or infinity")
    return field.eval()


def tensors(field: HashGrid) -> dict[str, Tensor]:
    """As a file has them."""
    return {f"{KEY}.{name}": tensor for name, tensor in field.state_dict().items()}


def restore(path: Path, held: Mapping[str, Tensor], content: Mapping[str, Any]) -> HashGrid | None:
    """The field of colours of a file, on the CPU; None where there is none.

    Args:
        path: named in errors.
        held, content: tensors and configuration of the file.
    """
    if KEY not in content:
        return None
    own = {f"field.{n.partition('.')[2]}": t for n, t in held.items() if n.startswith(f"{KEY}.")}
    try:
        config = HashGridConfig.from_dict(content[KEY])
    except (FieldsError, TypeError) as error:
        raise FieldsError(f"{shown(path)}: its colours cannot be built: {error}") from None
    if (config.dim, config.channels) != (3, 3) or config.stored != sum(
        t.numel() for t in own.values()
    ):
        raise FieldsError(f"{shown(path)}: its colours are not what its configuration describes")
    field = build(config)
    checkpoint.fill(path, own, field)
    return field.eval()
