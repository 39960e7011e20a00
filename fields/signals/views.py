"""The views of a scene as tensors, in the coordinates of the unit cube."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fields import ops
from fields.cameras import Camera
from fields.lens import STRAIGHT
from fields.pixel_rays import directions_of
from fields.scenes import Frame, Images
from fields.shapes.space import ShapeSpace

Colour = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Rays:
    """R rays through pixels, of unit length in the unit cube's coordinates.

    Attributes:
        origins, directions: [R, 3] float32.
        colours, backgrounds: [R, 3]; a colour is over its background.
        pixels: [R] int64, numbers of the pixels.
        times: [R] in [0, 1], of a scene that moves.
        weights: [R], of their losses, where pixels were not drawn alike.
    """

    origins: Tensor
    directions: Tensor
    colours: Tensor
    backgrounds: Tensor
    pixels: Tensor
    times: Tensor | None = None
    weights: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Views:
    """Pictures and cameras of a split, as ops.sample_rays takes them.

    Attributes:
        pixels: [N, H, W, 3 or 4] uint8; smaller pictures lie in the upper left.
        poses, intrinsics: [N, 3, 4] and [N, 4].
        directions, cameras: of lenses that are no pinholes, or None.
        among: numbers of the pixels that count, or None for all.
        times: [N], or None.
    """

    pixels: Tensor
    poses: Tensor
    intrinsics: Tensor
    directions: Tensor | None
    cameras: Tensor | None
    among: Tensor | None
    times: Tensor | None

    @classmethod
    def of(
        cls, frames: Sequence[Frame], images: Images, space: ShapeSpace, where: torch.device
    ) -> Views:
        """Those of frames whose images were loaded."""
        width, height = images.sizes.max(0)
        even = bool((images.sizes == (width, height)).all())
        if even:
            pixels = images.stack()
        else:
            shape = (len(images), height, width, images.pixels.shape[1])
            pixels = np.zeros(shape, np.uint8)
            for i, (w, h) in enumerate(images.sizes):
                pixels[i, :h, :w] = images.image(i)
        directions, cameras = _lenses(frames, width, height)
        moves = frames[0].time is not None
        return cls(
            torch.from_numpy(pixels).to(where),
            torch.from_numpy(np.stack([pose_of(f.camera, space) for f in frames])).to(where),
            torch.tensor(
                [[c.fl_x, c.fl_y, c.cx, c.cy] for c in (f.camera for f in frames)],
                dtype=torch.float32,
                device=where,
            ),
            None if directions is None else torch.from_numpy(directions).to(where),
            None if cameras is None else torch.from_numpy(cameras).to(where),
            _among(images, width, height, even, where),
            torch.tensor([f.time for f in frames], dtype=torch.float32, device=where)
            if moves
            else None,
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def rays(
        self,
        count: int,
        seed: int,
        step: int,
        background: Colour | None,
        *,
        among: Tensor | None = None,
        tiles: ops.Tiles | None = None,
    ) -> Rays:
        """A batch of rays through any pixels, in no order; a pure function of its arguments.

        Args:
            count, seed, step: see ops.sample_rays.
            background: what is behind images with alpha; None for another colour behind each ray.
            among, tiles: of an ErrorMap of these views: some pixels more often than others.
        """
        origins, directions, colours, backgrounds, index = ops.sample_rays(
            self.pixels,
            self.poses,
            self.intrinsics,
            count,
            seed,
            step,
            directions=self.directions,
            cameras=self.cameras,
            among=self.among if tiles is None else among,
            tiles=tiles,
            background=background,
        )
        times = None
        if self.times is not None:
            times = self.times[index // (self.pixels.shape[1] * self.pixels.shape[2])]
        return Rays(origins, directions, colours, backgrounds, index, times)


def pose_of(camera: Camera, space: ShapeSpace) -> np.ndarray:
    """[3, 4] float32: from the camera to the unit cube, its rotation as it is."""
    pose = camera.cam_to_world[:3].copy()
    pose[:, 3] = space.to_unit(pose[:, 3])
    return pose.astype(np.float32)


def rays_of(camera: Camera, space: ShapeSpace, where: torch.device) -> tuple[Tensor, Tensor]:
    """Origins and directions [H * W, 3] through all pixels of a camera, row by row."""
    along = directions_of(camera, where)
    at = torch.from_numpy(space.to_unit(camera.position).astype(np.float32)).to(where)
    return at.expand_as(along).contiguous(), along


def _lenses(
    frames: Sequence[Frame], width: int, height: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Directions [K, H, W, 3] of the cameras that differ, and which of them each frame has."""
    if all(frame.camera.lens == STRAIGHT for frame in frames):
        return None, None
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)
    known: dict[tuple, int] = {}
    directions, cameras = [], []
    for camera in (frame.camera for frame in frames):
        key = camera.intrinsics
        if key not in known:
            known[key] = len(known)
            local = camera.local_rays_of(pixels).astype(np.float32)
            directions.append(local.reshape(height, width, 3))
        cameras.append(known[key])
    return np.stack(directions), np.asarray(cameras, np.int32)


def _among(
    images: Images, width: int, height: int, even: bool, where: torch.device
) -> Tensor | None:
    """Numbers of the pixels that are there and that masks keep."""
    if even and images.kept is None:
        return None
    kept = np.zeros((len(images), height, width), bool)
    for i, (w, h) in enumerate(images.sizes):
        mask = images.mask(i)
        kept[i, :h, :w] = True if mask is None else mask
    return torch.from_numpy(np.flatnonzero(kept)).to(where)
