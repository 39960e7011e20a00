"""A run that stores a scene."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields import cameras, folder
from fields.cameras import Camera
from fields.errors import Cancelled, FieldsError
from fields.models.radiance import Radiance
from fields.pictures import png
from fields.pictures.naming import shown
from fields.render import device_of
from fields.runs.run import Run
from fields.scenes import Frame, Scene, load_images, read_scene
from fields.shapes.space import ShapeSpace
from fields.signals.scene import SceneSignal, over
from fields.signals.view_score import view_psnr, view_ssim
from fields.signals.views import Colour, rays_of

SHADINGS = ("colour", "depth", "opacity")
_SIDE = 800  # the longest of a picture, unless the caller says otherwise
_GAP = 4  # pixels between pictures that stand side by side


class SceneRun(Run):
    """Draws its scene from any camera, in units and axes of the source.

    Attributes:
        box: [2, 3] of the scene.
        up: the direction that points up.
        moves: it has a time, from 0 to 1.
    """

    field: Radiance

    def _read_signal(self, signal: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        try:
            self.box = np.asarray(signal["box"], np.float64).reshape(2, 3)
            self.up = np.asarray(signal["up"], np.float64)
            self.moves = bool(signal["moves"])
            r, g, b = map(float, signal["background"])
            self.size = int(signal["size"][0]), int(signal["size"][1])
            self.focal = float(signal["focal"][0])
            self.positions = np.asarray(signal["positions"], np.float64).reshape(-1, 3)
            matrix = np.asarray(self.config["world_to_unit"], np.float64).reshape(4, 4)
        except (KeyError, TypeError, ValueError, IndexError):
            raise FieldsError(f"{shown(self.path)} describes no scene") from None
        self.background: Colour = (r, g, b)
        x, y, z = matrix[:3, 3].tolist()
        self.space = ShapeSpace(float(matrix[0, 0]), (x, y, z))

    @property
    def centre(self) -> np.ndarray:
        """[3], of the box."""
        return self.box.mean(0)

    def orbit(self, count: int, size: tuple[int, int] | None = None) -> list[Camera]:
        """`count` cameras once around the middle, as far away and as high above it as those that
        the scene was seen from."""
        size = size or self._usual_size()
        away = self.positions - self.centre
        height = float(np.median(away @ self.up))
        level = away - (away @ self.up)[:, None] * self.up
        radius = float(np.median(np.linalg.norm(level, axis=1)))
        first = np.cross(self.up, (1.0, 0.0, 0.0) if abs(self.up[0]) < 0.9 else (0.0, 1.0, 0.0))
        first /= np.linalg.norm(first)
        second = np.cross(self.up, first)
        focal = self.focal * size[0] / self.size[0]
        result = []
        for angle in 2 * np.pi * np.arange(count) / count:
            eye = np.cos(angle) * first + np.sin(angle) * second
            eye = self.centre + radius * eye + height * self.up
            pose = cameras.look_at(eye, self.centre, self.up)
            result.append(Camera.simple(pose, size[0], size[1], focal))
        return result

    def camera(self, size: tuple[int, int] | None = None) -> Camera:
        """The first of an orbit."""
        return self.orbit(1, size)[0]

    def _usual_size(self) -> tuple[int, int]:
        factor = min(1.0, _SIDE / max(self.size))
        return max(round(self.size[0] * factor), 1), max(round(self.size[1] * factor), 1)

    def trace(
        self, camera: Camera, time: float | None = None, cancel: Tensor | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a camera sees: colours [H, W, 3] without what is behind, opacity [H, W], and the
        mean distance [H, W] of what is seen, in units of the source; 0 where nothing is.

        Args:
            camera: in units of the source.
            time: from 0 to 1, of a scene that moves; 0 by default.
            cancel: uint8 [1]; Cancelled is raised once it is not zero.
        """
        where = device_of(self.field)
        origins, directions = rays_of(camera, self.space, where)
        times = None
        if self.moves:
            times = torch.full((len(origins),), 0.0 if time is None else time, device=where)
        try:
            colours, opacity, depth = self.field.trace(
                origins, directions, times, width=camera.width, cancel=cancel
            )
        except RuntimeError as error:
            if "cancelled" in str(error):
                raise Cancelled("cancelled") from None
            raise
        distance = torch.where(opacity > 0, depth / opacity.clamp(min=1e-6), 0) / self.space.scale
        shape = (camera.height, camera.width)
        return (
            colours.view(*shape, 3).cpu().numpy(),
            opacity.view(shape).cpu().numpy(),
            distance.view(shape).cpu().numpy(),
        )

    def render(
        self,
        size: tuple[int, int] | None = None,
        *,
        camera: Camera | None = None,
        shading: str = "colour",
        background: Colour | None = None,
        time: float | None = None,
        cancel: Tensor | None = None,
    ) -> np.ndarray:
        """Draw the scene.

        Args:
            size: (width, height) in pixels, for the usual camera; by default that of its images.
            camera: another view, in units of the source.
            shading: colour, depth (near is bright) or opacity.
            background: RGB from 0 to 1; by default that of the scores.
            time, cancel: as `trace`.

        Returns [height, width, 3] uint8.
        """
        colours, opacity, distance = self.trace(camera or self.camera(size), time, cancel)
        if shading == "opacity":
            values = np.repeat(opacity[..., None], 3, axis=2)
        elif shading == "depth":
            values = self._depth_colours(distance, opacity)
        else:
            behind = np.asarray(self.background if background is None else background, np.float32)
            values = colours + (1 - opacity)[..., None] * behind
        return _bytes(values)

    def _depth_colours(self, distance: np.ndarray, opacity: np.ndarray) -> np.ndarray:
        """Grey: white is the nearest that is seen, dark the farthest, black is nothing."""
        seen = opacity > 0.5
        if not seen.any():
            return np.zeros((*distance.shape, 3), np.float32)
        near, far = np.percentile(distance[seen], (0.5, 99.5))
        grey = 1 - 0.85 * np.clip((distance - near) / max(far - near, 1e-9), 0, 1)
        return np.repeat(np.where(seen, grey, 0)[..., None], 3, axis=2).astype(np.float32)

    def png(self, longest: int | None = None) -> bytes:
        """A view of the scene as a PNG file."""
        width, height = self._usual_size()
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

    def views(
        self, scene: Scene, split: str = "test"
    ) -> Iterator[tuple[Frame, np.ndarray, np.ndarray, np.ndarray | None]]:
        """Each frame of a split with what the field shows of it, its photo, both [H, W, 3] floats
        in [0, 1], and the mask of the pixels that count, or None.

        Raises FieldsError for a split that is not there.
        """
        frames = scene.splits.get(split)
        if not frames:
            there = ", ".join(name for name, some in scene.splits.items() if some)
            raise FieldsError(f"{scene.name} has no split {split!r}; it has {there}")
        images = load_images(scene, split)
        behind = np.asarray(self.background, np.float32)
        for i, frame in enumerate(frames):
            colours, opacity, _ = self.trace(frame.camera, frame.time)
            drawn = np.clip(colours + (1 - opacity)[..., None] * behind, 0, 1)
            yield frame, drawn, over(images.image(i), self.background), images.mask(i)

    def scores(
        self,
        scene: Scene,
        split: str = "test",
        each: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """PSNR and SSIM, means over the views of a split; `each` is told those of each view."""
        psnr, ssim = [], []
        for frame, drawn, photo, mask in self.views(scene, split):
            psnr.append(view_psnr(drawn, photo, mask))
            found = view_ssim(drawn, photo) if mask is None else None
            ssim += [] if found is None else [found]
            if each is not None:
                each(frame.name, {"psnr": round(psnr[-1], 4), "ssim": found})
        return {
            "split": split,
            "views": len(psnr),
            "psnr": round(float(np.mean(psnr)), 4),
            "ssim": round(float(np.mean(ssim)), 5) if ssim else None,
        }

    def finish(self, signal: SceneSignal, place: folder.RunFolder) -> dict[str, Any]:
        scene = signal.source
        first = scene.splits["test"][0]
        _, opacity, distance = self.trace(first.camera, first.time)
        _, drawn, photo, _ = next(self.views(scene))
        parts = [photo, drawn, self._depth_colours(distance, opacity)]
        with place.replacing(folder.PREVIEW) as file:
            file.write(png.encode(side_by_side([_bytes(part) for part in parts]), None))
        return self.scores(scene)

    @property
    def described(self) -> str:
        return "a scene that moves" if self.moves else "a scene"

    def __repr__(self) -> str:
        score = f", {self.metrics['psnr']:.2f} dB" if self.metrics.get("psnr") else ""
        return f"Run({shown(self.path)!r}: {self.config['model']}, {self.described}{score})"


def side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures [H, W, 3] uint8 of one height, from left to right."""
    gap = np.full((pictures[0].shape[0], _GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return np.concatenate(parts[1:], axis=1)


def _bytes(values: np.ndarray) -> np.ndarray:
    return (values * 255).round().clip(0, 255).astype(np.uint8)
