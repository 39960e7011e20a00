"""The images of a scene in memory, as bytes, and which of their pixels count."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fields.errors import FieldsError
from fields.pictures.downscale import downscale
from fields.pictures.naming import shown
from fields.pictures.picture import Picture
from fields.pictures.quantise import quantise
from fields.pictures.read import read_together
from fields.scenes.masks import as_image, nothing_counts, white_of
from fields.scenes.memory import MOST_BYTES, bytes_of, may_drop, require_memory
from fields.scenes.scene import Frame, Scene

_AT_ONCE = 16  # images between two looks at the clock
_THREADS = 4


@dataclass(frozen=True, eq=False)
class Images:
    """Images of any sizes, one behind the other.

    Args:
        pixels: [P, C] uint8, C 3 (RGB) or 4 (RGBA, alpha straight); image after image, row by row.
        starts: [N + 1] int64: image i is pixels[starts[i] : starts[i + 1]].
        sizes: [N, 2] int64, width and height.
        kept: [P] bool, the pixels that count; None where all do.
    """

    pixels: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    kept: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def image(self, index: int) -> np.ndarray:
        """[H, W, C] uint8, a view."""
        width, height = self.sizes[index]
        return self.pixels[self._part(index)].reshape(height, width, -1)

    def mask(self, index: int) -> np.ndarray | None:
        """[H, W] bool, a view: the pixels that count; None where all do."""
        width, height = self.sizes[index]
        return None if self.kept is None else self.kept[self._part(index)].reshape(height, width)

    def stack(self) -> np.ndarray:
        """[N, H, W, C] uint8, a view; FieldsError where sizes differ."""
        if len(np.unique(self.sizes, axis=0)) != 1:
            raise FieldsError("the images have several sizes and are no one array")
        width, height = self.sizes[0]
        return self.pixels.reshape(len(self), height, width, -1)

    def _part(self, index: int) -> slice:
        return slice(self.starts[index], self.starts[index + 1])


def load_images(
    scene: Scene,
    split: str,
    *,
    only: Sequence[Frame] | None = None,
    most_bytes: int = MOST_BYTES,
    told: Callable[[int, int], None] | None = None,
) -> Images:
    """Read the images of a split.

    Args:
        scene: which says how much smaller, and with alpha or without.
        split: the name of one of its splits.
        only: some of its frames.
        most_bytes: what they may take; checked before anything is read.
        told: called now and then with how many are read, and how many there are.

    Grey becomes RGB, 16 bits become 8, colours are weighted by alpha where images are made smaller.
    Raises FieldsError, one line, for too much memory, for images that cannot be read or that
    changed since the scene was read, and for masks of another size.
    """
    frames = scene.splits[split] if only is None else only
    require_memory(scene, frames, bytes_of(scene, frames), most_bytes)
    sizes = np.array([(f.camera.width, f.camera.height) for f in frames], np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes.prod(1))])
    pixels = np.empty((starts[-1], scene.channels), np.uint8)
    kept = np.ones(starts[-1], bool) if any(map(may_drop, frames)) else None
    images = Images(pixels, starts, sizes, kept)
    for i, frame in enumerate(frames):
        part = images.mask(i)
        if part is not None and not frame.camera.shows_all:
            part[:] = frame.camera.shown

    def fill(picture: Picture, index: int) -> None:
        smaller = _fitting(picture, frames[index].image, frames[index], scene.shrink)
        images.image(index)[:] = _with_channels(smaller, scene.channels)

    def mask(picture: Picture, index: int) -> None:
        frame = frames[index]
        assert frame.mask is not None
        white = white_of(picture)
        if frame.mask_drops:
            white = 1.0 - white
        shaped = Picture(white[:, :, None], picture.name, picture.format)
        part = images.mask(index)
        assert part is not None
        # A smaller pixel that holds some of what does not count, does not count.
        if scene.shrink < scene.downscale:
            shaped = as_image(shaped, frame, scene)
        part &= _fitting(shaped, frame.mask, frame, scene.shrink)[..., 0] > 0.999

    for first in range(0, len(frames), _AT_ONCE):
        some = range(first, min(first + _AT_ONCE, len(frames)))
        _each([(frames[i].image, i) for i in some], fill)
        _each([(path, i) for i in some if (path := frames[i].mask) is not None], mask)
        if told is not None:
            told(some.stop, len(frames))
    return images


def require_content(images: Images, scene: Scene, split: str) -> None:
    """FieldsError where masks or opacities leave nothing of a split to look at."""
    if images.kept is not None and not images.kept.any():
        raise FieldsError(nothing_counts(scene, split))
    if scene.alpha and not images.pixels[:, 3].any():
        raise FieldsError(
            f"all pixels of the {split} views of {shown(scene.path)} are wholly transparent; there"
            " is nothing to see"
        )


def _each(found: list[tuple[Path, int]], use: Callable[[Picture, int], None]) -> None:
    read_together([path for path, _ in found], use, [i for _, i in found], threads=_THREADS)


def _fitting(picture: Picture, path: Path, frame: Frame, factor: int) -> np.ndarray:
    """[H, W, C] of the size that the camera has."""
    wanted = (frame.camera.width, frame.camera.height)
    if (picture.width // factor, picture.height // factor) != wanted:
        raise FieldsError(
            f"{shown(path)} is {picture.width} x {picture.height} pixels, and its view"
            f" {wanted[0] * factor} x {wanted[1] * factor}; they must be alike"
        )
    if factor == 1:
        return picture.pixels
    whole = picture.pixels[: wanted[1] * factor, : wanted[0] * factor]
    return downscale(Picture(whole, picture.name, picture.format), factor).pixels


def _with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Grey or RGB, with alpha or without, of 8 or 16 bits -> [H, W, 3 or 4] uint8."""
    pixels = quantise(pixels, 8)
    has_alpha = pixels.shape[2] in (2, 4)
    colour = pixels[:, :, :-1] if has_alpha else pixels
    colour = np.broadcast_to(colour, (*colour.shape[:2], 3))
    if channels == 3:
        return colour
    alpha = pixels[:, :, -1:] if has_alpha else np.full_like(pixels[:, :, :1], 255)
    return np.concatenate([colour, alpha], axis=2)
