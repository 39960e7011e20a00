"""Which frames are trained on and which are kept for the score."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.scenes.files import named
from fields.scenes.scene import Frame

EVERY = 8  # frames, one of which is held out (Mildenhall et al. 2019)

Splits = dict[str, tuple[Frame, ...]]


def hold_out(frames: Sequence[Frame], path: Path, notes: list[str]) -> Splits:
    """Every eighth frame by name, from the first on, is for the test; FieldsError for one alone."""
    if len(frames) < 2:
        raise FieldsError(f"{shown(path)} has one view; a scene needs more, from several places")
    ordered = sorted(frames, key=lambda frame: frame.name)
    test = tuple(ordered[::EVERY])
    train = tuple(frame for i, frame in enumerate(ordered) if i % EVERY)
    notes.append(
        f"there is no test split: every eighth view is held out for the score, {len(test)} of"
        f" {len(frames)}"
    )
    return {"train": train, "test": test}


def stated_splits(
    content: Mapping[str, Any], frames: Sequence[Frame], path: Path, notes: list[str]
) -> Splits | None:
    """The splits that nerfstudio's keys name: train_filenames, val_filenames, test_filenames.

    None where there are no such keys, or no test and no val among them. Raises FieldsError for
    keys that do not name what they should.
    """
    by_name = {frame.name: frame for frame in frames}
    splits: Splits = {}
    for split in ("train", "val", "test"):
        names = content.get(f"{split}_filenames")
        if names is None:
            continue
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise FieldsError(f"{shown(path)}: {split}_filenames must be a list of paths")
        known = [by_name.get(named(name)) for name in names]
        splits[split] = tuple(frame for frame in known if frame is not None)
        gone = sum(frame is None for frame in known)
        if gone and splits[split]:
            notes.append(f"{split}_filenames names {gone} that belong to no frame")
        if names and not splits[split]:
            raise FieldsError(f"{shown(path)}: {split}_filenames names none of its frames")
    if not splits.get("test") and splits.get("val"):
        splits["test"] = splits.pop("val")
        notes.append("there is no test split: the validation views are scored")
    if not splits.get("test"):
        return None
    kept = {id(frame) for split in splits.values() for frame in split}
    tested = {frame.name for frame in splits["test"]}
    both = sum(frame.name in tested for frame in splits.get("train", ()))
    if both:
        notes.append(f"{both} views are in train and in test: the score is of what was trained on")
    if "train" not in splits:
        splits["train"] = tuple(frame for frame in frames if id(frame) not in kept)
    if not splits["train"]:
        raise FieldsError(f"{shown(path)}: train_filenames names none of its frames")
    return {split: splits[split] for split in ("train", "val", "test") if splits.get(split)}
