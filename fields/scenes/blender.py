"""Blender's format, that of the synthetic scenes of NeRF: transforms_{train,val,test}.json."""

from pathlib import Path

import numpy as np

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.scenes.aabb import stated_box
from fields.scenes.frames import FramesFile, read_frames
from fields.scenes.scene import Frame, Scene
from fields.scenes.splits import hold_out
from fields.scenes.views import Z_UP, corners, cube, focus, seen_box

USUAL = cube(np.zeros(3), 1.5)  # of the synthetic scenes, which no file of theirs states


def read_blender(folder: Path, *, mask_drops: bool = False) -> Scene:
    """A folder with transforms_train.json, and transforms_val.json and _test.json where they are.

    Raises FieldsError, one line that names file and frame, for whatever is wrong.
    """
    files: dict[str, FramesFile] = {}
    for split in ("train", "val", "test"):
        path = folder / f"transforms_{split}.json"
        if split == "train" or path.exists():
            files[split] = read_frames(path, mask_drops=mask_drops)
    notes = [note for file in files.values() for note in file.notes]
    splits = {split: tuple(file.frames) for split, file in files.items()}
    if "test" not in splits:
        splits |= hold_out(splits["train"], folder, notes)
    frames = [frame for split in splits.values() for frame in split]
    stated = stated_box(files["train"].content, folder / "transforms_train.json")
    if len({frame.time is None for frame in frames}) > 1:
        raise FieldsError(f"{shown(folder)} has a time in some of its files; all need one, or none")
    return Scene(
        name=folder.resolve().name,
        path=folder,
        format="blender",
        splits=splits,
        box=_box(frames, notes) if stated is None else stated.box,
        zoom=1.0 if stated is None else stated.zoom,
        up=Z_UP,
        alpha=any(file.alpha for file in files.values()),
        notes=tuple(notes),
    )


def _box(frames: list[Frame], notes: list[str]) -> np.ndarray:
    """The usual one where the cameras look at it, or what they look at."""
    cameras = [frame.camera for frame in frames]
    middle = focus(cameras)
    if middle is None:
        return USUAL
    seen = seen_box(cameras, middle)
    half = float(seen[1, 0] - seen[0, 0]) / 2
    if np.abs(middle).max() < 0.5 and 0.75 < half < 3.0:
        return USUAL
    notes.append(f"the box of the scene is what its cameras look at, {corners(seen)}")
    return seen
