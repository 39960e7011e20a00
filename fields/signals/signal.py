"""What a fit needs of its target, whatever kind of thing that is."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from fields.signals.colours import ColourSignal


class Signal(Protocol):
    """A target: it draws batches, names its loss, scores a field, and describes itself.

    Attributes:
        kind: picture or shape.
        name: of the source, for the reader.
        dim, channels: numbers of a coordinate and of a value.
        shape: samples along x, y, ..., by which models choose their sizes.
        loss: the name of the standard one.
        metric, unit: of the score: psnr in " dB", iou in "".
        sampled: samples of `sampled_score`.
        decided: settings of the model that follow from the signal, whatever the model's flags.
        samples_for_fresh: [..., C] on an even grid, whose spectrum FreSh compares.
        notes: lines for the user, on what was mended.
    """

    kind: str
    loss: str
    metric: str
    unit: str
    dim: int
    decided: Mapping[str, Any]

    @property
    def name(self) -> str: ...

    @property
    def channels(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def sampled(self) -> int: ...

    @property
    def samples_for_fresh(self) -> Tensor: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates [count, D] in [0, 1] and values [count, C]; a pure function."""
        ...

    def estimate(self, loss: float, name: str) -> float | None:
        """The score that the mean of a loss of that name lets one expect, where it says."""
        ...

    def sampled_score(self, field: nn.Module) -> float:
        """The score on a part of the signal, rather too low than too high."""
        ...

    def score(self, field: nn.Module) -> float:
        """The score on the whole signal."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a checkpoint says of the signal: no clock, no path."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it beside weights, under names that begin with `signal.`."""
        ...

    def colours(self) -> ColourSignal | None:
        """Those of a surface that has some, to be learned beside its distances."""
        ...

    def world_to_unit(self) -> list[list[float]]:
        """Coordinates of the source, and a 1, to the unit cube."""
        ...

    def fingerprint(self) -> str:
        """A hash of the source: a fit goes on only with the same."""
        ...
