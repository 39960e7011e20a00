"""From what readers said of each test shape to figures: accuracy with an interval, and a paired
comparison with the nine numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fields.many.reading import FieldSet
from fields.readers.catalogue import BASELINE, READERS

# Readers whose answers are averaged, which costs no training.
TOGETHER = {
    "measures + energy": ("measures", "kernel-energy"),
    "measures + planes": ("measures", "kernel-planes"),
}
_DRAWS = 4000
FOLDS, SPLIT = "folds", "split"


def of_set(kind: str, found: FieldSet, copies: int) -> dict[str, Any]:
    """The row of a set: how well it was fitted, what it takes."""
    row: dict[str, Any] = {
        "work": f"fields, {kind}",
        "engine": "fields",
        "kind": kind,
        "fields": len(found),
        "failed": len(found.failures),
        "copies": copies,
        "steps": found.options.steps,
        "bytes_of_field": 4 * found.options.numbers,
        "seconds_of_field": found.mean("seconds"),
    }
    for name in ("iou", "f_score", "psnr"):
        if found.mean(name) is not None:
            row[name] = found.mean(name)
    return row


def of_readers(results: Mapping[Any, dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each reader of each kind, over folds and over the list's own split."""
    rows, results = [], {**results, **together(results)}
    for protocol in (FOLDS, SPLIT):
        chosen = {u: r for u, r in results.items() if (u.fold == SPLIT) == (protocol == SPLIT)}
        base = right({u: r for u, r in chosen.items() if u.reader == BASELINE})
        kinds = list(dict.fromkeys(u.kind for u in chosen))
        pairs = dict.fromkeys((u.kind, u.reader) for u in chosen)
        for kind, reader in sorted(pairs, key=lambda pair: kinds.index(pair[0])):
            mine = {u: r for u, r in chosen.items() if (u.kind, u.reader) == (kind, reader)}
            row = {
                "work": f"{kind}, {reader}, {protocol}",
                "engine": "fields",
                "kind": kind,
                "reader": reader,
                "protocol": protocol,
                "training_seconds": float(np.mean([r["seconds"] for r in mine.values()])),
                "parameters": next(iter(mine.values()))["parameters"],
                "trainings": len(mine),
            }
            seen = [r["validation"] for r in mine.values() if "validation" in r]
            if seen:
                row["validation"] = float(np.mean(seen))
            has_parts = "iou" in next(iter(mine.values()))
            rows.append(row | (_of_parts(mine) if has_parts else _of_classes(mine, base)))
    return rows


def together(results: Mapping[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """What readers say who are asked together: the class of the highest mean of their logarithms
    of probabilities, on each fold, by each seed."""
    found = {}
    for name, (first, *others) in TOGETHER.items():
        for unit, result in results.items():
            asked = [replace(unit, reader=other) for other in others]
            if unit.reader != first or not all(other in results for other in asked):
                continue
            all_of_them = [result, *(results[other] for other in asked)]
            logits = np.mean([r["logits"] for r in all_of_them], 0)
            predicted = logits.argmax(1)
            found[replace(unit, reader=name)] = {
                "paths": result["paths"],
                "wanted": result["wanted"],
                "predicted": predicted.tolist(),
                "score": float(np.mean(predicted == np.array(result["wanted"]))),
                "seconds": sum(r["seconds"] for r in all_of_them),
                "parameters": sum(r["parameters"] for r in all_of_them),
            }
    return found


def right(mine: Mapping[Any, dict[str, Any]]) -> dict[str, dict[int, float]]:
    """By path and seed, 1 where the class was found and 0 where it was not."""
    found: dict[str, dict[int, float]] = {}
    for unit, result in mine.items():
        said = zip(result["paths"], result["wanted"], result["predicted"], strict=True)
        for path, wanted, predicted in said:
            found.setdefault(path, {})[unit.seed] = float(wanted == predicted)
    return found


def _of_classes(
    mine: Mapping[Any, dict[str, Any]], base: dict[str, dict[int, float]]
) -> dict[str, Any]:
    found = right(mine)
    table = _table(found)
    of_folds = [np.mean([r["score"] for u, r in mine.items() if u.fold == fold])
                for fold in dict.fromkeys(u.fold for u in mine)]  # fmt: skip
    row: dict[str, Any] = {
        "shapes": len(found),
        "folds": len(of_folds),
        "seeds": table.shape[1],
        "accuracy": float(np.nanmean(table)),
        **_interval(table, "accuracy"),
        "spread_of_seeds": _spread(np.nanmean(table, 0)),
        "spread_of_folds": _spread(np.array(of_folds)),
    }
    again = [r["same_again"] for r in mine.values() if r.get("same_again") is not None]
    if again:
        row["same_again"] = float(np.mean(again))
    shared = [path for path in found if path in base]
    if shared and next(iter(mine)).reader != BASELINE:
        means = np.array([[np.mean(list(of[path].values())) for path in shared]
                          for of in (found, base)])  # fmt: skip
        row |= paired(means[0] - means[1])
    return row


def _of_parts(mine: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    of_shape: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for result in mine.values():
        kinds |= result["classes"]
        for path, value in result["iou"].items():
            of_shape.setdefault(path, []).append(value)
    means = {path: float(np.mean(values)) for path, values in of_shape.items()}
    of_class = [np.mean([v for path, v in means.items() if kinds[path] == kind])
                for kind in sorted(set(kinds.values()))]  # fmt: skip
    table = np.array(list(means.values()))[:, None]
    return {
        "shapes": len(means),
        "miou": float(np.mean(table)),
        **_interval(table, "miou"),
        "miou_of_classes": float(np.mean(of_class)),
    }


def _table(found: dict[str, dict[int, float]]) -> np.ndarray:
    """[shapes, seeds]."""
    seeds = sorted({seed for of_path in found.values() for seed in of_path})
    return np.array([[of.get(seed, np.nan) for seed in seeds] for of in found.values()])


def _interval(table: np.ndarray, name: str) -> dict[str, float]:
    """95 %, from draws with replacement of shapes, and of seeds. Each shape stands in one fold, so
    that folds are drawn with their shapes."""
    rng = np.random.default_rng(0)
    shapes, seeds = table.shape
    means = []
    for _ in range(_DRAWS):
        some = table[rng.integers(shapes, size=shapes)]
        means.append(np.nanmean(some[:, rng.integers(seeds, size=seeds)]))
    low, high = np.quantile(means, (0.025, 0.975))
    return {f"{name}_low": float(low), f"{name}_high": float(high)}


def paired(differences: np.ndarray) -> dict[str, float]:
    """Of the same shapes: by how much a reader is right more often than the nine numbers, 95 % of
    it, and how often signs by chance give as much (a test of random signs, two-sided)."""
    rng = np.random.default_rng(0)
    count, mean = len(differences), float(differences.mean())
    drawn = differences[rng.integers(count, size=(_DRAWS, count))].mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    signs = rng.choice((-1.0, 1.0), size=(_DRAWS, count))
    as_much = np.abs((signs * differences).mean(1)) >= abs(mean) - 1e-12
    return {
        "over_numbers": mean,
        "over_numbers_low": float(low),
        "over_numbers_high": float(high),
        "p": float((as_much.sum() + 1) / (_DRAWS + 1)),
    }


def _spread(values: np.ndarray) -> float:
    """Standard deviation of a sample; 0 of one value."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def best(results: Mapping[Any, dict[str, Any]], kind: str) -> str | None:
    """The reader of a kind's fields that validation likes most; None where there is none."""
    scores: dict[str, list[float]] = {}
    for unit, result in results.items():
        if unit.kind == kind and unit.reader in READERS:
            scores.setdefault(unit.reader, []).append(result["validation"])
    return max(scores, key=lambda name: float(np.mean(scores[name])), default=None)


def confusion(mine: Mapping[Any, dict[str, Any]], classes: int) -> np.ndarray:
    """[classes, classes]: shares of a class (row) that were taken for each."""
    counts = np.zeros((classes, classes))
    for result in mine.values():
        np.add.at(counts, (result["wanted"], result["predicted"]), 1)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)
