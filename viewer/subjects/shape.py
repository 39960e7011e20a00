"""A fitted shape as a subject: sphere traced, still pictures in parts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fields import cameras, ops, tracing
from fields.cameras import Camera
from fields.errors import FieldsError
from fields.render import device_of
from fields.runs import ShapeRun
from fields.runs.shape import unsigned_tracer
from fields_viewer.protocol import FIELD
from fields_viewer.subjects.subject import (
    COLOURS,
    COMPARE,
    Setting,
    Settings,
    Solid,
    error_of,
    mapped,
    parts_of,
)

_SMOOTH = 2  # rays along an axis of a pixel of a still picture, as `fields render` has it
_MOST_STEPS = 32  # along a ray of a frame in motion
_PART = 256  # pixels along a side of a part


class ShapeSubject(Solid):
    """Its still pictures are those of `fields render`."""

    kind = "shape"

    def __init__(self, run: ShapeRun):
        self.run = run
        self.title = run.path.name
        self.step = run.steps

    def settings(self) -> list[Setting]:
        shadings = ["lit", "normals", "depth"]
        if self.run.has_colours:
            shadings.insert(1, "colour")
        length = float((self.run.high - self.run.low).max())
        result = [
            Setting("output", "Output", "lit", choices=tuple(shadings)),
            Setting("colours", "Colours of depth", "grey", choices=COLOURS),
        ]
        if self.run.stores == "sdf":
            reach = 0.05 * length
            result.append(Setting("level", "Level", 0.0, low=-reach, high=reach, step=reach / 100))
        return [*result, Setting("compare", "Beside it", "off", choices=COMPARE)]

    def home(self) -> tuple[Camera, np.ndarray, np.ndarray, float]:
        centre, radius = self.run.ball
        return self.run.camera(), centre, np.asarray(cameras.UPS[self.run.up]), 2 * radius

    def box(self) -> np.ndarray:
        return np.stack([self.run.low, self.run.high])

    def draw(self, camera: Camera, settings: Settings, cancel: Tensor) -> tuple[np.ndarray, int]:
        tracer = self._coarse(self._tracer(settings), camera, settings)
        return self._drawn(tracer, camera, settings, 1, cancel), FIELD

    def parts(
        self, camera: Camera, settings: Settings, cancel: Tensor
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        tracer = self._tracer(settings)
        for box in parts_of(camera.width, camera.height, _PART):
            part = camera.cropped(*box)
            yield box[0], box[1], self._drawn(tracer, part, settings, _SMOOTH, cancel)

    def truth(
        self, camera: Camera, settings: Settings, cancel: Tensor
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        of_mesh = tracing.Tracer if self.run.is_signed else unsigned_tracer
        tracer = self._cropped(of_mesh(self._distance), settings)
        ours = self._tracer(settings) if settings.get("compare") == "error" else None
        for box in parts_of(camera.width, camera.height, _PART):
            part = camera.cropped(*box)
            pixels = self._drawn(tracer, part, settings, 1, cancel, plain=True)
            if ours is not None:
                drawn = self._drawn(ours, part, settings, 1, cancel, plain=True)
                pixels = error_of(drawn, pixels)
            yield box[0], box[1], pixels

    def _drawn(
        self,
        tracer: tracing.Tracer,
        camera: Camera,
        settings: Settings,
        smooth: int,
        cancel: Tensor,
        plain: bool = False,
    ) -> np.ndarray:
        field = None if plain else self.run.colour_field
        shading = settings.get("output", "lit")
        colours = settings.get("colours", "grey") if shading == "depth" else "grey"
        if colours != "grey":
            smooth = 1  # a mean of the depths beside an edge is no depth
        pixels = tracing.draw(
            tracer,
            camera,
            self.run.space,
            shading=shading,
            smooth=smooth,
            two_sided=not self.run.is_signed,
            colours=None if field is None else lambda points: field(points).clamp(0, 1),
            device=device_of(self.run.field),
            cancel=cancel,
        )
        return mapped(pixels, colours, nothing=255)

    def _tracer(self, settings: Settings) -> tracing.Tracer:
        tracer = self.run.tracer()
        level = float(settings.get("level") or 0.0) * self.run.space.scale
        if level:
            tracer = dataclasses.replace(tracer, level=level)
        return self._cropped(tracer, settings)

    def _coarse(self, tracer: tracing.Tracer, camera: Camera, settings: Settings) -> tracing.Tracer:
        """As exact as the pixels of a small frame ask for, which takes a quarter of the steps."""
        centre, radius = self.run.ball
        away = max(float(np.linalg.norm(camera.position - centre)) - radius, radius / 4)
        pixel = away / camera.fl_y * self.run.space.scale
        if tracer.bound is None:  # walked in steps of one length
            return dataclasses.replace(tracer, least=max(tracer.least, pixel / 2))
        return dataclasses.replace(
            tracer,
            near=max(tracer.near, pixel / 4),
            least=max(tracer.least, pixel),
            most=_MOST_STEPS,
            box=self._box(settings),
        )

    def _box(self, settings: Settings) -> Tensor:
        """[2, 3] around the surface, which many rays of a picture do not even meet."""
        corners = torch.from_numpy(self.run.space.to_unit(self.box())).float()
        margin = 0.01 + max(float(settings.get("level") or 0.0), 0.0) * self.run.space.scale
        corners[0] -= margin
        corners[1] += margin
        return corners.clamp(0, 1).to(device_of(self.run.field))

    def _cropped(self, tracer: tracing.Tracer, settings: Settings) -> tracing.Tracer:
        """Of what lies in the crop box."""
        box = settings.get("box")
        if not box:
            return tracer
        corners = self.run.space.to_unit(np.asarray(box, float).reshape(2, 3))
        corners = torch.from_numpy(corners).float().clamp(0, 1).to(device_of(self.run.field))
        return dataclasses.replace(tracer, crop=corners)

    def _distance(self, points: Tensor) -> Tensor:
        """[N] of the source's own surface, negative inside where the field has an inside."""
        found = ops.closest_point(self._bvh, points.cpu(), signed=self.run.is_signed)[0]
        return found.to(points.device)

    @functools.cached_property
    def _bvh(self) -> ops.Bvh:
        shape = self.run.source()
        if not len(shape.faces):
            raise FieldsError(f"{shape.name} is made of points, and has no surface to compare with")
        if self.run.is_signed and not shape.is_closed:
            raise FieldsError(
                f"{shape.name} is open, and its inside was guessed; only closed meshes, and"
                " distances without a sign, are compared"
            )
        vertices = torch.from_numpy(self.run.space.to_unit(shape.vertices)).float()
        return ops.build_bvh(vertices, torch.from_numpy(shape.faces))
