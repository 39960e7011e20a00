"""A set of fields on the disk: shards of weights, an index, and parts of what is not yet whole.

    fields.json              what was asked, how many shapes there are
    index.jsonl              a line for each field: source, class, split, shard and row, scores
    failed.jsonl             a line for each shape that could not be fitted
    shard-00000.safetensors  planes [n, 3, R, R, C] and params [n, P] of up to 64 shapes
    parts/                   a file for each group of shapes, until their shard is whole

Every file is written beside its place and renamed. A shard holds the shapes of a fixed range of the
list, so what is on the disk in the end does not depend on how often the work was stopped. The
order is: shard, failures, index, then the parts go; each step can be done again.

A shape that failed may be tried again, once its shard is whole: a field that comes of it goes
behind the others of the shard, whose rows stay as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from fields import checkpoint, folder_lock
from fields.errors import FieldsError
from fields.many.group import Group
from fields.pictures.naming import shown
from fields.pictures.replacing import replacing

SHARD = 64  # shapes of a shard
GROUP = 4  # of a part: so many are lost by a kill, and so seldom the disk is waited for
ABOUT, INDEX, FAILED, PARTS = "fields.json", "index.jsonl", "failed.jsonl", "parts"
AGAIN = "again-"  # before the names of parts of shapes that had failed
FORMAT_VERSION = 1


class SetFolder:
    """A set that this process alone writes to."""

    def __init__(self, path: Path, about: dict[str, Any], items: int, lock: int):
        self.path, self.about, self.items, self._lock = path, about, items, lock

    @classmethod
    def create(cls, path: Path, about: dict[str, Any], items: int, *, overwrite: bool) -> SetFolder:
        """A new set; FieldsError where something stands in its place, but for a set that is to be
        replaced."""
        if path.exists() and not path.is_dir():
            raise FieldsError(f"{shown(path)} is a file; name a folder with --out")
        held = _opened(path)
        try:
            if any(path.iterdir()):
                if not (path / ABOUT).is_file():
                    raise FieldsError(
                        f"{shown(path)} is not empty, and no set of fields; name another --out"
                    )
                if not overwrite:
                    raise FieldsError(
                        f"{shown(path)} holds a set; --resume goes on with it, --overwrite replaces"
                        " it"
                    )
                _clear(path)
            _write_text(path / ABOUT, json.dumps(about, indent=1) + "\n")
        except BaseException:
            os.close(held)
            raise
        return cls(path, about, items, held)

    @classmethod
    def resume(cls, path: Path, about: dict[str, Any], items: int) -> SetFolder:
        """A set that was begun with the same settings and list; FieldsError if it was not."""
        found = read_about(path)
        for name, value in about["options"].items():
            before = found.get("options", {}).get(name)
            if before != value:
                raise FieldsError(
                    f"{shown(path)} was begun with {name} {before}, not {value}; --overwrite begins"
                    " anew"
                )
        if found.get("list") != about["list"]:
            raise FieldsError(
                f"{shown(path)} was begun with another list of shapes; --overwrite begins anew"
            )
        folder = cls(path, found, items, _opened(path))
        for left in path.rglob(".fields-*.tmp"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)
        folder.collect()
        return folder

    def close(self) -> None:
        os.close(self._lock)

    def part(self, first: int, *, again: bool = False) -> Path:
        """Where the group that begins with an item is kept until its shard is whole; `again`: its
        shapes had failed."""
        return self.path / PARTS / f"{AGAIN if again else ''}{first:07d}.safetensors"

    def done(self) -> set[int]:
        """Items that are behind: fitted, or failed."""
        found = {entry["item"] for entry in self._lines(INDEX) + self._lines(FAILED)}
        for path in self._parts("") + self._parts(AGAIN):
            found |= set(checkpoint.read(path)[1]["items"])
        return found

    def failed(self) -> list[int]:
        """Items that could not be fitted, and were not tried again since."""
        found = {line["item"] for line in self._lines(FAILED)}
        for path in self._parts(""):
            found |= {item for item, *_ in checkpoint.read(path)[1]["failures"]}
        for path in self._parts(AGAIN):
            found -= set(checkpoint.read(path)[1]["items"])
        return sorted(found)

    def fitted(self) -> dict[int, dict[str, Any]]:
        """What is known of each field, by the number of its item."""
        found = {entry["item"]: entry for entry in self._lines(INDEX)}
        for path in self._parts("") + self._parts(AGAIN):
            found |= {entry["item"]: entry for entry in checkpoint.read(path)[1]["entries"]}
        return found

    def collect(self) -> None:
        """Make shards of the parts, of all ranges that are whole, and take them into the index."""
        by_shard: dict[int, list[Path]] = {}
        for path in self._parts(""):
            by_shard.setdefault(int(path.stem) // SHARD, []).append(path)
        for number, paths in list(by_shard.items()):
            if len(paths) < len(range(number * SHARD, self._end_of(number), GROUP)):
                continue
            self._write_shard(number, [checkpoint.read(path) for path in paths])
            for path in by_shard.pop(number):
                path.unlink()
        for path in self._parts(AGAIN):
            number = int(path.stem.removeprefix(AGAIN)) // SHARD
            if number not in by_shard:
                self._extend_shard(number, *checkpoint.read(path))
                path.unlink()

    def finish(self) -> None:
        """Once nobody writes any more: the folder of parts goes, where none is left."""
        with contextlib.suppress(OSError):
            (self.path / PARTS).rmdir()

    def remove(self) -> None:
        """Take it away, where nothing came of it."""
        _clear(self.path)
        with contextlib.suppress(OSError):  # others may have put something there
            self.path.rmdir()

    def _end_of(self, shard: int) -> int:
        return min((shard + 1) * SHARD, self.items)

    def _write_shard(self, number: int, read: list[tuple[dict, dict]]) -> None:
        entries = [entry for _, content in read for entry in content["entries"]]
        seconds = [value for _, content in read for value in content["seconds"]]
        failures = [failure for _, content in read for failure in content["failures"]]
        if entries:
            tensors = {k: torch.cat([of[k] for of, _ in read]) for k in ("planes", "params")}
            self._write_weights(number, tensors, entries)
        self._write_lines(FAILED, _failed_lines(failures))
        self._write_lines(INDEX, _index_lines(number, entries, seconds, range(len(entries))))

    def _extend_shard(self, number: int, tensors: dict, content: dict) -> None:
        """Put the fields of shapes that had failed behind the others."""
        entries, seconds = content["entries"], content["seconds"]
        path, known = self.path / _shard(number), []
        if path.exists():
            before, about = checkpoint.read(path)
            known = about["entries"]
        rows = {entry["item"]: row for row, entry in enumerate(known)}
        new = [i for i, entry in enumerate(entries) if entry["item"] not in rows]
        if new:
            tensors = {k: tensors[k][new] for k in ("planes", "params")}
            if known:
                tensors = {k: torch.cat([before[k], tensors[k]]) for k in tensors}
            rows |= {entries[i]["item"]: len(known) + row for row, i in enumerate(new)}
            self._write_weights(number, tensors, known + [entries[i] for i in new])
        fitted = [entry["item"] for entry in entries]
        lines = _index_lines(number, entries, seconds, [rows[item] for item in fitted])
        self._write_lines(INDEX, lines)
        self._write_lines(FAILED, _failed_lines(content["failures"]), without=fitted)

    def _write_weights(self, number: int, tensors: dict, entries: list[dict]) -> None:
        content = {"kind": "shard", "options": self.about["options"], "entries": entries}
        checkpoint.write(self.path / _shard(number), tensors, content)

    def _parts(self, kind: str) -> list[Path]:
        """Those whose names begin so, in order."""
        digits = "[0-9]" * 7
        return sorted((self.path / PARTS).glob(f"{kind}{digits}.safetensors"))

    def _lines(self, name: str) -> list[dict[str, Any]]:
        return read_lines(self.path / name)

    def _write_lines(
        self, name: str, lines: Iterable[dict[str, Any]], *, without: Sequence[int] = ()
    ) -> None:
        """Into a file of lines in the order of items; what stands there of the same ones goes, and
        of those of `without`."""
        by_item = {line["item"]: line for line in self._lines(name)}
        by_item |= {line["item"]: line for line in lines}
        left = sorted(by_item.keys() - set(without))
        if left:
            _write_text(self.path / name, "".join(json.dumps(by_item[i]) + "\n" for i in left))
        elif by_item:
            (self.path / name).unlink()


def _shard(number: int) -> str:
    return f"shard-{number:05d}.safetensors"


def _index_lines(
    number: int, entries: list[dict], seconds: list[float], rows: Iterable[int]
) -> list[dict[str, Any]]:
    return [
        {**entry, "shard": _shard(number), "row": row, "seconds": round(spent, 4)}
        for entry, spent, row in zip(entries, seconds, rows, strict=True)
    ]


def _failed_lines(failures: Iterable[tuple[int, str, str]]) -> list[dict[str, Any]]:
    return [{"item": item, "path": path, "error": why} for item, path, why in failures]


def write_part(path: Path, group: Group, items: list[int]) -> None:
    """Keep what came of a group, in one step."""
    path.parent.mkdir(exist_ok=True)
    content = {
        "kind": "part",
        "items": items,
        "entries": group.entries,
        "seconds": group.seconds,
        "failures": group.failures,
    }
    checkpoint.write(path, {"planes": group.planes, "params": group.params}, content)


def read_about(path: Path) -> dict[str, Any]:
    """What a set says of itself; FieldsError where there is none."""
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
        if about["kind"] == "set" and about["format_version"] <= FORMAT_VERSION:
            return about
    except FileNotFoundError:
        raise FieldsError(f"{shown(path)} is no set of fields: it holds no {ABOUT}") from None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise FieldsError(f"{shown(path / ABOUT)} is damaged, or of a newer version of fields")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; none if it is not there."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        raise FieldsError(f"{shown(path)} is damaged; take another copy of the set") from None


def _opened(path: Path) -> int:
    try:
        path.mkdir(parents=True, exist_ok=True)
        return folder_lock.lock(path, path)
    except OSError as error:
        raise FieldsError(
            f"{shown(path)} cannot be written: {error.strerror}; name another --out"
        ) from None


def _clear(path: Path) -> None:
    """Take away a set, and nothing else; what says that it is one goes last."""
    shutil.rmtree(path / PARTS, ignore_errors=True)
    for pattern in ("shard-*.safetensors", ".fields-*.tmp", INDEX, FAILED, ABOUT):
        for file in path.glob(pattern):
            file.unlink()


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())
