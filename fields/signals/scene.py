"""The views of a scene, as what a radiance field learns."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from fields.cameras import Camera
from fields.configs.scene import SceneOptions
from fields.errors import FieldsError
from fields.scenes import Frame, Scene, load_images
from fields.scenes.images import require_content
from fields.scenes.masks import require_masks
from fields.scenes.memory import bytes_beside, bytes_of, require_memory
from fields.scenes.views import focus
from fields.signals.error_map import ErrorMap
from fields.signals.picture_score import MOST_PSNR
from fields.signals.view_score import shown_over, view_psnr
from fields.signals.views import Colour, Rays, Views, rays_of

if TYPE_CHECKING:
    from fields.models.radiance import Radiance

WHITE, BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
SCORED = 5  # views, where a target is looked at
SAMPLED = 1 << 14  # rays
_NEAR = 0.05  # of the cube around the cameras: what is nearer is fog
_VIEWS = 10  # whose spectra FreSh compares
_MARGIN = 0.1  # dB, as for pictures
_SEED = 2**31 - 2


class SceneSignal:
    """The training views of a scene on a device; of the others only validation views are read, and
    those where a target is asked for.

    Coordinates are (x, y, z) in [0, 1]: the box of the scene, its longest side 1; in a scene that
    has no end, all of space, contracted. Values are RGB.
    """

    kind = "scene"
    loss = "l2"
    metric = "psnr"
    unit = " dB"
    channels = 3
    decided: Mapping[str, Any]
    sampled = SAMPLED

    def __init__(self, scene: Scene, options: SceneOptions, device: torch.device):
        self.source, self.options, self.device = scene, options, device
        self.dim = 4 if scene.moves else 3
        self.decided = _walk(scene)
        if options.background != "auto" and not scene.alpha:
            raise FieldsError(
                f"--background is for images with alpha; those of {scene.name} have none, so what"
                " is behind is part of them"
            )
        self.views = self._views("train", scene.splits["train"])
        require_masks(scene, "test")
        self._watched: Views | None = None

    def _views(self, split: str, frames: Sequence[Frame]) -> Views:
        needed = bytes_of(self.source, frames) + bytes_beside(self.source, frames)
        require_memory(self.source, frames, needed)
        images = load_images(self.source, split)
        require_content(images, self.source, split)
        return Views.of(frames, images, self.source.space, self.device)

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.source.notes, self._background_note)

    @property
    def _background_note(self) -> str:
        if not self.source.alpha:
            return "background: as in the images, which have no alpha"
        training = "random colours" if self.training_background is None else self._named
        return f"background: {training} in training, {self._named} in pictures and scores"

    @property
    def _named(self) -> str:
        return "black" if self.background == BLACK else "white"

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along the longest side of an image, for each axis, as many times as the box is
        longer than what they show; and frames, where it moves."""
        side = max(max(f.camera.width, f.camera.height) for f in self.source.splits["train"])
        side = round(side * self.source.zoom)
        moments = (len(self.views),) if self.source.moves else ()
        return (side, side, side, *moments)

    @property
    def background(self) -> Colour:
        """Of pictures and scores."""
        return BLACK if self.options.background == "black" or not self.source.alpha else WHITE

    @property
    def training_background(self) -> Colour | None:
        """None for random ones."""
        if not self.source.alpha:
            return BLACK
        return None if self.options.background in ("auto", "random") else self.background

    def __str__(self) -> str:
        return str(self.source)

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        raise TypeError("a scene has rays, not samples")

    def rays(self, count: int, seed: int, step: int, error_map: ErrorMap | None = None) -> Rays:
        """A batch for training; a pure function. `error_map` says which pixels are drawn more
        often, and count the less; None draws all alike."""
        background = self.training_background
        if error_map is None:
            return self.views.rays(count, seed, step, background)
        chosen = {"among": error_map.among, "tiles": error_map.tiles}
        rays = self.views.rays(count, seed, step, background, **chosen)
        return replace(rays, weights=error_map.weights(rays.pixels))

    def error_map(self) -> ErrorMap | None:
        """A new one of the training views, where rays are drawn by it."""
        return ErrorMap(self.views) if self.options.pixels == "error" else None

    @property
    def samples_for_fresh(self) -> Tensor:
        """[H, W, C]: some training views over black, side by side as channels, as published (an
        untrained field is asked on a plane, which is about what a view shows of it)."""
        pixels = self.views.pixels
        chosen = torch.linspace(0, len(pixels) - 1, min(_VIEWS, len(pixels))).round().long()
        values = pixels[chosen.to(pixels.device)].float() / 255
        if values.shape[3] == 4:
            values = values[..., :3] * values[..., 3:]
        return values.permute(1, 2, 0, 3).flatten(2)

    def estimate(self, loss: float, name: str) -> float | None:
        return -10 * math.log10(max(loss, 1e-12)) if name == "l2" else None

    @property
    def watched(self) -> tuple[str, Sequence[Frame]]:
        """The split and its views that a target is compared with: validation, where there is
        such a split, else some of the training's."""
        split = "val" if self.has_validation else "train"
        frames = self.source.splits[split]
        return split, frames[:: max(len(frames) // SCORED, 1)][:SCORED]

    @property
    def has_validation(self) -> bool:
        """There are views that a target is compared with and that are not trained on."""
        return bool(self.source.splits.get("val"))

    def sampled_score(self, field: nn.Module) -> float:
        """PSNR in dB of some rays of the views that a target is compared with."""
        if self._watched is None:
            val = self.source.splits.get("val")
            self._watched = self._views("val", val) if val else self.views
        rays = self._watched.rays(SAMPLED, _SEED, 1, self.background)
        colours, opacity, _ = cast("Radiance", field).trace(
            rays.origins, rays.directions, rays.times
        )
        drawn = shown_over(colours, opacity, self.background)
        error = (drawn - rays.colours).square().mean().item()
        return min(-10 * math.log10(max(error, 1e-20)), MOST_PSNR) - _MARGIN

    def score(self, field: nn.Module) -> float:
        """Mean PSNR in dB of the views that a target is compared with."""
        split, frames = self.watched
        images = load_images(self.source, split, only=frames)
        scores = [
            view_psnr(
                draw(cast("Radiance", field), frame, self.source, self.background),
                over(images.image(i), self.background),
                images.mask(i),
            )
            for i, frame in enumerate(frames)
        ]
        found = [score for score in scores if score is not None]
        return float(np.mean(found)) if found else self.sampled_score(field)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint says of the signal."""
        scene = self.source
        cameras = [frame.camera for frame in scene.splits["train"]]
        first = cameras[0]
        return {
            "kind": self.kind,
            "name": self.name[:60],
            "downscale": scene.downscale,
            "options": {n: getattr(self.options, n) for n in SceneOptions.names()},
            "box": scene.box.tolist(),
            "up": list(scene.up),
            "alpha": scene.alpha,
            "unbounded": scene.unbounded,
            "moves": scene.moves,
            "background": list(self.background),
            "size": [first.width, first.height],
            "focal": [first.fl_x, first.fl_y],
            "centre": _centre(cameras, scene.box),
            "positions": [_rounded(camera.position) for camera in cameras],
            "directions": [_rounded(camera.forward) for camera in cameras],
        }

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def colours(self) -> None:
        """None beside what it is."""

    def world_to_unit(self) -> list[list[float]]:
        """4 x 4: the source's (x, y, z, 1) to the unit cube."""
        return self.source.space.world_to_unit.tolist()

    def fingerprint(self) -> str:
        """A hash of the training's images and cameras."""
        views = self.views
        digest = hashlib.sha256(repr(tuple(views.pixels.shape)).encode())
        held = (views.pixels, views.poses, views.intrinsics, views.times, views.among)
        held += (views.directions, views.cameras)
        for tensor in held:
            if tensor is not None:
                digest.update(tensor.cpu().numpy().data)
        return digest.hexdigest()


def _walk(scene: Scene) -> dict[str, Any]:
    """What a scene says of how rays are walked: where they begin, in sides of the cube, and how
    what is far away is held."""
    if scene.unbounded:
        return {"contract": True, "near": _NEAR}
    if scene.zoom == 1:
        return {}
    # As instant-ngp: the smallest cube is no larger than that in the middle.
    return {"cascades": 1 + math.ceil(math.log2(scene.zoom)), "near": _NEAR / scene.zoom}


def _centre(cameras: Sequence[Camera], box: np.ndarray) -> list[float]:
    """What cameras look at; the middle of the box where that is no one point."""
    found = focus(cameras)
    return _rounded(box.mean(0) if found is None else found)


def _rounded(vector: np.ndarray) -> list[float]:
    return [round(x, 6) for x in vector.tolist()]


def over(pixels: np.ndarray, background: Colour) -> np.ndarray:
    """Bytes [H, W, 3 or 4] as floats [H, W, 3], in front of a background."""
    values = pixels.astype(np.float32) / 255
    if values.shape[2] == 3:
        return values
    alpha = values[..., 3:]
    return values[..., :3] * alpha + (1 - alpha) * np.asarray(background, np.float32)


def draw(field: Radiance, frame: Frame, scene: Scene, background: Colour) -> np.ndarray:
    """What a field shows of a frame, [H, W, 3] float32 in [0, 1]."""
    camera = frame.camera
    where = next(field.parameters()).device
    origins, directions = rays_of(camera, scene.space, where)
    times = None
    if frame.time is not None:
        times = torch.full((len(origins),), frame.time, device=where)
    colours, opacity, _ = field.trace(origins, directions, times, width=camera.width)
    drawn = shown_over(colours, opacity, background)
    return drawn.view(camera.height, camera.width, 3).cpu().numpy()
