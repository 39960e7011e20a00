"""One training of `fields bench triplane`, of a reader on a fold by a seed, or what is done in its
place; and what is kept of it."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fields import device
from fields.readers import train
from fields.readers.catalogue import READERS, find
from fields.readers.inputs import Inputs
from fields.readers.part_baselines import commonest, nearest
from fields.readers.parts import Parts
from fields.readers.segmenting import RECIPE, iou_of, segment
from fields.readers.splitting import Fold
from fields.readers.training import Trained

MESH = "mesh"  # the kind of what reads no field
PARTS = {"parts": True, "parts-blind": False}  # by name: whether it is shown the planes
UNTRAINED = {"parts-commonest": commonest, "parts-nearest": nearest}
NEAR = 5  # neighbours that are kept


@dataclass(frozen=True)
class Unit:
    """A training: of a reader on a fold, by a seed. `kind` names the set, or is "mesh"."""

    kind: str
    reader: str
    fold: str
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.reader}, fold {self.fold}, seed {self.seed}"


@dataclass(eq=False)
class Kind:
    """The fields of one kind, and what readers need to know of them."""

    name: str
    inputs: Inputs
    again: Inputs | None
    folds: dict[str, Fold]
    parts: Parts | None = None


def done(kind: Kind, effort: float, unit: Unit) -> dict[str, Any]:
    """Train and test; what is kept of it."""
    with device.threads(1):
        if unit.reader in UNTRAINED:
            return _untrained(kind, unit)
        if unit.reader in PARTS:
            return _segmented(kind, effort, unit)
        fold, inputs = kind.folds[unit.fold], kind.inputs
        settings = settings_of(unit.reader, effort)
        asked = {} if "solved" in settings else settings
        trained = train(unit.reader, inputs, fold, seed=unit.seed, **asked)
        logits = trained.logits(inputs, fold.test).log_softmax(1)
        predicted = logits.argmax(1)
        wanted = inputs.labels[fold.test]
        paths = [inputs.found.index[row]["path"] for row in fold.test]
        result = {
            "settings": settings,
            "recipe": trained.settings,
            "score": round(float((predicted == wanted).float().mean()), 6),
            "validation": round(trained.accuracy, 6),
            "step": trained.step,
            "seconds": round(trained.seconds, 2),
            "parameters": trained.parameters,
            "paths": paths,
            "wanted": wanted.tolist(),
            "predicted": predicted.tolist(),
            "logits": [[round(value, 4) for value in row] for row in logits.tolist()],
        }
        if unit.kind != MESH:
            result["near"] = _near(trained, inputs, fold)
            if kind.again is not None:
                known = dict(zip(paths, predicted.tolist(), strict=True))
                result["same_again"] = _same(trained, kind.again, known)
        return result


def _same(trained: Trained, again: Inputs, known: dict[str, int]) -> float | None:
    """The share of shapes that are taken for the class that is `known` by path, fitted again."""
    index = again.found.index
    rows = [row for row, entry in enumerate(index) if entry["path"] in known]
    if not rows:
        return None
    first = torch.tensor([known[index[row]["path"]] for row in rows])
    return float((trained.predicted(again, rows) == first).float().mean())


def _near(trained: Trained, inputs: Inputs, fold: Fold) -> list[list[int]]:
    """For each test row the training rows, copies left out, whose features are nearest."""
    shapes = [row for row in fold.train if not inputs.found.index[row]["copy"]]
    there, here = trained.features(inputs, shapes), trained.features(inputs, fold.test)
    nearest: Tensor = (here @ there.T).topk(min(NEAR, len(shapes)), 1).indices
    return [[shapes[i] for i in some] for some in nearest.tolist()]


def _segmented(kind: Kind, effort: float, unit: Unit) -> dict[str, Any]:
    assert kind.parts is not None
    settings, fold = settings_of(unit.reader, effort), kind.folds[unit.fold]
    recipe = dataclasses.replace(RECIPE, **settings)
    trained = segment(kind.inputs, kind.parts, fold, seed=unit.seed, recipe=recipe,
                      reads=PARTS[unit.reader])  # fmt: skip
    found = iou_of(trained.reader, kind.inputs, kind.parts, fold.test)
    return {
        "settings": settings,
        "recipe": dataclasses.asdict(recipe),
        "validation": round(trained.iou, 6),
        "step": trained.step,
        "seconds": round(trained.seconds, 2),
        "parameters": sum(p.numel() for p in trained.reader.parameters()),
        **_of_parts(kind, found),
    }


def _untrained(kind: Kind, unit: Unit) -> dict[str, Any]:
    """What parts are without a reader."""
    assert kind.parts is not None
    begin = time.perf_counter()
    found = UNTRAINED[unit.reader](kind.inputs, kind.parts, kind.folds[unit.fold])
    return {
        "settings": {},
        "seconds": round(time.perf_counter() - begin, 2),
        "parameters": 0,
        **_of_parts(kind, found),
    }


def _of_parts(kind: Kind, found: dict[int, float]) -> dict[str, Any]:
    index = kind.inputs.found.index
    return {
        "score": round(sum(found.values()) / max(1, len(found)), 6),
        "iou": {index[row]["path"]: round(value, 6) for row, value in found.items()},
        "classes": {index[row]["path"]: index[row]["class"] for row in found},
    }


def takes(reader: str) -> str | None:
    if reader in UNTRAINED:
        return None
    return "planes" if reader in PARTS else find(reader).takes


def settings_of(reader: str, effort: float) -> dict[str, Any]:
    """What differs from the catalogue's recipe: the number of steps."""
    if reader in UNTRAINED:
        return {}
    if reader not in PARTS and READERS[reader].is_solved:
        return {"solved": True}
    recipe = RECIPE if reader in PARTS else READERS[reader].recipe
    return {"steps": max(20, round(effort * recipe.steps))}
