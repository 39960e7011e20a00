"""What a reader is trained on, by what it is chosen, and what it is tested on.

All three are made of whole shapes, told apart by the hash of their files: a copy of a shape, and a
file that stands there under two names, are on one side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fields.errors import FieldsError

Entries = Sequence[dict[str, Any]]  # of the index of a set
VALIDATION = 1 / 7  # of the training shapes of a class: 2 of 14


@dataclass(frozen=True)
class Fold:
    """Rows of a set. Copies stand in `train` alone.

    Attributes:
        train: that weights are trained on.
        val: of the training shapes, those by which training is stopped.
        test: that nothing is chosen by.
    """

    train: list[int]
    val: list[int]
    test: list[int]


def least_shapes(folds: int) -> int:
    """Of a class, so that each fold has one to test, one to stop by, and one to train on."""
    return max(folds, 4 if folds == 2 else 3)


def folds(entries: Entries, count: int, seed: int = 0) -> list[Fold]:
    """`count` folds, in which each shape is tested once; the classes are spread evenly.

    Raises FieldsError for less than two folds, and where a class has too few shapes.
    """
    if count < 2:
        raise FieldsError(f"folds must be at least 2, got {count}")
    by_class = _shapes_of_classes(entries, "folds")
    dealt: list[list[str]] = [[] for _ in range(count)]
    rng = np.random.default_rng(seed)
    next_fold = 0
    for label, shapes in sorted(by_class.items()):
        if len(shapes) < least_shapes(count):
            raise FieldsError(
                f"{count} folds need {least_shapes(count)} shapes of each class;"
                f" {_name(entries, label)} has {len(shapes)}"
            )
        for place in rng.permutation(len(shapes)):
            dealt[next_fold].append(shapes[place])
            next_fold = (next_fold + 1) % count
    return [_fold(entries, set(test), by_class, rng) for test in dealt]


def split(entries: Entries, seed: int = 0) -> Fold:
    """The one fold that a list says: its test shapes, its training shapes, and for validation those
    it names `val`, or a part of the training shapes. Training and validation shapes that are the
    same file as a test shape are left out.

    Raises FieldsError where a split has no shapes.
    """
    test = [i for i, e in enumerate(entries) if e["split"] == "test"]
    tested = {entries[i]["source_sha256"] for i in test}
    train, val = (
        [i for i, e in enumerate(entries)
         if e["split"] == name and e["source_sha256"] not in tested]
        for name in ("train", "val")
    )  # fmt: skip
    for name, rows in (("train", train), ("test", test)):
        if not rows:
            raise FieldsError(f"no shape of the set has the split {name!r}, and is in no other")
    if val:
        stopping = {entries[i]["source_sha256"] for i in val}
    else:
        by_class = _shapes_of_classes([entries[i] for i in train], "a split")
        stopping = _validation(by_class, set(), np.random.default_rng(seed))
        val = [i for i in train if entries[i]["source_sha256"] in stopping]
    train = [i for i in train if entries[i]["source_sha256"] not in stopping]
    fold = Fold(train, _originals(entries, val), _originals(entries, test))
    require_apart(entries, fold)
    return fold


def require_apart(entries: Entries, fold: Fold) -> None:
    """FieldsError where a file, by its hash, is on more than one side of a fold."""
    seen: dict[str, tuple[str, str]] = {}
    for side in ("train", "val", "test"):
        for row in getattr(fold, side):
            digest, path = entries[row]["source_sha256"], entries[row]["path"]
            other, known = seen.setdefault(digest, (side, path))
            if other != side:
                raise FieldsError(f"{path} of {side} is the same file as {known} of {other}")


def _fold(
    entries: Entries, test: set[str], by_class: dict[int, list[str]], rng: np.random.Generator
) -> Fold:
    val = _validation(by_class, test, rng)
    rows: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for i, entry in enumerate(entries):
        if entry["label"] is not None:
            digest = entry["source_sha256"]
            side = "test" if digest in test else "val" if digest in val else "train"
            rows[side].append(i)
    fold = Fold(rows["train"], _originals(entries, rows["val"]), _originals(entries, rows["test"]))
    require_apart(entries, fold)
    return fold


def _validation(
    by_class: dict[int, list[str]], test: set[str], rng: np.random.Generator
) -> set[str]:
    """Some training shapes of each class, at least one where it has two."""
    chosen: set[str] = set()
    for _, shapes in sorted(by_class.items()):
        left = [shape for shape in shapes if shape not in test]
        amount = min(max(1, round(VALIDATION * len(left))), len(left) - 1)
        chosen |= {left[i] for i in rng.permutation(len(left))[:amount]} if amount > 0 else set()
    if not chosen:
        raise FieldsError("no class has two training shapes, one of them to stop training by")
    return chosen


def _originals(entries: Entries, rows: Iterable[int]) -> list[int]:
    return [i for i in rows if not entries[i]["copy"]]


def _shapes_of_classes(entries: Entries, what: str) -> dict[int, list[str]]:
    """Hashes of shapes by label, in the order of the list; unlabelled shapes are left out."""
    found: dict[int, dict[str, None]] = defaultdict(dict)
    for entry in entries:
        if entry["label"] is not None:
            found[entry["label"]][entry["source_sha256"]] = None
    if len(found) < 2:
        raise FieldsError(f"{what} for readers need shapes of at least two classes")
    by_hash: dict[str, int] = {}
    for label, shapes in found.items():
        for shape in shapes:
            if by_hash.setdefault(shape, label) != label:
                path = next(e["path"] for e in entries if e["source_sha256"] == shape)
                raise FieldsError(f"{path} stands in two classes, under another name")
    return {label: list(shapes) for label, shapes in found.items()}


def _name(entries: Entries, label: int) -> str:
    kind = next(e["class"] for e in entries if e["label"] == label)
    return f"class {kind}"
