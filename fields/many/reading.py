"""`fields.load_many`: a set of fields, as readers want it."""

from __future__ import annotations

import functools
import os
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fields import checkpoint, in_source
from fields.errors import FieldsError
from fields.many.field import PlaneField
from fields.many.options import ManyOptions
from fields.many.shards import ABOUT, FAILED, INDEX, read_about, read_lines
from fields.pictures.naming import shown
from fields.shapes import ShapeSpace

_SHARDS_KEPT = 4  # of those read last


class FieldSet:
    """A data set of fields; field i is that of line i of the index.

    Attributes:
        path: the folder.
        about: what was asked, as fields.json has it.
        options: the same, as `ManyOptions`.
        index: an entry for each field: path, class, label, split, copy, scale, source_sha256,
            shard, row, bytes, seconds, iou and f_score or psnr, and where it lies in the unit cube.
        failures: an entry for each shape that could not be fitted: path and error.
        clocks: seconds and wall_seconds of the fit that made it; empty for one that was loaded.
    """

    def __init__(self, path: Path):
        self.path = path
        self.about = read_about(path)
        try:
            self.options = ManyOptions(**self.about["options"])
        except (TypeError, KeyError):
            raise FieldsError(f"{shown(path / ABOUT)} is damaged") from None
        self.index = read_lines(path / INDEX)
        self.failures = read_lines(path / FAILED)
        self.clocks: dict[str, float] = {}
        self._shard = functools.lru_cache(maxsize=_SHARDS_KEPT)(self._read_shard)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def is_finished(self) -> bool:
        """Every shape was fitted, or could not be."""
        return len(self.index) + len(self.failures) == self.about["shapes"]

    @property
    def classes(self) -> list[str]:
        """Their names, in order."""
        return sorted({e["class"] for e in self.index if e["class"] is not None})

    @property
    def splits(self) -> Counter[str]:
        """How many fields each has."""
        return Counter(e["split"] for e in self.index if e["split"] is not None)

    def rows(self, split: str | None = None) -> list[int]:
        """The fields of a split; all without one."""
        return [i for i, e in enumerate(self.index) if split is None or e["split"] == split]

    @property
    def labels(self) -> Tensor:
        """[N] int64, -1 where a shape has none."""
        return torch.tensor([-1 if e["label"] is None else e["label"] for e in self.index])

    @functools.cached_property
    def planes(self) -> Tensor:
        """[N, 3, C, R, R] float32, channels before rows, as convolutions take them; all of them in
        memory."""
        return self._all("planes").permute(0, 1, 4, 2, 3)

    @functools.cached_property
    def params(self) -> Tensor:
        """[N, P], the flat parameters of the MLPs."""
        return self._all("params")

    def _all(self, name: str) -> Tensor:
        rows: dict[str, list[int]] = {}  # of each shard, in the order of the index
        for entry in self.index:
            rows.setdefault(entry["shard"], []).append(entry["row"])
        if not rows:
            raise FieldsError(f"{shown(self.path)} holds no fields yet")
        return torch.cat([self._read_shard(shard)[name][own] for shard, own in rows.items()])

    def field(self, number: int) -> PlaneField:
        """Field `number` as a module: coords [..., 3] in the unit cube to values [..., 1], of a
        radiance field [..., 4].

        Its `sdf` takes points in units of the source and answers in them, as ShapeRun.sdf; of a
        copy they are those of the scaled shape.
        """
        entry = self.entry(number)
        tensors = self._shard(entry["shard"])
        planes, params = (tensors[name][entry["row"]].clone() for name in ("planes", "params"))
        field = PlaneField(self.options, planes, params).eval()
        if self.options.is_radiance:
            return field
        space = ShapeSpace.from_dict(entry["space"])
        ask = functools.partial(in_source.distance, field, space, self.options.stores)
        object.__setattr__(field, "sdf", ask)
        return field

    def entry(self, number: int) -> dict[str, Any]:
        """What the index says of a field; FieldsError if there is none of that number."""
        if not -len(self) <= number < len(self):
            raise FieldsError(
                f"{shown(self.path)} holds {len(self):,} fields, from 0 on; there is no {number}"
            )
        return self.index[number]

    def configuration(self, number: int) -> dict[str, Any]:
        """What the file of a run would say of this field."""
        entry = self.entry(number)
        if self.options.is_radiance:
            raise FieldsError(
                f"{shown(self.path)}#{number} is a radiance field of a set, which no command draws;"
                f" fields.load_many(...).field({number}) gives its density and colours"
            )
        return {
            "kind": "field",
            "model": "plane-field",
            "config": self.about["options"],
            "steps": self.options.steps,
            "seed": self.options.seed,
            "version": self.about["version"],
            "signal": {
                "kind": "shape",
                "name": entry["name"],
                "stores": self.options.stores,
                "up": entry["up"],
                "space": entry["space"],
                "box": entry["box"],
            },
        }

    def metrics_of(self, number: int) -> dict[str, Any]:
        """What the metrics of a run would say of this field."""
        entry = self.entry(number)
        names = ("seconds", "iou", "f_score", "bytes")
        known = {name: entry[name] for name in names if name in entry}
        known |= {"steps": self.options.steps, "device": "cpu"}
        if not entry["copy"]:  # a copy's source is nowhere as it was
            known["source"] = str(Path(self.about["source"]) / entry["path"])
        return known

    @property
    def metrics(self) -> dict[str, Any]:
        """The whole in numbers, keyed as those of a run: means over all fields."""
        return {
            "fields": len(self),
            "failed": len(self.failures),
            "shapes": self.about["shapes"],
            "stores": self.options.stores,
            "steps": self.options.steps,
            "parameters": self.options.numbers,
            "bytes": sum(e["bytes"] for e in self.index),
            "iou": self.mean("iou"),
            "f_score": self.mean("f_score"),
            "psnr": self.mean("psnr"),
            "seed": self.options.seed,
            "version": self.about["version"],
            **self.clocks,
        }

    def mean(self, name: str) -> float | None:
        """Of what the index says of each field; None where it says nothing."""
        values = [e[name] for e in self.index if e.get(name) is not None]
        return round(sum(values) / len(values), 6) if values else None

    def _read_shard(self, name: str) -> dict[str, Tensor]:
        return checkpoint.read(self.path / name)[0]

    def __repr__(self) -> str:
        iou, psnr = self.mean("iou"), self.mean("psnr")
        score = f", mean IoU {iou:.4f}" if iou is not None else ""
        score += f", mean PSNR {psnr:.2f} dB" if psnr is not None else ""
        return f"FieldSet({shown(self.path)!r}: {len(self):,} fields{score})"


def load_many(path: str | os.PathLike) -> FieldSet:
    """Open a set of fields that `fit_many` has made, or is making: weights are read when they are
    asked for.

    Raises FieldsError, in one line, for what is missing, damaged or of a newer format.
    """
    path = Path(path)
    if not path.exists():
        raise FieldsError(f"{shown(path)} does not exist; name the folder of a set of fields")
    return FieldSet(path)


def is_set(path: Path) -> bool:
    """The folder is that of a set."""
    return (path / ABOUT).is_file()
