"""A run that stores a scene."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fields import folder, ops
from fields.camera_paths import Rig, Shot
from fields.cameras import Camera, check_size
from fields.errors import FieldsError, cancelling, either
from fields.models.radiance import EXACT, QUICK, Limits, Radiance
from fields.pictures import png
from fields.pictures.naming import shown
from fields.render import device_of
from fields.runs import scene_mesh, scene_scores
from fields.runs.depth_normals import normals_of
from fields.runs.run import Run
from fields.runs.scene_pictures import (
    SEEN,
    Span,
    as_bytes,
    picture_of,
    side_by_side,
    span_of,
)
from fields.scenes import Frame, Scene, load_images, read_scene
from fields.shapes import Shape
from fields.shapes.space import ShapeSpace
from fields.signals.scene import SceneSignal, over
from fields.signals.views import Colour, rays_of

SHADINGS = ("colour", "depth", "opacity", "normals")
RESOLUTION = 256  # cells along an axis of the cube, of meshes
_SIDE = 800  # the longest of a picture, unless the caller says otherwise
_LOOKS, _LOOK_SIDE = 6, 80  # pictures that tell the depths of a path, and their longest side
Size = tuple[int, int]
Traced = tuple[np.ndarray, np.ndarray, np.ndarray]  # colours, opacity, distance


class SeenView(NamedTuple):
    """A frame, what `SceneRun.trace` found of it, its photo [H, W, 3] in [0, 1], and the mask
    [H, W] of the pixels that count, or None."""

    frame: Frame
    traced: Traced
    photo: np.ndarray
    mask: np.ndarray | None


class SceneRun(Run):
    """Draws its scene from any camera, in units and axes of the source.

    Attributes:
        box: [2, 3] of the scene.
        up: the direction that points up.
        moves: it has a time, from 0 to 1.
        background: RGB from 0 to 1, of pictures and scores.
        rig: the cameras that it was seen from.
    """

    field: Radiance

    def _read_signal(self, signal: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        try:
            self.box = np.asarray(signal["box"], np.float64).reshape(2, 3)
            self.up = np.asarray(signal["up"], np.float64)
            self.moves = bool(signal["moves"])
            r, g, b = map(float, signal["background"])
            self.size = int(signal["size"][0]), int(signal["size"][1])
            self.rig = Rig(
                np.asarray(signal["positions"], np.float64).reshape(-1, 3),
                np.asarray(signal["directions"], np.float64).reshape(-1, 3),
                np.asarray(signal["centre"], np.float64).reshape(3),
                self.up,
                float(signal["focal"][0]) / self.size[0],
            )
            matrix = np.asarray(self.config["world_to_unit"], np.float64).reshape(4, 4)
        except (KeyError, TypeError, ValueError, IndexError):
            raise FieldsError(f"{shown(self.path)} describes no scene") from None
        self.background: Colour = (r, g, b)
        x, y, z = matrix[:3, 3].tolist()
        self.space = ShapeSpace(float(matrix[0, 0]), (x, y, z))

    def view(self, size: Size | None = None) -> Camera:
        """A good one to begin with."""
        return self.rig.view(size or self.usual_size)

    def orbit(self, count: int, size: Size | None = None) -> list[Camera]:
        """`count` cameras once around the scene, see Rig."""
        return self.rig.orbit(count, size or self.usual_size)

    def spiral(self, count: int, size: Size | None = None) -> list[Camera]:
        """`count` cameras that sway around one view, see Rig."""
        return self.rig.spiral(count, size or self.usual_size)

    @property
    def usual_size(self) -> Size:
        """That of the photos, or less; even, as films want it."""
        factor = min(1.0, _SIDE / max(self.size))
        width, height = (max(2 * round(side * factor / 2), 2) for side in self.size)
        return width, height

    def trace(
        self, camera: Camera, time: float | None = None, cancel: Tensor | None = None
    ) -> Traced:
        """What a camera sees: colours [H, W, 3] without what is behind, opacity [H, W], and the
        mean distance [H, W] of what is seen, in units of the source; 0 where nothing is.

        Args:
            camera: in units of the source.
            time: from 0 to 1, of a scene that moves; 0 by default.
            cancel: uint8 [1]; Cancelled is raised once it is not zero.
        """
        colours, opacity, depth = self._seen(camera, time, EXACT, cancel)
        distance = torch.where(opacity > 0, depth / opacity.clamp(min=1e-6), 0) / self.space.scale
        shape = (camera.height, camera.width)
        return (
            colours.view(*shape, 3).cpu().numpy(),
            opacity.view(shape).cpu().numpy(),
            distance.view(shape).cpu().numpy(),
        )

    def glance(
        self, camera: Camera, time: float | None = None, cancel: Tensor | None = None
    ) -> np.ndarray:
        """Nearly what `render` draws in colour, and sooner: [H, W, 3] uint8. Arguments as
        `trace`."""
        colours, opacity, _ = self._seen(camera, time, QUICK, cancel)
        return painted(colours, opacity, self.background, camera)

    def _seen(
        self, camera: Camera, time: float | None, limits: Limits, cancel: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As Radiance.trace."""
        where = device_of(self.field)
        origins, directions = rays_of(camera, self.space, where)
        times = None
        if self.moves:
            times = torch.full((len(origins),), 0.0 if time is None else time, device=where)
        with cancelling():
            return self.field.trace(
                origins, directions, times, width=camera.width, limits=limits, cancel=cancel
            )

    def numbers(
        self,
        camera: Camera,
        shading: str = "colour",
        *,
        background: Colour | None = None,
        time: float | None = None,
        cancel: Tensor | None = None,
    ) -> np.ndarray:
        """What a camera sees, float32 [H, W, 3] or [H, W].

        Args:
            camera: in units of the source.
            shading: colour, in [0, 1]; depth along the camera's axis in units of the source, or
                normals in its axes, both 0 where the opacity is no more than a half; or opacity.
            background: RGB from 0 to 1; by default that of the scores.
            time, cancel: as `trace`.
        """
        _check_shading(shading)
        check_size(camera.width, camera.height)
        return self.values(camera, self.trace(camera, time, cancel), shading, background)

    def values(
        self,
        camera: Camera,
        traced: Traced,
        shading: str = "colour",
        background: Colour | None = None,
    ) -> np.ndarray:
        """`numbers`, of what `trace` has found."""
        colours, opacity, distance = traced
        if shading == "opacity":
            return opacity
        if shading == "colour":
            behind = np.asarray(self.background if background is None else background, np.float32)
            return np.clip(colours + (1 - opacity)[..., None] * behind, 0, 1)
        along = (camera.rays()[1] @ camera.forward).reshape(distance.shape)
        depth = np.where(opacity > SEEN, distance * along, 0).astype(np.float32)
        return depth if shading == "depth" else normals_of(camera, depth)

    def render(
        self,
        size: Size | None = None,
        *,
        camera: Camera | None = None,
        shading: str = "colour",
        background: Colour | None = None,
        time: float | None = None,
        span: Span | None = None,
        cancel: Tensor | None = None,
    ) -> np.ndarray:
        """Draw the scene.

        Args:
            size: (width, height) in pixels, for the usual view; by default that of its images.
            camera, shading, background, time, cancel: as `numbers`.
            span: depths that are white and dark; those of the picture by default.

        Returns [height, width, 3] uint8.
        """
        values = self.numbers(
            camera or self.view(size), shading, background=background, time=time, cancel=cancel
        )
        return picture_of(values, shading, span)

    def depth_span(self, shots: Sequence[Shot]) -> Span:
        """Depths that are white and dark in all pictures of a path, told by small ones of some."""
        some = shots[:: max(len(shots) // _LOOKS, 1)]
        small = [Shot(_shrunk(shot.camera, _LOOK_SIDE), shot.time) for shot in some]
        return span_of([self.numbers(s.camera, "depth", time=s.time) for s in small])

    def mesh(
        self,
        resolution: int | None = None,
        level: float | None = None,
        *,
        time: float | None = None,
        **options: Any,
    ) -> scene_mesh.Mesh:
        """The surface at a density, see scene_mesh.mesh."""
        resolution = RESOLUTION if resolution is None else resolution
        return scene_mesh.mesh(self, resolution, level, time, **options)

    def png(self, longest: int | None = None) -> bytes:
        """A view of the scene as a PNG file."""
        width, height = self.usual_size
        factor = min(1.0, (longest or _SIDE) / max(width, height))
        return png.encode(self.render((round(width * factor), round(height * factor))), None)

    def source(self, path: str | os.PathLike | None = None) -> Scene:
        """The scene that was fitted, read again; by default from where it was."""
        signal = self.config["signal"]
        return read_scene(
            self._source_path() if path is None else path,
            downscale=signal.get("downscale", 1),
            mask_of=signal.get("options", {}).get("mask_of", "keep"),
        )

    def views(self, scene: Scene, split: str = "test") -> Iterator[SeenView]:
        """Each frame of a split, with what the field shows of it.

        Raises FieldsError for a split that is not there.
        """
        frames = scene.splits.get(split)
        if not frames:
            there = ", ".join(name for name, some in scene.splits.items() if some)
            raise FieldsError(f"{scene.name} has no split {split!r}; it has {there}")
        images = load_images(scene, split)

        def seen() -> Iterator[SeenView]:
            for i, frame in enumerate(frames):
                traced = self.trace(frame.camera, frame.time)
                photo = over(images.image(i), self.background)
                yield SeenView(frame, traced, photo, images.mask(i))

        return seen()

    def scores(
        self,
        scene: Scene,
        split: str = "test",
        each: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """PSNR and SSIM, means over the views of a split, and LPIPS where it is on this machine;
        `each` is told those of each view. Of masked views PSNR alone, of the pixels that count;
        views of which none does are left out, and counted as `left_out`. Where frames have depths
        `depth_error`, see view_score.depth_error."""
        return scene_scores.scores(self, scene, split, each)

    def surface_scores(self, shape: Shape) -> dict[str, Any]:
        """How close the mesh of the scene, as `mesh` gives it, is to a known one in the same units
        and axes: see `score_shape`; without what needs an inside, which a scene has not."""
        from fields.shapes.scores import score_shape

        vertices, faces, _ = self.mesh()
        return score_shape(replace(shape, sign="none"), vertices, faces)

    def finish(self, signal: SceneSignal, place: folder.RunFolder) -> dict[str, Any]:
        scene = signal.source
        frame, traced, photo, _ = next(self.views(scene))
        drawn = (picture_of(self.values(frame.camera, traced, s), s) for s in ("colour", "depth"))
        with place.replacing(folder.PREVIEW) as file:
            file.write(png.encode(side_by_side([as_bytes(photo), *drawn]), None))
        return self.scores(scene)

    @property
    def described(self) -> str:
        return "a scene that moves" if self.moves else "a scene"

    def __repr__(self) -> str:
        score = f", {self.metrics['psnr']:.2f} dB" if self.metrics.get("psnr") else ""
        return f"Run({shown(self.path)!r}: {self.config['model']}, {self.described}{score})"


def painted(colours: Tensor, opacity: Tensor, background: Colour, camera: Camera) -> np.ndarray:
    """Colours [H * W, 3] in front of a background, [H, W, 3] uint8."""
    pixels = ops.paint(colours, opacity, torch.tensor(background, device=colours.device))
    return pixels.view(camera.height, camera.width, 3).cpu().numpy()


def _check_shading(shading: str) -> None:
    if shading not in SHADINGS:
        raise FieldsError(f"--shading of a scene is {either(SHADINGS)}, got {shading!r}")


def _shrunk(camera: Camera, longest: int) -> Camera:
    factor = min(1.0, longest / max(camera.width, camera.height))
    width, height = (max(round(n * factor), 1) for n in (camera.width, camera.height))
    return camera.resized(width, height, width / camera.width, height / camera.height)
