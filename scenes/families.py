"""A small data set of closed shapes, made by recipe: ten families with parts, and nuisance.

Shapes of a family differ in their proportions; all are leant, stretched along each axis to a box
whose sides are drawn alike for all families, roughened and scaled. What volume, area and extents
say of the family is taken away as far as that goes: of several shapes that a recipe gives, that one
is kept whose volume and area are nearest to what was drawn, for all families alike.
"""

import csv
import hashlib
import io
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from manifold3d import Manifold

from fields.errors import FieldsError
from fields_scenes.blocks import joined
from fields_scenes.patterns import noise
from fields_scenes.recipes import RECIPES, Draw, Parts
from fields_scenes.writing import new_folder

FAMILIES = tuple(RECIPES)
LIST = "split.csv"

TRAINING = 0.7  # of the shapes of a family
_TRIES = 6  # shapes that a recipe gives, of which one is kept
_SIDES = (0.62, 1.0)  # of the box
_FILL = (0.14, 0.26)  # of the box's volume
_AREA = (0.58, 0.82)  # of the box's
_LEAN, _TURN = 6.0, 12.0  # degrees: the spread of leaning over, and around the upright axis
_EDGE = 0.09  # the longest, in units of the box's longest side
_ROUGH = (0.002, 0.007)  # as far as places are moved
_WAVES = 12.0  # the finest frequency of that, radians a unit; moved by less than a turn on itself
_SIZES = (0.5, 2.0)  # of the longest side, in units of the file


@dataclass(frozen=True, eq=False)
class Shape:
    """A closed mesh with parts.

    Args:
        vertices: [V, 3] float32.
        faces: [F, 3] int64, seen from outside against the clock.
        part: [F] int64, which of `parts` a face is of.
        parts: their names.
    """

    vertices: np.ndarray
    faces: np.ndarray
    part: np.ndarray
    parts: tuple[str, ...]


def make(family: str, number: int, seed: int = 0) -> Shape:
    """Shape `number` of a family; it hangs on the three arguments and on nothing else.

    Raises FieldsError for a family that there is not.
    """
    if family not in RECIPES:
        raise FieldsError(f"there is no family {family!r}; there are {', '.join(FAMILIES)}")
    generator = np.random.default_rng(key_of(family, number, seed))
    draw = Draw(generator)
    sides = np.array([_evenly(draw, *_SIDES) for _ in range(3)])
    sides /= sides.max()
    lean = generator.normal(0, (_LEAN, _LEAN, _TURN))
    fill, area = _evenly(draw, *_FILL), _evenly(draw, *_AREA)
    made = [_placed(RECIPES[family](draw), lean, sides) for _ in range(_TRIES)]
    solid, names = min(made, key=lambda one: _distance(one[0], sides, fill, area))
    rough, size = draw(*_ROUGH), draw(*_SIZES)
    seeds = generator.integers(0, 2**31, 3)

    def roughen(places: np.ndarray) -> np.ndarray:
        moved = [noise(places, int(of_axis), _WAVES) for of_axis in seeds]
        return size * (places + rough * np.stack(moved, axis=1))

    mesh = solid.refine_to_length(_EDGE).warp_batch(roughen).to_mesh()
    part = np.empty(len(mesh.tri_verts), np.int64)
    numbers = {of: i for i, of in enumerate(names.values())}
    runs = mesh.run_index
    for of, start, end in zip(mesh.run_original_id, runs[:-1], runs[1:], strict=True):
        part[start // 3 : end // 3] = numbers[of]
    vertices = np.asarray(mesh.vert_properties)[:, :3].astype(np.float32)
    return Shape(vertices, np.asarray(mesh.tri_verts).astype(np.int64), part, tuple(names))


def write(folder: str | os.PathLike, *, per_class: int = 20, seed: int = 0) -> Path:
    """Write the data set: a subfolder of OFF meshes for each family, a list of them.

    Args:
        folder: must not be there, or be empty.
        per_class: shapes of each family; the first 7 of 10 are for training, the rest for the test.
        seed: of all of them; the same one gives the same bytes.

    Beside NNN.off lies NNN_labels.txt: for each part a line with its name, and one with the numbers
    of its faces, from 1 on. split.csv has path, class, label and split. Raises FieldsError, one
    line; nothing is written then.
    """
    folder = Path(folder)
    if not 1 <= per_class <= 1000:
        raise FieldsError(f"per_class must be from 1 to 1000, got {per_class}")
    training = round(TRAINING * per_class)
    rows = []
    with new_folder(folder) as hidden:
        for label, family in enumerate(FAMILIES):
            (hidden / family).mkdir()
            for number in range(per_class):
                shape = make(family, number, seed)
                path = hidden / family / f"{number:03}.off"
                path.write_text(_off(shape))
                path.with_name(f"{number:03}_labels.txt").write_text(_labels(shape))
                split = "train" if number < training else "test"
                rows.append((f"{family}/{path.name}", family, label, split))
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(("path", "class", "label", "split"))
        lines.writerows(rows)
        (hidden / LIST).write_text(text.getvalue())
    return folder


def key_of(family: str, number: int, seed: int) -> int:
    """A number that hangs on these three and on nothing else."""
    digest = hashlib.sha256(f"{family}/{number}/{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def _evenly(draw: Draw, low: float, high: float) -> float:
    """A number between two, as often in the lower half of their ratio as in the upper."""
    return math.exp(draw(math.log(low), math.log(high)))


def _placed(parts: Parts, lean: np.ndarray, sides: np.ndarray) -> tuple[Manifold, dict[str, int]]:
    """A shape as one solid, leant, in a box of those sides around the origin; and by what number
    its mesh knows each part."""
    own = {name: part.as_original() for name, part in parts.items()}
    solid = joined(list(own.values())).rotate(tuple(lean))
    box = np.asarray(solid.bounding_box()).reshape(2, 3)
    solid = solid.translate(tuple(-box.mean(0))).scale(tuple(sides / (box[1] - box[0])))
    return solid, {name: part.original_id() for name, part in own.items()}


def _distance(solid: Manifold, sides: np.ndarray, fill: float, area: float) -> float:
    """How far volume and area are from those that were drawn, as shares of the box's."""
    x, y, z = sides
    of_volume = np.log(solid.volume() / (x * y * z) / fill)
    of_area = np.log(solid.surface_area() / (2 * (x * y + y * z + z * x)) / area)
    return float(np.hypot(of_volume, 2 * of_area))


def _off(shape: Shape) -> str:
    lines = [f"OFF\n{len(shape.vertices)} {len(shape.faces)} 0"]
    lines += [f"{x:.7g} {y:.7g} {z:.7g}" for x, y, z in shape.vertices.tolist()]
    lines += [f"3 {a} {b} {c}" for a, b, c in shape.faces.tolist()]
    return "\n".join(lines) + "\n"


def _labels(shape: Shape) -> str:
    lines = []
    for number, name in enumerate(shape.parts):
        faces = np.flatnonzero(shape.part == number) + 1
        if len(faces):
            lines += [name, " ".join(map(str, faces.tolist()))]
    return "\n".join(lines) + "\n"
