"""Masks of a scene's images, which say what counts."""

import numpy as np

from fields.errors import FieldsError
from fields.pictures.downscale import downscale
from fields.pictures.naming import shown
from fields.pictures.picture import Picture
from fields.pictures.read import read_picture
from fields.scenes.scene import Frame, Scene


def white_of(picture: Picture) -> np.ndarray:
    """[H, W] float32, 1 where a mask is white and 0 where it is black."""
    colour = picture.pixels[:, :, :1] if picture.channels < 3 else picture.pixels[:, :, :3]
    middle = np.iinfo(colour.dtype).max // 2
    return np.asarray((colour > middle).any(2), np.float32)


def as_image(mask: Picture, frame: Frame, scene: Scene) -> Picture:
    """A mask of the size of images from which those that are read were made smaller."""
    camera, factor = frame.camera, scene.downscale // scene.shrink
    wanted = (camera.width * scene.shrink, camera.height * scene.shrink)
    if (mask.width, mask.height) == wanted:
        return mask
    # Programs round a side down, to the nearest or up.
    if any(abs(n / factor - w) > 1 for n, w in zip((mask.width, mask.height), wanted, strict=True)):
        return mask
    over = [
        (0, max(w * factor - n, 0)) for n, w in zip(mask.pixels.shape, wanted[::-1], strict=False)
    ]
    whole = np.pad(mask.pixels, [*over, (0, 0)], mode="edge")
    whole = whole[: wanted[1] * factor, : wanted[0] * factor]
    return downscale(Picture(whole, mask.name, mask.format), factor)


def require_masks(scene: Scene, split: str) -> None:
    """FieldsError where every view of a split has a mask that leaves nothing of it; masks are read
    up to the first that leaves something."""
    frames = scene.splits[split]
    if any(frame.mask is None for frame in frames):
        return
    for frame in frames:
        assert frame.mask is not None
        white = white_of(read_picture(frame.mask)) > 0.5
        if (~white if frame.mask_drops else white).any():
            return
    raise FieldsError(nothing_counts(scene, split))


def nothing_counts(scene: Scene, split: str) -> str:
    other = "keep" if any(frame.mask_drops for frame in scene.splits[split]) else "drop"
    return (
        f"no pixel of the {split} views of {shown(scene.path)} counts by their masks; --mask-of"
        f" {other} turns them round"
    )
