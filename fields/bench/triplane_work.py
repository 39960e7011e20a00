"""The work of `fields bench triplane`: sets of fields, trained readers, and what is kept of them.

In the folder lie `sets/KIND` (as `fields fit-many` makes them), `sets/KIND-again` (every shape once
more, with another seed), `explicit.safetensors`, and `results/KIND/READER-FOLD-SEED.json`, written
as each training ends.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fields import checkpoint, device
from fields.bench import triplane_scores
from fields.errors import FieldsError
from fields.many.listing import Listing
from fields.many.making import carry_out
from fields.many.options import ManyOptions
from fields.many.reading import FieldSet, load_many
from fields.many.workers import in_processes
from fields.pictures.naming import shown
from fields.pictures.replacing import replacing
from fields.progress import Lines
from fields.readers import folds, split, train
from fields.readers.catalogue import READERS, USUAL, find
from fields.readers.explicit import Explicit, explicit_of
from fields.readers.inputs import Inputs
from fields.readers.parts import Parts, parts_of
from fields.readers.segmenting import RECIPE, iou_of, segment
from fields.readers.splitting import Fold
from fields.readers.training import Trained

ABOUT, MESH = "bench.json", "mesh"
PARTS = {"parts": True, "parts-blind": False}  # by name: whether it is shown the planes
AGAIN = 1_000_003  # added to the seed of fields that are fitted once more
NEAR = 5  # neighbours that are kept
_ASKED = ("copies", "steps", "folds", "effort", "quick")  # what all results hang on


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
    again: Inputs
    folds: dict[str, Fold]
    parts: Parts | None = None
    place: dict[str, int] = field(default_factory=dict)  # by path, the row of a shape fitted again


@dataclass(eq=False)
class Work:
    """All of it.

    Attributes:
        options: of the command.
        listing: the shapes.
        results: what is known of each unit that is done.
        kinds: by name, those that were fitted.
    """

    options: argparse.Namespace
    listing: Listing
    progress: Any
    results: dict[Unit, dict[str, Any]] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)

    @classmethod
    def begin(cls, listing: Listing, options: argparse.Namespace) -> Work:
        """Of a new folder, or of one that is gone on with; FieldsError where that cannot be."""
        for name in options.readers or ():
            find(name)
        out = options.out
        about = {
            "format_version": 1,
            "list": listing.digest(),
            **{name: getattr(options, name) for name in _ASKED},
        }
        try:
            known = json.loads((out / ABOUT).read_text())
        except FileNotFoundError:
            known = None
        except (OSError, ValueError):
            raise FieldsError(f"{shown(out / ABOUT)} is damaged; name another --out") from None
        if options.resume:
            if known is None:
                raise FieldsError(f"{shown(out)} holds nothing to go on with; leave out --resume")
            for name, value in about.items():
                if known.get(name) != value:
                    what = "another list of shapes" if name == "list" else f"{name} {known[name]}"
                    raise FieldsError(
                        f"{shown(out)} was begun with {what}; name another --out, or ask as before"
                    )
        elif known is not None:
            raise FieldsError(
                f"{shown(out)} holds a benchmark; --resume goes on with it, or name another --out"
            )
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FieldsError(f"{shown(out)} cannot be made: {error.strerror}") from None
        _write(out / ABOUT, about)
        return cls(options, listing, Lines())

    def do(self) -> None:
        """What is not done yet."""
        options = self.options
        names = list(options.readers or USUAL)
        for stores in options.stores:
            for init in options.init:
                kind = self._kind(stores, init)
                self.kinds[kind.name] = kind
                mine = [n for n in names if not find(n).is_explicit]
                self._train(kind, mine, kind.name)
                if kind.parts is not None:
                    self._train(kind, list(PARTS), kind.name, seeds=1)
                if len(self.kinds) == 1:
                    self._train(kind, [n for n in names if find(n).is_explicit], MESH)

    def rows(self) -> list[dict[str, Any]]:
        """Figures, ready for JSON."""
        rows = []
        for kind in self.kinds.values():
            rows.append(triplane_scores.of_set(kind.name, kind.inputs.found, self.options.copies))
        return rows + triplane_scores.of_readers(self.results)

    # ---- sets

    def _kind(self, stores: str, init: str) -> Kind:
        options, name = self.options, f"{stores}-{init}"
        wanted = ManyOptions(stores=stores, init=init, copies=options.copies, steps=options.steps)
        if options.quick:
            wanted = dataclasses.replace(wanted, pool=20_000, batch=512)
        listing = self.listing
        if options.folds is not None:  # each shape is trained on somewhere
            items = tuple(dataclasses.replace(item, split=None) for item in listing.items)
            listing = Listing(listing.folder, items)
        found = self._fitted(name, listing, wanted)
        again = dataclasses.replace(wanted, copies=1, seed=AGAIN)
        again_found = self._fitted(f"{name}-again", listing, again)
        readers = options.readers or USUAL
        asks_meshes = not self.kinds and any(find(reader).is_explicit for reader in readers)
        inputs = Inputs(found, self._explicit(found) if asks_meshes else None)
        parts = None
        if not options.no_parts:
            parts = parts_of(listing.folder, found.index, inputs.classes)
        place = {entry["path"]: row for row, entry in enumerate(again_found.index)}
        return Kind(name, inputs, Inputs(again_found), self._folds(found), parts, place)

    def _fitted(self, name: str, listing: Listing, wanted: ManyOptions) -> FieldSet:
        place = self.options.out / "sets" / name
        place.parent.mkdir(exist_ok=True)
        begun = (place / "fields.json").exists()
        if begun and load_many(place).is_finished:
            return load_many(place)
        self.progress.say(f"fitting {name}")
        return carry_out(
            listing, wanted, place, threads=self.options.threads, resume=begun, overwrite=False,
            progress=Lines(),
        )  # fmt: skip

    def _folds(self, found: FieldSet) -> dict[str, Fold]:
        """By name; where folds are asked for and the list knows a split as well, both."""
        known = {item.path: item.split for item in self.listing.items}
        entries = [{**e, "split": known[e["path"]]} for e in found.index]
        made: dict[str, Fold] = {}
        if self.options.folds is not None:
            made = {str(i): f for i, f in enumerate(folds(entries, self.options.folds))}
        if {"train", "test"} <= set(known.values()):
            made[triplane_scores.SPLIT] = fold = split(entries)
            used = {entries[row]["path"] for row in fold.train + fold.val}
            lost = [e["path"] for e in entries if e["split"] == "train" and e["path"] not in used]
            for path in dict.fromkeys(lost):
                self.progress.say(f"{path} is the same file as a test shape: not trained on")
        return made

    def _explicit(self, found: FieldSet) -> Explicit:
        """What the meshes say, measured once."""
        path = self.options.out / "explicit.safetensors"
        keys = [[e["source_sha256"], e["copy"]] for e in found.index]
        if path.exists():
            tensors, content = checkpoint.read(path)
            if content.get("rows") == keys:
                return Explicit(tensors["numbers"], tensors["points"])
        self.progress.say("measuring meshes")
        made = explicit_of(self.listing.folder, found.index, self.options.threads)
        tensors = {"numbers": made.numbers, "points": made.points}
        checkpoint.write(path, tensors, {"kind": "explicit", "rows": keys})
        return made

    # ---- trainings

    def _train(self, kind: Kind, readers: list[str], home: str, seeds: int | None = None) -> None:
        """All units of some readers that are not done; each is kept as it ends."""
        units = [
            Unit(home, reader, fold, seed)
            for reader in readers
            for fold in kind.folds
            for seed in range(seeds or self.options.seeds)
        ]
        left = []
        for unit in units:
            known = _known(self._path(unit), _settings(unit.reader, self.options.effort))
            if known is None:
                left.append(unit)
            else:
                self.results[unit] = known
        for taken in dict.fromkeys(_takes(unit.reader) for unit in left):
            kind.inputs[taken]  # computed here, so that all processes have it
            if home != MESH:
                kind.again[taken]
        work = functools.partial(_done, kind, self.options.effort)
        begun = len(units) - len(left)
        found = in_processes(self.options.threads, work, left, stopped=lambda: False, called=str)
        for number, (unit, result) in enumerate(found, begun + 1):
            self._path(unit).parent.mkdir(parents=True, exist_ok=True)
            _write(self._path(unit), result)
            self.results[unit] = result
            said = f"{100 * result['score']:.1f} %, {result['seconds']:.0f} s"
            self.progress.say(f"{number:,} of {len(units):,}  {unit}: {said}")
        for unit in units:  # in their order, whichever of them ended first
            self.results[unit] = self.results.pop(unit)

    def _path(self, unit: Unit) -> Path:
        name = f"{unit.reader}-{unit.fold}-{unit.seed}.json"
        return self.options.out / "results" / unit.kind / name


def _done(kind: Kind, effort: float, unit: Unit) -> dict[str, Any]:
    """Train and test; what is kept of it."""
    with device.threads(1):
        if unit.reader in PARTS:
            return _segmented(kind, effort, unit)
        fold, inputs = kind.folds[unit.fold], kind.inputs
        settings = _settings(unit.reader, effort)
        trained = train(unit.reader, inputs, fold, seed=unit.seed, **settings)
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
        if unit.kind == MESH:
            return result
        rows = [kind.place[path] for path in paths if path in kind.place]
        again = trained.predicted(kind.again, rows)
        known = dict(zip(paths, predicted.tolist(), strict=True))
        first = [known[path] for path in paths if path in kind.place]
        same = float((again == torch.tensor(first)).float().mean()) if rows else None
        return {**result, "same_again": same, "near": _near(trained, inputs, fold)}


def _near(trained: Trained, inputs: Inputs, fold: Fold) -> list[list[int]]:
    """For each test row the training rows, copies left out, whose features are nearest."""
    shapes = [row for row in fold.train if not inputs.found.index[row]["copy"]]
    there, here = trained.features(inputs, shapes), trained.features(inputs, fold.test)
    nearest: Tensor = (here @ there.T).topk(min(NEAR, len(shapes)), 1).indices
    return [[shapes[i] for i in some] for some in nearest.tolist()]


def _segmented(kind: Kind, effort: float, unit: Unit) -> dict[str, Any]:
    assert kind.parts is not None
    settings, fold = _settings(unit.reader, effort), kind.folds[unit.fold]
    recipe = dataclasses.replace(RECIPE, **settings)
    trained = segment(kind.inputs, kind.parts, fold, seed=unit.seed, recipe=recipe,
                      reads=PARTS[unit.reader])  # fmt: skip
    found = iou_of(trained.reader, kind.inputs, kind.parts, fold.test)
    index = kind.inputs.found.index
    return {
        "settings": settings,
        "recipe": dataclasses.asdict(recipe),
        "score": round(sum(found.values()) / max(1, len(found)), 6),
        "validation": round(trained.iou, 6),
        "step": trained.step,
        "seconds": round(trained.seconds, 2),
        "parameters": sum(p.numel() for p in trained.reader.parameters()),
        "iou": {index[row]["path"]: round(value, 6) for row, value in found.items()},
        "classes": {index[row]["path"]: index[row]["class"] for row in found},
    }


def _takes(reader: str) -> str:
    return "planes" if reader in PARTS else find(reader).takes


def _settings(reader: str, effort: float) -> dict[str, Any]:
    """What differs from the catalogue's recipe: the number of steps."""
    recipe = RECIPE if reader in PARTS else READERS[reader].recipe
    return {"steps": max(20, round(effort * recipe.steps))}


def _known(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """A result that was kept; None where there is none, or it was trained in another way."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise FieldsError(f"{shown(path)} is damaged; delete it") from None
    return found if found.get("settings") == settings else None


def _write(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as file:
        file.write(json.dumps(content).encode() + b"\n")
