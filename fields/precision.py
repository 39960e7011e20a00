"""The arithmetic of a field's MLPs, where that is a choice."""

import dataclasses

from torch import nn

from fields.models.hashgrid import HashGrid
from fields.models.network import Network
from fields.models.radiance import RadianceField

# The attribute that says it, for each class that has the choice.
_SAID_BY: dict[type[nn.Module], str] = {HashGrid: "mlp", Network: "mlp", RadianceField: "spec"}


def precision_of(field: nn.Module) -> str:
    """float32, bf16 or fp16; float32 of a field that has no choice."""
    return next((getattr(field, name).precision for name in _names(field)), "float32")


def ask_in_float32(field: nn.Module) -> None:
    """From now on; the weights are in float32 whatever the arithmetic is."""
    for name in _names(field):
        setattr(field, name, dataclasses.replace(getattr(field, name), precision="float32"))


def _names(field: nn.Module) -> list[str]:
    return [name for kind, name in _SAID_BY.items() if isinstance(field, kind)]
