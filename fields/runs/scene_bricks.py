"""A scene that was baked: what its bricks show of it, and what its field does where they say that
something is; seen as by its run."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fields import bricks as bakes
from fields import ops
from fields.bricks import Eyes
from fields.cameras import Camera
from fields.errors import cancelling
from fields.lens import STRAIGHT
from fields.models.radiance import QUICK
from fields.ops.bricks import Bricks
from fields.render import device_of
from fields.runs.scene import SceneRun, Traced, painted
from fields.signals.views import pose_of

# Half the colours, for 0.1 to 0.2 dB of some 37 against the field.
_SHARED = 0.1
_EYES, _EYE_SIDE = 60, 200  # cameras that say what is seen, and the longest side of their pictures


def eyes_of(run: SceneRun) -> Eyes:
    """Some of the cameras that a scene was seen from."""
    rig, (width, height) = run.rig, run.usual_size
    factor = min(1.0, _EYE_SIDE / max(width, height))
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    count = len(rig.positions)
    chosen = min(count, _EYES)
    some = [rig.camera(i * count // chosen, size) for i in range(chosen)]
    where = device_of(run.field)
    poses = torch.from_numpy(np.stack([pose_of(camera, run.space) for camera in some]))
    return Eyes(poses.to(where), torch.stack([_intrinsics(c) for c in some]).to(where), size)


class BakedScene:
    """What bricks show, as SceneRun shows a field.

    Args:
        run: that was baked.
        bricks: of its field.
    """

    def __init__(self, run: SceneRun, bricks: Bricks):
        self.run, self.bricks = run, bricks

    def left(self, bits: Tensor) -> BakedScene:
        """What lies in the cells of other bits [1, words] of its occupancy."""
        resolution = self.run.field.march.resolution
        return BakedScene(self.run, bakes.left(self.bricks, bits[0], resolution))

    def shows(self, camera: Camera) -> bool:
        """Rays of a lens that bends them are left to the field."""
        return camera.lens == STRAIGHT

    def trace(self, camera: Camera, cancel: Tensor | None = None) -> Traced:
        """As SceneRun.trace."""
        colours, opacity, depth = self._seen(camera, cancel)
        distance = torch.where(opacity > 0, depth / opacity.clamp(min=1e-6), 0)
        shape = (camera.height, camera.width)
        return (
            colours.view(*shape, 3).cpu().numpy(),
            opacity.view(shape).cpu().numpy(),
            (distance / self.run.space.scale).view(shape).cpu().numpy(),
        )

    def picture(self, camera: Camera, cancel: Tensor | None = None) -> np.ndarray:
        """Colours in front of the run's background, [H, W, 3] uint8."""
        colours, opacity, _ = self._seen(camera, cancel)
        return painted(colours, opacity, self.run.background, camera)

    def glance(self, camera: Camera, cancel: Tensor | None = None) -> np.ndarray | None:
        """What SceneRun.glance shows, of bricks that were baked from the field as it is now; None
        where the field does not know how to be looked at through them."""
        run = self.run
        with cancelling():
            seen = run.field.look(self.bricks, *self._eye(camera), limits=QUICK, cancel=cancel)
        return None if seen is None else painted(*seen[:2], run.background, camera)

    def _eye(self, camera: Camera) -> tuple[Tensor, Tensor, tuple[int, int]]:
        where = self.bricks.blocks.device
        pose = torch.from_numpy(pose_of(camera, self.run.space)).to(where)
        return pose, _intrinsics(camera).to(where), (camera.width, camera.height)

    def _seen(self, camera: Camera, cancel: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        march = self.run.field.march
        with cancelling():
            return ops.bricks_render(
                self.bricks,
                *self._eye(camera),
                step=march.step,
                near=march.near,
                shared_weight=_SHARED,
                cancel=cancel,
            )


def _intrinsics(camera: Camera) -> Tensor:
    return torch.tensor([camera.fl_x, camera.fl_y, camera.cx, camera.cy], dtype=torch.float32)
