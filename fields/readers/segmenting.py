"""How parts are learnt and scored: the same promises as those of `training`."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fields.many.field import key_of
from fields.readers.inputs import Inputs
from fields.readers.parts import Parts
from fields.readers.recipe import Recipe
from fields.readers.segmenter import Segmenter
from fields.readers.splitting import Fold
from fields.readers.symmetries import symmetries
from fields.readers.training import shuffled

RECIPE = Recipe(steps=1500, batch=16, lr=2e-3, smoothing=0.0)
_POINTS = 256  # of a shape in a step
_AT_ONCE = 16  # shapes that are answered


@dataclass(frozen=True, eq=False)
class Segmented:
    """A trained reader of parts.

    Attributes:
        reader: with the weights that validation kept.
        iou: on the validation shapes, see `iou_of`.
        step: after which its weights were taken.
        seconds: of training.
    """

    reader: Segmenter
    iou: float
    step: int
    seconds: float


def segment(
    inputs: Inputs,
    parts: Parts,
    fold: Fold,
    *,
    seed: int = 0,
    recipe: Recipe = RECIPE,
    reads: bool = True,
) -> Segmented:
    """Train a reader of parts on the training rows of a fold.

    Args:
        inputs, parts: of the same set.
        fold: as that of `train`.
        seed: of weights, batches and points.
        recipe: of the training.
        reads: False for one that knows place and class alone, to compare with.
    """
    begin = time.perf_counter()
    known = set(parts.rows)
    rows, val = ([i for i in side if i in known] for side in (fold.train, fold.val))
    planes, points, labels = inputs["planes"], parts.points, parts.labels
    moves = symmetries(recipe.symmetries)
    generator = torch.Generator().manual_seed(key_of("points of parts", seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_of("parts", seed, reads))
        shape = (planes.shape[-1], len(inputs.classes), len(parts.names))
        reader = Segmenter(*shape, reads=reads)
        adam = torch.optim.AdamW(reader.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
        rates = torch.optim.lr_scheduler.OneCycleLR(adam, recipe.lr, total_steps=recipe.steps + 1)
        best, taken, kept = -1.0, 0, {}
        batches = shuffled(rows, recipe.batch, generator)
        for step in range(1, recipe.steps + 1):
            some = next(batches)
            reader.train()
            chosen = torch.randint(points.shape[1], (_POINTS,), generator=generator)
            move = moves[int(torch.randint(len(moves), (), generator=generator))]
            asked = move.points(points[some][:, chosen])
            wanted, kinds = labels[some][:, chosen], inputs.labels[some]
            logits = reader(move.planes(planes[some]), asked, kinds)
            logits = _of_class(logits, kinds, parts)
            loss = nn.functional.cross_entropy(
                logits.flatten(0, 1), wanted.flatten(), ignore_index=-1
            )
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            adam.step()
            rates.step()
            if step % max(1, recipe.steps // recipe.looks) == 0 or step == recipe.steps:
                score = mean_iou(iou_of(reader, inputs, parts, val))
                if score > best:
                    best, taken = score, step
                    kept = copy.deepcopy(reader.state_dict())
    reader.load_state_dict(kept)
    return Segmented(reader.eval(), best, taken, time.perf_counter() - begin)


def iou_of(reader: Segmenter, inputs: Inputs, parts: Parts, rows: list[int]) -> dict[int, float]:
    """By row with known parts: the mean over the parts of its class of intersection over union, in
    points; a part that is neither there nor answered counts as 1, as is usual."""
    found = {}
    known = set(parts.rows)
    rows = [i for i in rows if i in known]
    reader.eval()
    with torch.inference_mode():
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            kinds = inputs.labels[some]
            logits = reader(inputs["planes"][some], parts.points[some], kinds)
            answers = _of_class(logits, kinds, parts).argmax(2)
            for row, answer, kind in zip(some, answers, kinds, strict=True):
                found[row] = iou_of_answer(answer, parts.labels[row], parts.of_class[kind])
    return found


def mean_iou(found: dict[int, float]) -> float:
    """Over shapes."""
    return sum(found.values()) / max(1, len(found))


def iou_of_answer(answer: Tensor, wanted: Tensor, of_class: Tensor) -> float:
    """Of points [N] with parts `answer` and `wanted`, -1 where nothing is known, over the parts
    `of_class` [parts] of the class."""
    counted = wanted >= 0
    scores = []
    for part in of_class.nonzero()[:, 0].tolist():
        a, b = (answer == part) & counted, wanted == part
        union = int((a | b).sum())
        scores.append(int((a & b).sum()) / union if union else 1.0)
    return sum(scores) / len(scores)


def _of_class(logits: Tensor, kinds: Tensor, parts: Parts) -> Tensor:
    """Parts that a class has not are no answer: the class is given."""
    return logits.masked_fill(~parts.of_class[kinds][:, None], -1e9)
