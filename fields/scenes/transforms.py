"""A scene in one transforms.json, as instant-ngp, nerfstudio and converters write it."""

from pathlib import Path

from fields.scenes.aabb import stated_box
from fields.scenes.extent import extent
from fields.scenes.frames import read_frames
from fields.scenes.scene import Scene
from fields.scenes.splits import hold_out, stated_splits
from fields.scenes.views import likely_up


def read_transforms(path: Path, *, mask_drops: bool = False) -> Scene:
    """The scene of a file that names all its frames.

    Splits are those that it states (train_filenames and so on), else every eighth view is held out.
    Its poses are taken as they are: `applied_transform` says how they were made, and the axes of
    instant-ngp are not turned. Raises FieldsError, one line that names file and frame.
    """
    file = read_frames(path, mask_drops=mask_drops)
    notes = list(file.notes)
    splits = stated_splits(file.content, file.frames, path, notes) or hold_out(
        file.frames, path, notes
    )
    cameras = [frame.camera for frame in file.frames]
    alpha = file.alpha
    stated = stated_box(file.content, path)
    if stated is None:
        (box, unbounded), zoom = extent(cameras, alpha, notes), 1.0
    else:
        (box, zoom), unbounded = stated, False
    return Scene(
        name=path.resolve().parent.name,
        path=path.parent,
        format="transforms",
        splits=splits,
        box=box,
        zoom=zoom,
        up=likely_up(cameras),
        alpha=alpha,
        unbounded=unbounded,
        notes=tuple(notes),
    )
