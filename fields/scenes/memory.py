"""What the images of a scene take in memory, told before any of them is read."""

import math
from collections.abc import Sequence

from fields.errors import FieldsError
from fields.lens import STRAIGHT
from fields.pictures.naming import shown
from fields.scenes.scene import Frame, Scene

MOST_BYTES = 4 * 10**9  # unless the caller says otherwise


def may_drop(frame: Frame) -> bool:
    """Some of its pixels may not count: by a mask, or since its lens shows nothing there."""
    return frame.mask is not None or not frame.camera.shows_all


def bytes_of(scene: Scene, frames: Sequence[Frame]) -> int:
    """What the images of frames will take in memory."""
    each = scene.channels + any(map(may_drop, frames))
    return each * sum(frame.camera.width * frame.camera.height for frame in frames)


def bytes_beside(scene: Scene, frames: Sequence[Frame]) -> int:
    """What a training holds beside the images: images of several sizes once more, as large as the
    largest, and the rays of each lens that is no pinhole."""
    sizes = {(frame.camera.width, frame.camera.height) for frame in frames}
    largest = max(w for w, _ in sizes) * max(h for _, h in sizes)
    padded = scene.channels * len(frames) * largest if len(sizes) > 1 else 0
    bent = any(frame.camera.lens != STRAIGHT for frame in frames)
    lenses = len({frame.camera.intrinsics for frame in frames}) if bent else 0
    return padded + 12 * lenses * largest


def require_memory(
    scene: Scene, frames: Sequence[Frame], needed: int, most_bytes: int = MOST_BYTES
) -> None:
    """FieldsError, with what would fit, if images need more than `most_bytes`."""
    if needed > most_bytes:
        factor = scene.downscale * max(2, math.ceil(math.sqrt(needed / most_bytes)))
        raise FieldsError(
            f"{len(frames)} images of {shown(scene.path)} take {needed / 1e9:.1f} GB of memory,"
            f" more than the {most_bytes / 1e9:.1f} GB allowed; --downscale {factor} fits"
        )
