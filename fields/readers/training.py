"""One loop that trains any reader, and what comes of it.

Nothing of a test shape is looked at: rows of `fold.train` make the steps, rows of `fold.val` say
when to stop and which weights to keep.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fields.errors import FieldsError
from fields.many.field import key_of
from fields.readers.catalogue import build, find
from fields.readers.inputs import Inputs
from fields.readers.kernel import KernelReader
from fields.readers.reader import Reader
from fields.readers.recipe import Recipe
from fields.readers.splitting import Fold
from fields.readers.symmetries import Symmetry, symmetries

_AT_ONCE = 64  # rows that are answered


@dataclass(frozen=True, eq=False)
class Trained:
    """A reader with the weights that validation kept.

    Attributes:
        name: of the catalogue.
        reader: in evaluation.
        recipe: by which it was trained.
        accuracy: on the validation shapes.
        step: after which its weights were taken; 0 of one that is solved.
        seconds: of training.
    """

    name: str
    reader: Reader
    recipe: Recipe
    accuracy: float
    step: int
    seconds: float

    def logits(self, inputs: Inputs, rows: list[int]) -> Tensor:
        """[n, classes]: means over the recipe's views of each field."""
        return answered(self.reader, inputs[self.reader.takes], rows, self.recipe)

    def predicted(self, inputs: Inputs, rows: list[int]) -> Tensor:
        """Numbers of classes [n]."""
        return self.logits(inputs, rows).argmax(1)

    def features(self, inputs: Inputs, rows: list[int]) -> Tensor:
        """[n, F] of length 1: shapes with a large product are near one another."""
        taken = inputs[self.reader.takes]
        with torch.inference_mode():
            found = [self.reader.features(taken[part]) for part in _parts(rows)]
        return nn.functional.normalize(torch.cat(found), dim=1)

    @property
    def parameters(self) -> int:
        return self.reader.num_weights

    @property
    def settings(self) -> dict[str, Any]:
        return asdict(self.recipe)


def train(
    name: str,
    inputs: Inputs,
    fold: Fold,
    *,
    seed: int = 0,
    **settings: Any,
) -> Trained:
    """Train a reader of the catalogue on the training rows of a fold.

    Args:
        name: of the reader.
        inputs: of a set of fields.
        fold: what is trained on, and what is stopped by; its test rows are not used.
        seed: of weights, batches and augmentation; the same one gives the same bits for the same
            number of threads.
        settings: of the Recipe, where they are to differ from the catalogue's.

    Raises FieldsError for a name or a setting of no use.
    """
    entry = find(name)
    recipe = replace(entry.recipe, **settings)
    taken, classes = inputs[entry.takes], len(inputs.classes)
    if entry.leaves_copies:
        index = inputs.found.index
        fold = replace(fold, train=[row for row in fold.train if not index[row]["copy"]])
    begin = time.perf_counter()
    with torch.random.fork_rng(devices=[]):  # weights and dropout draw from the global generator
        torch.manual_seed(key_of(name, seed))
        reader = build(name, taken[fold.train[:1]], classes)
        reader.begin(taken[fold.train])
        if isinstance(reader, KernelReader):
            if recipe.symmetries != "none":
                raise FieldsError(f"{name} is solved for fields as they lie; leave out symmetries")
            rows = fold.train + fold.val
            accuracy = reader.learn(taken[rows], inputs.labels[rows], len(fold.train))
            seconds = time.perf_counter() - begin
            return Trained(name, reader.eval(), recipe, accuracy, 0, seconds)
        loop = _Loop(reader, taken, inputs.labels, fold, recipe)
        loop.run(torch.Generator().manual_seed(key_of("batches", name, seed)))
    reader.load_state_dict(loop.best)
    seconds = time.perf_counter() - begin
    return Trained(name, reader.eval(), recipe, loop.accuracy, loop.step, seconds)


class _Loop:
    """Steps and looks; keeps the weights of the best look."""

    def __init__(self, reader: Reader, taken: Tensor, labels: Tensor, fold: Fold, recipe: Recipe):
        self.reader, self.taken, self.labels = reader, taken, labels
        self.fold, self.recipe = fold, recipe
        self.best: dict[str, Tensor] = {}
        self.accuracy, self.step, self._rank = 0.0, 0, (-1.0, 0.0)

    def run(self, generator: torch.Generator) -> None:
        recipe, reader = self.recipe, self.reader
        adam = torch.optim.AdamW(
            reader.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        rates = torch.optim.lr_scheduler.OneCycleLR(adam, recipe.lr, total_steps=recipe.steps + 1)
        moves = symmetries(recipe.symmetries)
        every, since = max(1, recipe.steps // recipe.looks), 0
        batches = shuffled(self.fold.train, recipe.batch, generator)
        for step in range(1, recipe.steps + 1):
            rows = next(batches)
            reader.train()
            shown = _moved(self.taken[rows], reader.takes, moves, generator)
            logits = reader(reader.augmented(shown, generator))
            loss = nn.functional.cross_entropy(
                logits, self.labels[rows], label_smoothing=recipe.smoothing
            )
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            adam.step()
            rates.step()
            if step % every == 0 or step == recipe.steps:
                since = 0 if self._look(step) else since + 1
                if since >= recipe.patience:
                    return

    def _look(self, step: int) -> bool:
        """Whether the validation shapes are answered better than before."""
        rows = self.fold.val
        logits = answered(self.reader, self.taken, rows, self.recipe)
        labels = self.labels[rows]
        accuracy = float((logits.argmax(1) == labels).float().mean())
        rank = (accuracy, -float(nn.functional.cross_entropy(logits, labels)))
        if rank <= self._rank:
            return False
        self._rank, self.accuracy, self.step = rank, accuracy, step
        self.best = copy.deepcopy(self.reader.state_dict())
        return True


def _moved(shown: Tensor, kind: str, moves: list[Symmetry], generator: torch.Generator) -> Tensor:
    """A batch with each of its fields moved by a symmetry of its own."""
    if len(moves) == 1:
        return shown
    drawn = torch.randint(len(moves), (len(shown),), generator=generator).tolist()
    each = zip(drawn, shown.split(1), strict=True)
    return torch.cat([moves[number].moved(kind, one) for number, one in each])


def answered(reader: Reader, taken: Tensor, rows: list[int], recipe: Recipe) -> Tensor:
    """Logits [n, classes] of rows, the mean over the recipe's views."""
    moves = symmetries(recipe.symmetries)
    chosen = moves[:: max(1, len(moves) // recipe.views)][: recipe.views]
    reader.eval()
    found = []
    with torch.inference_mode():
        for part in _parts(rows):
            shown = taken[part]
            of_views = [reader(move.moved(reader.takes, shown)) if len(chosen) > 1
                        else reader(shown) for move in chosen]  # fmt: skip
            found.append(torch.stack(of_views).mean(0))
    return torch.cat(found)


def _parts(rows: list[int]) -> list[list[int]]:
    return [rows[i : i + _AT_ONCE] for i in range(0, len(rows), _AT_ONCE)]


def shuffled(rows: list[int], size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Rows in ever new orders; what is left of an order is left out, where it filled a batch."""
    size = min(size, len(rows))
    while True:
        order = torch.randperm(len(rows), generator=generator).tolist()
        for start in range(0, len(rows) - size + 1, size):
            yield [rows[i] for i in order[start : start + size]]
