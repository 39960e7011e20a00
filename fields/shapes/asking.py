"""Asks a field for values and slopes, in chunks, with a look at what comes back."""

from collections.abc import Callable

import torch
from torch import Tensor

from fields.errors import Cancelled, FieldsError

CHUNK = 1 << 18  # points: their coordinates and values stay in the L2 and L3 caches
_STEP = 1e-3  # of central differences, in unit-cube lengths


class Asking:
    """A field less its level.

    Attributes:
        chunk: how many points to ask for at once.
        seen: (lowest, highest) of the field's values so far.
    """

    chunk = CHUNK

    def __init__(
        self, values: Callable[[Tensor], Tensor], level: float = 0.0, cancel: Tensor | None = None
    ):
        self._values = values
        self._level = level
        self._cancel = cancel
        self._differentiable: bool | None = None
        self.seen = (float("inf"), float("-inf"))

    def __call__(self, coords: Tensor) -> Tensor:
        """Coords [N, 3] float32 -> values less the level [N] float32, on the CPU.

        Raises Cancelled if that is asked, FieldsError for values that are NaN or infinite.
        """
        with torch.no_grad():
            return torch.cat([self._checked(self._values(c)) for c in coords.split(self.chunk)])

    def with_slope(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Values less the level [N] and their slopes [N, 3], by autograd where it can."""
        if len(coords) > self.chunk:
            parts = [self.with_slope(c) for c in coords.split(self.chunk)]
            return torch.cat([v for v, _ in parts]), torch.cat([s for _, s in parts])
        if self._differentiable is not False:
            with torch.enable_grad():
                leaf = coords.detach().requires_grad_()
                try:
                    values = self._values(leaf)
                    self._differentiable = values.requires_grad
                    if self._differentiable:
                        (slope,) = torch.autograd.grad(values.sum(), leaf)
                        return self._checked(values.detach()), slope.float().cpu()
                except RuntimeError:  # an op without a derivative
                    self._differentiable = False
        steps = _STEP * torch.eye(3)
        slope = torch.stack([self(coords + s) - self(coords - s) for s in steps], dim=1)
        return self(coords), slope / (2 * _STEP)

    def _checked(self, values: Tensor) -> Tensor:
        if self._cancel is not None and self._cancel.item():
            raise Cancelled("cancelled")
        values = values.reshape(-1).float().cpu()
        if len(values):
            low, high = map(float, torch.aminmax(values))
            if not (abs(low) < float("inf") and abs(high) < float("inf")):  # NaN as well
                raise FieldsError("the field is NaN or infinite somewhere; it has no surface")
            self.seen = (min(low, self.seen[0]), max(high, self.seen[1]))
        return values - self._level
