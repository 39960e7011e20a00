"""What a scene is once it has been read: views of it, split, and where it lies."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fields.cameras import Camera
from fields.shapes.space import ShapeSpace

Vector = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Frame:
    """A view of a scene: a picture that is not read yet, and its camera.

    Args:
        name: the path of its image in the scene's folder, without suffix; printable.
        image: the file.
        camera: in units and axes of the source, for the image as it will be read: `downscale` of
            the scene is applied.
        time: from 0 to 1, in a scene that moves; else None.
        mask: a picture that says which pixels count; None where all do.
        mask_drops: white in the mask is what does not count.
        depth: a file of depths along the camera's axis; None where there is none.
        depth_scale: what a stored depth is multiplied by, to be in units of the source.
    """

    name: str
    image: Path
    camera: Camera
    time: float | None = None
    mask: Path | None = None
    mask_drops: bool = False
    depth: Path | None = None
    depth_scale: float = 1e-3


@dataclass(frozen=True, eq=False)
class Scene:
    """Views of a scene.

    Args:
        name: of its folder, printable.
        path: the folder.
        format: blender, transforms or colmap.
        splits: frames by the name of their split, in the order of the file; "train" and "test" are
            always there and not empty, "val" may be.
        box: [2, 3] lowest and highest corner of what matters, in units of the source.
        up: the direction that points up, of unit length, in axes of the source.
        alpha: the opacity of every pixel is known, so that any background may stand behind the
            images; elsewhere what is behind is part of them.
        unbounded: what lies outside of `box` is seen as well.
        zoom: how many times longer the box is than the cube in its middle that deserves most
            detail; 1 where that is the box.
        downscale: cameras are for images that many times smaller than the source states.
        shrink: files of images are made that many times smaller as they are read: less than
            `downscale` where smaller copies of them are there.
        notes: lines for the user: what was left out, what was assumed.
    """

    name: str
    path: Path
    format: str
    splits: Mapping[str, tuple[Frame, ...]]
    box: np.ndarray
    up: Vector
    alpha: bool
    unbounded: bool = False
    zoom: float = 1.0
    downscale: int = 1
    shrink: int = 1
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Of its images as they are read: 4 where opacity is known, else 3."""
        return 4 if self.alpha else 3

    @property
    def moves(self) -> bool:
        """Frames have times."""
        return self.splits["train"][0].time is not None

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Those of all splits."""
        return tuple(frame for split in self.splits.values() for frame in split)

    @property
    def space(self) -> ShapeSpace:
        """The map to the unit cube, in which the box is centred and its longest side is 1."""
        low, high = self.box
        scale = 1.0 / float((high - low).max())
        x, y, z = (0.5 - (low + high) / 2 * scale).tolist()
        return ShapeSpace(scale, (x, y, z))

    def __str__(self) -> str:
        counts = ", ".join(f"{len(frames)} {split}" for split, frames in self.splits.items())
        sizes = {(frame.camera.width, frame.camera.height) for frame in self.frames}
        width, height = max(sizes, key=math.prod)
        return f"{counts} views of {'up to ' if len(sizes) > 1 else ''}{width} x {height}"


class Broken(Exception):
    """Why a scene or a frame is of no use: a clause that goes after its name in a message."""
