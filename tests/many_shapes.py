"""Folders of small meshes, and sets of small fields."""

import json

import numpy as np
from shape_files import off, sphere

# Scores from fewer points, for sets of which little else is asked.
QUICK = {"_SIDE": 16, "_RESOLUTION": 24, "_POINTS": 1024}
# Fields that are fitted in a hundredth of a second, and know balls from cubes.
SMALL = {
    "resolution": 8,
    "channels": 4,
    "hidden": 16,
    "steps": 60,
    "batch": 256,
    "pool": 4096,
}
# Of sets that are read: shapes of a class, and fits that tell their parts apart.
EACH = 6
FIT = {"resolution": 12, "channels": 4, "hidden": 16, "steps": 120, "batch": 256, "pool": 4096}
FLAGS = [f"--{name}={value}" for name, value in SMALL.items()]
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
SIDES = np.array(
    [
        [a, b, c]
        for a, b, d, e in (
            (0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3),
        )
        for b, c in ((b, d), (d, e))
    ]
)  # fmt: skip


def two_classes(folder, each=4):
    """`each` balls and `each` boxes of several sizes, in subfolders of those names."""
    for kind in ("ball", "box"):
        (folder / kind).mkdir(parents=True)
    for i in range(each):
        stretched = [1, 1 + 0.1 * i, 2 - 0.1 * i]
        vertices, faces = sphere(rounds=2)
        off(folder / "ball" / f"{i:02}.off", vertices * stretched + 5, faces)
        off(folder / "box" / f"{i:02}.off", CUBE * stretched, SIDES)
    return folder


def listed(folder, text, name="split.csv"):
    """The folder, in which a list says that."""
    (folder / name).write_text(text)
    return folder


def files_of(folder):
    """The bytes of all files of a set, without what clocks say."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "index.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[path.name] = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
        elif path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found
