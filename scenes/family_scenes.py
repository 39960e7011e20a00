"""The generated shapes as scenes: painted, and seen from all sides, in Blender's format."""

import csv
import io
import os
from pathlib import Path

import numpy as np

from fields.errors import FieldsError
from fields_scenes.families import FAMILIES, LIST, TRAINING, Shape, key_of, make
from fields_scenes.generate import Wanted, render_thing
from fields_scenes.model import RADIUS
from fields_scenes.triangles import Cast, Triangles, smooth_normals
from fields_scenes.writing import new_folder

_DULL, _BRIGHT = 0.08, 0.75  # of colours, linear light


def write_scenes(
    folder: str | os.PathLike,
    *,
    per_class: int = 20,
    seed: int = 0,
    views: int = 40,
    size: int = 64,
) -> Path:
    """Write a scene for each shape of `families.write` with the same numbers, and a list of them.

    Args:
        folder: must not be there, or be empty.
        per_class: scenes of each family; the first 7 of 10 are for training.
        seed: of shapes, colours and cameras.
        views: of each scene, to be fitted; a quarter as many are to be scored.
        size: pixels along a side of a view.

    Each part has a colour of its own, drawn for each shape: colours do not tell families apart.
    Needs open3d. Raises FieldsError, one line; nothing is written then.
    """
    folder = Path(folder)
    if not 1 <= per_class <= 1000:
        raise FieldsError(f"per_class must be from 1 to 1000, got {per_class}")
    wanted = Wanted(views=views, size=size, seed=seed)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("path", "class", "label", "split"))
    with new_folder(folder) as hidden:
        for label, family in enumerate(FAMILIES):
            for number in range(per_class):
                thing = Cast(painted(make(family, number, seed), key_of(family, number, seed)))
                path = f"{family}/{number:03}"
                render_thing(lambda time, thing=thing: thing, hidden / path, wanted)
                split = "train" if number < round(TRAINING * per_class) else "test"
                rows.writerow((path, family, label, split))
        (hidden / LIST).write_text(text.getvalue())
    return folder


def painted(shape: Shape, key: int) -> Triangles:
    """A shape as cameras see it: a colour for each part, about the origin, as large as scenes
    are."""
    colours = np.random.default_rng(key).uniform(_DULL, _BRIGHT, (len(shape.parts), 3))
    low, high = shape.vertices.min(0), shape.vertices.max(0)
    placed = shape.vertices - (low + high) / 2
    placed *= RADIUS / np.linalg.norm(placed, axis=1).max()
    corners = placed[shape.faces].astype(np.float32)
    count = len(corners)
    return Triangles(
        corners=corners,
        normals=smooth_normals(corners),
        colours=np.repeat(colours[shape.part][:, None], 3, axis=1).astype(np.float32),
        texture=np.full(count, -1),
        uv=np.zeros((count, 3, 2), np.float32),
    )
