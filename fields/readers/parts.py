"""Parts of shapes: labels of faces that lie beside meshes, and points of the surface that know
theirs.

`NAME_labels.txt` beside `NAME.off` holds two lines for each piece, the name of a part and the
numbers of its faces from 1 on, as the labels that come with the benchmark of Chen et al. 2009 do.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields.many.field import key_of
from fields.readers.explicit import on_surface
from fields.shapes import ShapeSpace
from fields.shapes.off import read_plain_off

POINTS = 2048  # of a shape


@dataclass(frozen=True, eq=False)
class Parts:
    """Points of N fields with their parts, in the order of a set; -1 where nothing is known.

    Attributes:
        names: of all parts, "CLASS/PART".
        points: [N, 2048, 3] on the surface, in the unit cube.
        labels: [N, 2048] int64, places in `names`, or -1.
        of_class: [classes, parts] bool: the parts that a class has.
    """

    names: list[str]
    points: Tensor
    labels: Tensor
    of_class: Tensor

    @property
    def rows(self) -> list[int]:
        """Those whose parts are known."""
        return [i for i, labels in enumerate(self.labels) if (labels >= 0).any()]


def parts_of(folder: Path, entries: Sequence[dict[str, Any]], classes: list[str]) -> Parts | None:
    """Of the shapes of an index, whose paths begin at `folder`; None where no mesh has labels."""
    found = [_of_shape(folder, entry) for entry in entries]
    names = sorted({name for one in found if one for name in one[1]})
    if not names:
        return None
    points = torch.zeros(len(entries), POINTS, 3)
    labels = torch.full((len(entries), POINTS), -1)
    of_class = torch.zeros(len(classes), len(names), dtype=torch.bool)
    for row, one in enumerate(found):
        if one is None:
            continue
        places, parts, known = one
        order = torch.tensor([names.index(part) for part in parts])
        points[row] = torch.from_numpy(places).float()
        labels[row] = torch.where(known >= 0, order[known.clamp_min(0)], -1)
        of_class[classes.index(entries[row]["class"]), order] = True
    return Parts(names, points, labels, of_class)


def _of_shape(folder: Path, entry: dict[str, Any]) -> tuple[np.ndarray, list[str], Tensor] | None:
    """Points [P, 3], names of parts, and the place of each point's in them; None without labels."""
    path = folder / entry["path"]
    beside = path.with_name(f"{path.stem}_labels.txt")
    if not beside.is_file() or entry["label"] is None:
        return None
    labelled = _read(path, beside)
    if labelled is None:
        return None
    vertices, faces, parts, of_face = labelled
    rng = np.random.default_rng(key_of("parts", entry["path"], entry["copy"]))
    scaled = vertices * np.asarray(entry["scale"])
    points, on = on_surface(scaled, faces, POINTS, rng)
    space = ShapeSpace.from_dict(entry["space"])
    names = [f"{entry['class']}/{part}" for part in parts]
    return space.to_unit(points), names, torch.from_numpy(of_face[on])


@functools.lru_cache(maxsize=1)  # the copies of a shape follow one another
def _read(path: Path, beside: Path) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray] | None:
    """Vertices, faces, names of parts and the part of each face; None where faces might not be
    numbered as the labels have them."""
    mesh = read_plain_off(path.read_bytes())
    return None if mesh is None else (*mesh, *read_labels(beside, len(mesh[1])))


def read_labels(path: Path, num_faces: int) -> tuple[list[str], np.ndarray]:
    """Names of parts in their order, and the place of each face's [F] in them, -1 where the file
    names none; faces that a mesh has not are passed over."""
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    names = sorted(set(lines[::2]))
    of_face = np.full(num_faces, -1)
    for name, numbers in zip(lines[::2], lines[1::2], strict=False):
        chosen = np.array(numbers.split(), np.int64) - 1
        of_face[chosen[(chosen >= 0) & (chosen < num_faces)]] = names.index(name)
    return names, of_face
