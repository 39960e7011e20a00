"""What parts are without a reader, to compare with: the commonest part of a class, and the parts of
the training shape that is most alike."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fields.readers.inputs import Inputs
from fields.readers.parts import Parts
from fields.readers.segmenting import iou_of_answer
from fields.readers.splitting import Fold

_LOOKED = 512  # points by which shapes are told to be alike

Answer = Callable[[int], Tensor]


def commonest(inputs: Inputs, parts: Parts, fold: Fold) -> dict[int, float]:
    """IoU by test row, where each point is given the part that most training points of the class
    have."""
    counts = torch.zeros(len(inputs.classes), len(parts.names))
    for row in _known(parts, fold.train):
        labels = parts.labels[row]
        counts[inputs.labels[row]] += torch.bincount(
            labels[labels >= 0], minlength=len(parts.names)
        )
    most = counts.argmax(1)
    return _scored(
        inputs, parts, fold, lambda row: most[inputs.labels[row]].expand_as(parts.labels[row])
    )


def nearest(inputs: Inputs, parts: Parts, fold: Fold) -> dict[int, float]:
    """IoU by test row, where each point is given the part of the nearest point of one training
    shape of the class: of that whose points are nearest in the mean (chamfer distance)."""
    known = _known(parts, fold.train)
    by_class = {
        kind: [row for row in known if int(inputs.labels[row]) == kind]
        for kind in range(len(inputs.classes))
    }

    def answer(row: int) -> Tensor:
        own = parts.points[row]
        others = by_class[int(inputs.labels[row])]
        if not others:
            return torch.full_like(parts.labels[row], -1)
        away = torch.cdist(
            own[:_LOOKED].expand(len(others), -1, -1), parts.points[others][:, :_LOOKED]
        )
        chamfer = away.amin(1).mean(1) + away.amin(2).mean(1)
        other = others[int(chamfer.argmin())]
        labelled = parts.labels[other] >= 0
        there = torch.cdist(own, parts.points[other][labelled]).argmin(1)
        return parts.labels[other][labelled][there]

    return _scored(inputs, parts, fold, answer)


def _known(parts: Parts, rows: list[int]) -> list[int]:
    known = set(parts.rows)
    return [row for row in rows if row in known]


def _scored(inputs: Inputs, parts: Parts, fold: Fold, answer: Answer) -> dict[int, float]:
    return {
        row: iou_of_answer(answer(row), parts.labels[row], parts.of_class[inputs.labels[row]])
        for row in _known(parts, fold.test)
    }
