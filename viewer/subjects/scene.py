"""A fitted scene as a subject: volume rendered from the field, or drawn from its bake in motion."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fields import ops
from fields.bricks import bake_in_parts, can_be_baked
from fields.cameras import Camera
from fields.errors import FieldsError
from fields.occupancy import cells, words_of
from fields.ops.bricks import BRICK
from fields.render import device_of
from fields.runs import SceneRun
from fields.runs.density import contracted
from fields.runs.scene_bricks import BakedScene, eyes_of
from fields.runs.scene_pictures import as_bytes, depth_picture, error_picture, picture_of
from fields.signals.views import rays_of
from fields_viewer.protocol import FIELD, PROXY
from fields_viewer.subjects.photos import Photos
from fields_viewer.subjects.subject import (
    COLOURS,
    COMPARE,
    Setting,
    Settings,
    Solid,
    Subject,
    mapped,
    parts_of,
)

_OUTPUTS = ("colour", "depth", "normals", "opacity", "occupancy")  # the last of places alone


class SceneSubject(Solid):
    """Its still pictures are those of `fields render`; frames in motion show a proxy that is baked
    from the field, once there is one.

    Attributes:
        run: of the scene.
        baked: the proxy.
    """

    kind = "scene"

    def __init__(self, run: SceneRun):
        self.run = run
        self.title = run.path.name
        self.step = run.steps
        self.baked: BakedScene | None = None
        self._guides = False  # the proxy was baked from the field as it is
        self._left: tuple[Any, BakedScene] | None = None  # of it, for some crop and density
        self._densities: tuple[int, Tensor] | None = None
        self._photos = Photos(run, self._length)

    def settings(self) -> list[Setting]:
        places = not self.run.field.of_rays  # that have a density, and are empty without
        result = [
            Setting("output", "Output", "colour", choices=_OUTPUTS if places else _OUTPUTS[:-1]),
            Setting("colours", "Colours of depth", "grey", choices=COLOURS),
        ]
        if places:
            result.append(
                Setting("threshold", "Least density", 0.0, high=3.0, step=0.05, is_power=True)
            )
        if self.run.moves:
            result.insert(1, Setting("time", "Time", 0.0))
        return [*result, Setting("compare", "Beside it", "off", choices=COMPARE)]

    def home(self) -> tuple[Camera, np.ndarray, np.ndarray, float]:
        return self.run.view(), self.run.rig.centre, self.run.up, self._length

    @property
    def _length(self) -> float:
        return float((self.run.box[1] - self.run.box[0]).max())

    def box(self) -> np.ndarray:
        return self.run.box

    def photos(self) -> list[dict[str, Any]]:
        return self._photos.described()

    def replaces(self, before: Subject) -> None:
        if isinstance(before, SceneSubject):
            self._photos.keep(before._photos)
            if before.baked is not None:
                self.baked = BakedScene(self.run, before.baked.bricks)

    def draws(self, settings: Settings) -> int:
        wanted = settings.get("use_proxy", True) and settings.get("output") != "occupancy"
        return PROXY if self.baked is not None and wanted else FIELD

    def draw(self, camera: Camera, settings: Settings, cancel: Tensor) -> tuple[np.ndarray, int]:
        output = settings.get("output", "colour")
        if self.draws(settings) == PROXY:
            baked = self._baked(settings)
            if baked is not None and baked.shows(camera):
                if output == "colour":
                    return baked.picture(camera, cancel), PROXY
                return self._shown(self.run, camera, baked.trace(camera, cancel), settings), PROXY
        if output == "occupancy":
            return self._occupancy(camera, settings), FIELD
        run = self._bounded(settings)
        if output == "colour":
            guide = self._guide(settings)
            seen = guide.glance(camera, cancel) if guide and guide.shows(camera) else None
            if seen is None:
                seen = run.glance(camera, self._time(settings), cancel)
            return seen, FIELD
        traced = run.trace(camera, self._time(settings), cancel)
        return self._shown(run, camera, traced, settings), FIELD

    def parts(
        self, camera: Camera, settings: Settings, cancel: Tensor
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        output = settings.get("output", "colour")
        run = self._bounded(settings)
        found = [np.zeros((camera.height, camera.width, *c), np.float32) for c in ((3,), (), ())]
        for box in parts_of(camera.width, camera.height):
            x0, y0, x1, y1 = box
            part = camera.cropped(*box)
            if output == "occupancy":
                yield x0, y0, self._occupancy(part, settings)
                continue
            traced = run.trace(part, self._time(settings), cancel)
            for whole, piece in zip(found, traced, strict=True):
                whole[y0:y1, x0:x1] = piece
            if output in ("colour", "opacity"):
                yield x0, y0, self._shown(run, part, traced, settings)
        if output in ("depth", "normals"):  # which a part alone does not tell
            yield 0, 0, self._shown(run, camera, (found[0], found[1], found[2]), settings)

    def truth(
        self, camera: Camera, settings: Settings, cancel: Tensor
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        found = self._photos.at(camera)
        if found is None:
            raise FieldsError("choose a photo: between them the truth is not known")
        photo, own = found
        if settings.get("compare") == "error":  # of its own pixels, each as it was taken
            moment = self._time(settings)
            photo = error_picture(self.run.numbers(own, time=moment, cancel=cancel), photo)
        pixels, _ = own.project(own.position + camera.rays()[1])
        columns = pixels[:, 0].clip(0, own.width - 1).astype(int)
        rows = pixels[:, 1].clip(0, own.height - 1).astype(int)
        truth = photo[rows, columns].reshape(camera.height, camera.width, 3)
        inside = (pixels >= 0).all(1) & (pixels < (own.width, own.height)).all(1)
        truth = as_bytes(truth)
        truth[~inside.reshape(truth.shape[:2])] = 128
        yield 0, 0, truth

    def _time(self, settings: Settings) -> float | None:
        return float(settings.get("time") or 0.0) if self.run.moves else None

    def _shown(self, run: SceneRun, camera: Camera, traced: Any, settings: Settings) -> np.ndarray:
        output = settings.get("output", "colour")
        pixels = picture_of(run.values(camera, traced, output), output)
        colours = settings.get("colours", "grey")
        return mapped(pixels, colours) if output in ("depth", "opacity") else pixels

    # The proxy

    def can_bake(self, everywhere: bool) -> bool:
        field = self.run.field
        return can_be_baked(field) and (everywhere or device_of(field).type == "cpu")

    def bake(self) -> Iterator[None]:
        bricks = None
        for part in bake_in_parts(self.run.field, eyes_of(self.run)):
            bricks = part
            yield
        if bricks is not None:  # there may be too much fog for one
            self.baked = BakedScene(self.run, bricks)
            self._guides = not self.is_live

    def proxy_state(self) -> dict[str, Any] | None:
        if self.baked is None:
            return None
        bricks = self.baked.bricks
        return {"resolution": bricks.resolution, "bytes": bricks.bytes}

    def _baked(self, settings: Settings) -> BakedScene | None:
        """The proxy, of what lies in the crop box and is as dense as the slider says."""
        baked = self.baked
        if baked is None or not (settings.get("box") or settings.get("threshold")):
            return baked
        key = (baked, repr(settings.get("box")), settings.get("threshold"))
        if self._left is None or self._left[0] != key:
            bits = self._bits(settings)
            self._left = (key, baked if bits is None else baked.left(bits))
        return self._left[1]

    def _guide(self, settings: Settings) -> BakedScene | None:
        """The proxy, where it says of the field's cells what the settings leave of them."""
        if not self._guides or self.baked is None:
            return None
        is_whole = not (settings.get("box") or settings.get("threshold"))
        if is_whole or self.baked.bricks.resolution // BRICK >= self.run.field.march.resolution:
            return self._baked(settings)
        return None

    # What is left out

    def _bounded(self, settings: Settings) -> SceneRun:
        """The run, of what lies in the crop box and is as dense as the slider says."""
        bits = self._bits(settings)
        if bits is None:
            return self.run
        field = copy.copy(self.run.field)
        field._modules = {**self.run.field._modules, "occupancy": _Bits(bits)}
        run = copy.copy(self.run)
        run.field = field
        return run

    def _bits(self, settings: Settings) -> Tensor | None:
        """The occupancy's, some of them cleared; None where none are."""
        box, threshold = settings.get("box"), float(settings.get("threshold") or 0.0)
        if not box and not threshold:
            return None
        field = self.run.field
        occupancy, n = field.occupancy, field.march.resolution
        words = []
        for cascade, bits in enumerate(occupancy.bits):
            kept = cells(bits, n)
            side = 2.0 ** (cascade + 1 - occupancy.bits.shape[0])
            if box:
                corners = torch.from_numpy(
                    self.run.space.to_unit(np.asarray(box, float).reshape(2, 3))
                ).float()
                if field.march.contract:
                    corners = contracted(corners)
                at = ((corners - (0.5 - side / 2)) / side * n).round().long().clamp(0, n)
                inside = torch.zeros_like(kept)
                (x0, y0, z0), (x1, y1, z1) = at.tolist()
                inside[z0:z1, y0:y1, x0:x1] = True
                kept = kept & inside
            if threshold:
                kept = kept & (self._density()[cascade] >= 10**threshold)
            words.append(torch.cat([found := words_of(kept), bits[len(found) :]]))
        return torch.stack(words)

    def _density(self) -> Tensor:
        """At the centres of all cells [cascades, n, n, n]; asked once for every state of it."""
        if self._densities is None or self._densities[0] != self.step:
            field = self.run.field
            n, count = field.march.resolution, field.occupancy.bits.shape[0]
            at = (torch.arange(n) + 0.5) / n
            z, y, x = torch.meshgrid(at, at, at, indexing="ij")
            unit = torch.stack([x, y, z], -1).reshape(-1, 3)
            found = []
            with torch.inference_mode():
                for cascade in range(count):
                    side = 2.0 ** (cascade + 1 - count)
                    coords = (0.5 + (unit - 0.5) * side).to(device_of(field))
                    times = None if field.dim == 3 else torch.zeros(len(coords)).to(coords)
                    found.append(field.density(coords, times)[0].view(n, n, n))
            self._densities = (self.step, torch.stack(found))
        return self._densities[1]

    def _occupancy(self, camera: Camera, settings: Settings) -> np.ndarray:
        """How far away the first cell is that may have density."""
        field = self.run.field
        bits = self._bits(settings)
        where = device_of(field)
        origins, directions = rays_of(camera, self.run.space, where)
        with torch.inference_mode():
            _, t, _, _, offsets = ops.march_rays(
                origins, directions, field.occupancy.bits if bits is None else bits, field.march
            )
            met = offsets[1:] > offsets[:-1]
            distance = torch.zeros(len(origins), device=where)
            distance[met] = t[offsets[:-1][met].long()]
        eye = self.run.space.to_unit(camera.position)
        middle, half = float(np.linalg.norm(eye - 0.5)), math.sqrt(3) / 2
        span = (max(middle - half, 0.0), middle + half)
        depth = distance.view(camera.height, camera.width).cpu().numpy()
        return mapped(as_bytes(depth_picture(depth, span)), settings.get("colours", "grey"))


class _Bits(nn.Module):
    """Stands for an occupancy."""

    def __init__(self, bits: Tensor):
        super().__init__()
        self.bits = bits
