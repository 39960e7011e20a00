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

from fields import checkpoint
from fields.bench import triplane_scores
from fields.bench.triplane_units import MESH, PARTS, UNTRAINED, Kind, Unit, done, settings_of, takes
from fields.errors import FieldsError
from fields.many.listing import Listing
from fields.many.making import carry_out
from fields.many.options import ManyOptions
from fields.many.reading import FieldSet, load_many
from fields.many.workers import in_processes
from fields.pictures.naming import shown
from fields.pictures.replacing import replacing
from fields.progress import Lines
from fields.readers import folds, split
from fields.readers.catalogue import USUAL, find
from fields.readers.explicit import Explicit, explicit_of
from fields.readers.inputs import Inputs
from fields.readers.parts import parts_of
from fields.readers.splitting import Fold

ABOUT = "bench.json"
AGAIN = 1_000_003  # added to the seed of fields that are fitted once more
_ASKED = ("copies", "steps", "folds", "effort", "quick")  # what all results hang on


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
                    self._train(kind, list(PARTS), kind.name, of_parts=True)
                    if len(self.kinds) == 1:
                        self._train(kind, list(UNTRAINED), MESH, of_parts=True)
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
        again = None
        # A start that all share is another one for all by another seed.
        if init == "individual" and not options.no_again:
            other = dataclasses.replace(wanted, copies=1, seed=AGAIN)
            again = Inputs(self._fitted(f"{name}-again", self._tested(listing), other))
        readers = options.readers or USUAL
        asks_meshes = not self.kinds and any(find(reader).is_explicit for reader in readers)
        inputs = Inputs(found, self._explicit(found) if asks_meshes else None)
        parts = None
        if not options.no_parts:
            parts = parts_of(listing.folder, found.index, inputs.classes)
        return Kind(name, inputs, again, self._folds(found), parts)

    def _tested(self, listing: Listing) -> Listing:
        """Those that are tested somewhere."""
        if self.options.folds is not None:
            return listing
        tested = Listing(listing.folder, tuple(i for i in listing.items if i.split == "test"))
        return tested if len(tested.classes) > 1 else listing

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

    def _train(self, kind: Kind, readers: list[str], home: str, of_parts: bool = False) -> None:
        """All units of some readers that are not done; each is kept as it ends. Parts are learnt
        once, on the list's own split where it has one."""
        split = triplane_scores.SPLIT
        units = [
            Unit(home, reader, fold, seed)
            for reader in readers
            for fold in ([split] if of_parts and split in kind.folds else kind.folds)
            for seed in range(1 if of_parts or find(reader).is_solved else self.options.seeds)
        ]
        left = []
        for unit in units:
            known = _known(self._path(unit), settings_of(unit.reader, self.options.effort))
            if known is None:
                left.append(unit)
            else:
                self.results[unit] = known
        for taken in dict.fromkeys(takes(unit.reader) for unit in left):
            if taken is None:
                continue
            kind.inputs[taken]  # computed here, so that all processes have it
            if home != MESH and kind.again is not None:
                kind.again[taken]
        work = functools.partial(done, kind, self.options.effort)
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
