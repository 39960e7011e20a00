"""Readers that are solved and not trained by steps: a kernel over what they are shown, and ridge
regression to the classes (Saunders et al. 1998). On some hundred shapes they are hard to beat."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from fields.readers.reader import Reader, Scaling

_CONSTANT = 1e-4  # spread of what does not differ
_LEAST = 1e-6  # of sizes
_SHARP = 10.0  # logits are so many times the answers, which are trained to be 0 and 1


class KernelReader(Reader):
    """exp(-width |a - b|^2) over rows that were shifted and scaled to a mean square of 1.

    Args:
        numbers: of what it is shown, [B, ...] flattened.
        classes: logits.
        takes: what it is shown.
        in_logarithms: whether it is shown sizes, of which ratios matter.
    """

    WIDTHS: ClassVar[tuple[float, ...]] = (0.1, 0.3, 1.0, 3.0)
    RIDGES: ClassVar[tuple[float, ...]] = (0.003, 0.01, 0.03, 0.1, 0.3)

    def __init__(self, numbers: int, classes: int, takes: str, in_logarithms: bool = False):
        super().__init__(1, classes)
        self.takes = takes  # type: ignore[misc]
        self.classes, self.in_logarithms = classes, in_logarithms
        self.head = nn.Identity()
        self.scaling = Scaling(numbers, least=_CONSTANT)
        self.support: Tensor
        self.answers: Tensor
        self.width: Tensor
        self.register_buffer("support", torch.zeros(0, numbers))
        self.register_buffer("answers", torch.zeros(0, classes))
        self.register_buffer("width", torch.ones(()))

    def begin(self, inputs: Tensor) -> None:
        self.scaling.begin(self._row(inputs))

    def features(self, inputs: Tensor) -> Tensor:
        scaled = self.scaling(self._row(inputs))
        return scaled / scaled.shape[1] ** 0.5

    @property
    def num_weights(self) -> int:
        return self.answers.numel()

    def _row(self, inputs: Tensor) -> Tensor:
        row = inputs.flatten(1)
        return row.clamp_min(_LEAST).log() if self.in_logarithms else row

    def forward(self, inputs: Tensor) -> Tensor:
        if not len(self.support):
            return inputs.new_zeros(len(inputs), self.classes)
        away = torch.cdist(self.features(inputs), self.support).square()
        return _SHARP * torch.exp(-self.width * away) @ self.answers

    def solve(self, inputs: Tensor, labels: Tensor, width: float, ridge: float) -> None:
        """Take answers from fields [N, ...] with labels [N]."""
        self.support, self.width = self.features(inputs), torch.tensor(width)
        near = torch.exp(-width * torch.cdist(self.support, self.support).square())
        wanted = nn.functional.one_hot(labels, self.classes).to(near)
        self.answers = torch.linalg.solve(near + ridge * torch.eye(len(near)), wanted)

    def choose(
        self, shown: Tensor, labels: Tensor, val: Tensor, val_labels: Tensor
    ) -> tuple[float, float, float]:
        """The width and the ridge by which validation fields are answered best, and how many of
        them are: of equals those that err least."""
        here, there = self.features(shown), self.features(val)
        near, away = torch.cdist(here, here).square(), torch.cdist(there, here).square()
        wanted = nn.functional.one_hot(labels, self.classes).to(here)
        hoped = nn.functional.one_hot(val_labels, self.classes).to(here)
        best = (-1.0, 0.0, 0.0, 0.0)
        for width in self.WIDTHS:
            kernel, asked = torch.exp(-width * near), torch.exp(-width * away)
            for ridge in self.RIDGES:
                said = asked @ torch.linalg.solve(kernel + ridge * torch.eye(len(kernel)), wanted)
                right = float((said.argmax(1) == val_labels).float().mean())
                best = max(best, (right, -float((said - hoped).square().mean()), width, ridge))
        return best[2], best[3], best[0]
