"""The shapes of a set: those of a CSV, or of a folder with a subfolder for each class; free of
torch."""

import csv
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fields.errors import FieldsError
from fields.pictures.naming import shown

SUFFIXES = (".off", ".obj", ".ply", ".stl", ".glb", ".gltf")
SPLITS = ("train", "val", "test")
Find = Callable[[Path], Iterable[Path]]
_FORM = "a header with path, class or label, and split"


@dataclass(frozen=True)
class Item:
    """A shape to be fitted, or a copy of it.

    Args:
        path: below the folder of the set, with slashes.
        kind: the name of its class; None where nothing says.
        label: the number of its class; None with `kind`.
        split: train, val, test, or whatever the list says; None where nothing does.
        copy: 0 for the shape as it is, otherwise one with axes scaled at random.
    """

    path: str
    kind: str | None = None
    label: int | None = None
    split: str | None = None
    copy: int = 0


@dataclass(frozen=True)
class Listing:
    """All shapes of a set, in their order, and the folder that their paths begin at."""

    folder: Path
    items: tuple[Item, ...]

    @property
    def classes(self) -> list[str]:
        return sorted({item.kind for item in self.items if item.kind is not None})

    def with_copies(self, copies: int) -> "Listing":
        """`copies` of each shape in all. Where the list knows splits, those of training alone: a
        copy of a test shape would be of no use."""
        has_splits = any(item.split is not None for item in self.items)

        def copied(item: Item) -> Iterator[Item]:
            of_item = copies if not has_splits or item.split == "train" else 1
            for copy in range(of_item):
                yield Item(item.path, item.kind, item.label, item.split, copy)

        return Listing(self.folder, tuple(c for item in self.items for c in copied(item)))

    def digest(self) -> str:
        """A hash of all that is listed."""
        return hashlib.sha256(repr(self.items).encode()).hexdigest()


def list_scenes(source: str | os.PathLike) -> Listing:
    """As `list_shapes`, of scenes: folders that hold transforms.json or transforms_train.json."""
    return _listed(
        source,
        lambda folder: {p.parent for p in folder.rglob("transforms*.json")},
        "scenes (folders with transforms.json, or transforms_train.json)",
    )


def list_shapes(source: str | os.PathLike) -> Listing:
    """The shapes of a CSV, of a folder with one CSV that lists them, or of a folder of meshes.

    A CSV has a header with `path`, and `class`, `label` and `split` as far as they are known; paths
    begin at its folder. Otherwise classes are subfolders, and folders named train, val or test in
    them are splits. Labels that nothing says are the places of the classes in their order.

    Raises FieldsError for what is missing, empty or of another form.
    """
    return _listed(source, _meshes, f"meshes ({', '.join(SUFFIXES)})")


def _meshes(folder: Path) -> Iterable[Path]:
    return (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _listed(source: str | os.PathLike, found: Find, what: str) -> Listing:
    source = Path(source)
    if source.is_file():
        return _of_csv(source)
    if not source.is_dir():
        raise FieldsError(f"{shown(source)} does not exist; name a folder of meshes, or a CSV")
    lists = [path for path in sorted(source.glob("*.csv")) if "path" in _header(path)]
    if len(lists) > 1:
        names = " and ".join(shown(path.name) for path in lists)
        raise FieldsError(f"{shown(source)} has several lists, {names}; name one of them")
    return _of_csv(lists[0]) if lists else _of_folder(source, found, what)


def _of_folder(folder: Path, find: Find, what: str) -> Listing:
    found = sorted(path.relative_to(folder) for path in find(folder) if path != folder)
    if not found:
        raise FieldsError(f"{shown(folder)} holds no {what}")
    kinds = sorted({path.parts[0] for path in found if len(path.parts) > 1})
    items = []
    for path in found:
        kind = path.parts[0] if len(path.parts) > 1 else None
        split = next((part for part in path.parts[1:-1] if part in SPLITS), None)
        label = None if kind is None else kinds.index(kind)
        items.append(Item(path.as_posix(), kind, label, split))
    return Listing(folder, tuple(items))


def _header(path: Path) -> list[str]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return [name.strip() for name in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _of_csv(path: Path) -> Listing:
    if "path" not in _header(path):
        raise FieldsError(f"{shown(path)} is no list of shapes: it needs {_FORM}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [
                {(name or "").strip(): (value or "").strip() for name, value in row.items()
                 if isinstance(value, str) or value is None}
                for row in csv.DictReader(file)
            ]  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FieldsError(f"{shown(path)} cannot be read: {error}") from None
    if not rows:
        raise FieldsError(f"{shown(path)} lists no shapes")
    kinds = sorted({row["class"] for row in rows if row.get("class")})
    items, seen = [], set()
    for number, row in enumerate(rows, 2):
        where = f"{shown(path)}, line {number}"
        if not row["path"]:
            raise FieldsError(f"{where} names no path")
        if row["path"] in seen:
            raise FieldsError(f"{where} names {row['path']!r} again")
        seen.add(row["path"])
        kind, label = row.get("class") or None, row.get("label") or None
        if label is not None and not label.isdecimal():
            raise FieldsError(f"{where}: label must be a whole number, got {label!r}")
        number_of_class = kinds.index(kind) if kind is not None else None
        items.append(
            Item(
                row["path"],
                kind if kind is not None else label,
                int(label) if label is not None else number_of_class,
                row.get("split") or None,
            )
        )
    return Listing(path.parent, tuple(items))
