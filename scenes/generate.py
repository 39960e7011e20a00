"""Makes a scene: cameras around a thing, a picture from each, files."""

import os
import time as clock
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from fields.cameras import Camera
from fields.errors import FieldsError
from fields.lens import STRAIGHT, Lens
from fields.progress import Counted, Progress, Silent
from fields.shapes.with_open3d import open3d_for
from fields.shapes.write import write_mesh
from fields_scenes import bending, model
from fields_scenes.drawing import draw
from fields_scenes.outdoors import Outdoors
from fields_scenes.standing import ANGLE_X, DISTANCE, Rig
from fields_scenes.thing import Thing
from fields_scenes.triangles import Cast
from fields_scenes.writing import (
    frame,
    new_folder,
    require_free,
    write_one,
    write_split,
    write_view,
)

MOST_VIEWS, MOST_SIZE = 10_000, 4096
GEOMETRY = "geometry.ply"

ThingAt = Callable[[float | None], Thing]


@dataclass(frozen=True)
class Wanted:
    """What a made scene shall be.

    Args:
        views: to train on; a quarter as many are for the test, a tenth for validation.
        size: pixels along a side.
        seed: of where cameras stand.
        animate: the thing moves, and frames have times.
        lens: the distortion of all cameras.
        differ: each camera has intrinsics of its own.
        outdoors: the thing stands on ground under a sky: images are opaque, and the scene has no
            end.

    Raises FieldsError for numbers of no use.
    """

    views: int = 100
    size: int = 400
    seed: int = 0
    animate: bool = False
    lens: Lens = STRAIGHT
    differ: bool = False
    outdoors: bool = False

    def __post_init__(self):
        if not 2 <= self.views <= MOST_VIEWS:
            raise FieldsError(f"--views must be from 2 to {MOST_VIEWS:,}, got {self.views}")
        if not 8 <= self.size <= MOST_SIZE:
            raise FieldsError(f"--size must be from 8 to {MOST_SIZE:,} pixels, got {self.size}")
        if not 0 <= self.seed < 2**63:
            raise FieldsError(f"--seed must be from 0 to 2^63 - 1, got {self.seed}")

    @property
    def splits(self) -> dict[str, int]:
        """How many views are in each split."""
        return {
            "train": self.views,
            "val": max(1, self.views // 10),
            "test": max(1, self.views // 4),
        }


@dataclass(frozen=True, eq=False)
class Shot:
    """A view that is to be made."""

    split: str
    name: str
    camera: Camera
    time: float | None


def render_model(
    path: Path,
    out: Path,
    wanted: Wanted | None = None,
    *,
    up: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Make a scene of a mesh file.

    Args:
        path: OBJ, PLY, STL, OFF, GLB or glTF.
        out: the folder, which must not be there or be empty.
        wanted: how many views, how large.
        up: the axis that points up in the file; by default z of STL, else y.
        progress: is told of each view.

    Raises FieldsError, one line; nothing is written then.
    """
    wanted = wanted or Wanted()
    require_free(out)
    open3d_for("fields scene")  # before anything is read
    # Two texels for a pixel, as a texture that is averaged over five places can bear.
    pixel = 2 * DISTANCE * ANGLE_X / 2 / wanted.size
    triangles = model.read_model(path, up=up, texel=pixel / 2)
    if wanted.animate:
        triangles = triangles.split(bending.FINE)

    def at(time: float | None) -> Thing:
        return Cast(triangles if time is None else bending.bent(triangles, time))

    render_thing(at, out, wanted, progress=progress)


def render_thing(
    at: ThingAt, out: Path, wanted: Wanted, *, progress: Progress | None = None
) -> None:
    """Make a scene of whatever can be drawn.

    Args:
        at: the thing at a time from 0 to 1, or at rest.
        out: the folder, which must not be there or be empty.
        wanted: how many views, how large.
        progress: is told of each view.

    Beside the three transforms_SPLIT.json with their images and depths (out of doors, one
    transforms.json) the folder gets geometry.ply, the surface at rest. Raises FieldsError, one
    line; nothing is written then.
    """
    progress = progress or Silent()
    rig = Rig(wanted.size, wanted.seed, wanted.lens, wanted.differ)
    if wanted.outdoors:
        at = _outdoors(at)
    resting = lru_cache(maxsize=1)(lambda: at(None))
    shots = list(_shots(rig, wanted))
    resting()

    def make(shot: Shot, folder: Path) -> None:
        thing = resting() if shot.time is None else at(shot.time)
        write_view(folder, shot.name, draw(thing, shot.camera), opaque=wanted.outdoors)

    begin = clock.perf_counter()
    with new_folder(out) as folder:
        for split in wanted.splits:
            (folder / split).mkdir()
        with ThreadPoolExecutor(_threads()) as pool:
            pending = [pool.submit(make, shot, folder) for shot in shots]
            try:
                for number, done in enumerate(as_completed(pending), 1):
                    done.result()
                    seconds = clock.perf_counter() - begin
                    progress.advance(Counted(number, len(shots), seconds, "views"))
            finally:
                pool.shutdown(cancel_futures=True)
                progress.close()
        own = wanted.differ or wanted.outdoors
        entries = {
            split: [frame(s.name, s.camera, s.time, own=own) for s in shots if s.split == split]
            for split in wanted.splits
        }
        if wanted.outdoors:
            write_one(folder, shots[0].camera, entries)
        else:
            for split, frames in entries.items():
                write_split(folder, split, shots[0].camera, frames, own=own)
        write_mesh(folder / GEOMETRY, *_welded(*resting().mesh()))


def _outdoors(at: ThingAt) -> ThingAt:
    """The same on the ground: that is as high as the lowest of it at rest."""
    floor = float(at(None).box[0, 2])
    return lambda time: Outdoors(at(time), floor)


def _shots(rig: Rig, wanted: Wanted) -> Iterator[Shot]:
    first = 0
    for split, count in wanted.splits.items():
        for i, camera in enumerate(rig.cameras(count, first)):
            time = None
            if wanted.animate:  # training sees both ends; the others lie between
                time = i / (count - 1) if split == "train" else (i + 0.5) / count
            yield Shot(split, f"{split}/r_{i}", camera, time)
        first += count


def _welded(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same mesh, its vertices at one place made one."""
    places, where = np.unique(vertices, axis=0, return_inverse=True)
    return places, where.ravel()[faces]


def _threads() -> int:
    available = getattr(os, "sched_getaffinity", None)
    return min(8, len(available(0)) if available else os.cpu_count() or 1)
