"""Sphere tracing: the pictures of a shape, straight from its field (Hart 1996)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from fields import ops
from fields.cameras import Camera
from fields.errors import Cancelled, cancelling
from fields.pixel_rays import directions_of
from fields.shading import Light
from fields.shapes import ShapeSpace

Values = Callable[[Tensor], Tensor]

MOST_STEPS = 192
BISECTIONS = 8
_CHUNK = 1 << 19  # rays at once
_SLOPE = 1.0 / 400  # of the cube: half the distance between the points of a difference quotient


class Walk(Protocol):
    """A field's own walk along rays, in one op: `ops.trace_grid_mlp` with its parameters."""

    def __call__(
        self,
        origins: Tensor,
        directions: Tensor,
        spec: ops.TraceSpec,
        *,
        box: Tensor | None,
        width: int | None,
        cancel: Tensor | None,
    ) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Tracer:
    """How a field is walked through; lengths are those of the unit cube.

    Args:
        values: points [N, 3] -> values [N], negative inside; of an unsigned distance >= 0.
        bound: the largest slope of the field: a step is value / bound. None for a field that is no
            distance: steps are then all `least` long.
        least: the shortest step, towards a surface that is not reached otherwise.
        near: values at which a ray has arrived.
        back: how far in front of the surface its normals are taken. At the surface itself the slope
            of an unsigned distance turns round, and is noise.
        leaps: points -> lengths [N] around them that are free; where they are longer than the
            shortest step, the field is not asked.
        most: steps after which a ray that goes along a surface is given up.
        box: [2, 3], corners within which there may be a surface; by default those of the cube.
        level: the value that stands for the surface.
        crop: [2, 3], corners of a box beside which nothing is shown; where it cuts an inside, its
            faces are the surface.
        walk: that of the field itself, which `surface` takes in place of the steps here. It asks
            the same field and ends at the same places, but for rays that graze a surface.
    """

    values: Values
    bound: float | None = 1.1
    least: float = 1e-3
    near: float = 2e-4
    back: float = 0.0
    leaps: Values | None = None
    most: int = MOST_STEPS
    box: Tensor | None = None
    level: float = 0.0
    crop: Tensor | None = None
    walk: Walk | None = None

    def surface(
        self,
        origin: Tensor,
        directions: Tensor,
        *,
        width: int | None = None,
        with_normals: bool = True,
        cancel: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Where rays from one place meet the surface, and where it faces.

        Args:
            origin: [3].
            directions: [N, 3] of unit length.
            width: N is a picture of so many columns.
            with_normals: whether they are asked for.
            cancel: uint8 [1] on the CPU; Cancelled is raised once it is not zero.

        Returns rays [K] int64, those that meet it, their distances [K] and normals [K, 3].
        """
        rays, t, normals = self._met(origin, directions, width, with_normals, cancel)
        if self.crop is not None and normals is not None and len(rays):
            normals = self._cut(origin, directions[rays], t, normals)
        return rays, t, normals

    def _met(
        self,
        origin: Tensor,
        directions: Tensor,
        width: int | None,
        with_normals: bool,
        cancel: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """`surface`, with the normals of the field everywhere."""
        if self.walk is None or not self.bound:
            t = self.hits(origin.expand_as(directions), directions, cancel)
            rays = t.isfinite().nonzero()[:, 0]
            normals = None
            if with_normals:
                along = directions[rays]
                normals = self.normals(origin + (t[rays, None] - self.back) * along)
            return rays, t[rays], normals
        offset = _SLOPE if with_normals else 0.0
        spec = ops.TraceSpec(
            self.bound, self.least, self.near, self.level, self.back, offset, self.most
        )
        with cancelling():
            t, normals = self.walk(
                origin[None], directions, spec, box=self._bounds, width=width, cancel=cancel
            )
        rays = t.isfinite().nonzero()[:, 0]
        return rays, t[rays], normals[rays] if with_normals else None

    def hits(self, origins: Tensor, directions: Tensor, cancel: Tensor | None = None) -> Tensor:
        """Distances [N] at which rays meet the surface; infinite where they do not."""
        start, end = _box(origins, directions, self._bounds)
        found = torch.full_like(start, float("inf"))
        active = (start < end).nonzero()[:, 0]
        t = start[active]
        before = t
        crossed: list[tuple[Tensor, Tensor, Tensor]] = []  # rays, last outside, first inside
        for _ in range(self.most if self.bound else int(2 / self.least)):
            if not len(active):
                break
            if cancel is not None and cancel.item():
                raise Cancelled("cancelled")
            value, step = self._ask(origins[active] + t[:, None] * directions[active])
            inside = value < 0
            done = inside
            if self.bound:
                arrived = (value <= self.near) & ~inside
                found[active[arrived]] = t[arrived]
                done = inside | arrived
            crossed.append((active[inside], before[inside], t[inside]))
            going = ~done & (t + step < end[active])
            before = t[going]
            t = (t + step)[going]
            active = active[going]
        # All at once: a question costs more than its points where they are few.
        if crossed:
            which, low, high = (torch.cat(part) for part in zip(*crossed, strict=True))
            found[which] = self._between(origins[which], directions[which], low, high)
        return found

    def _ask(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The values [N] there, infinite where they are not asked, and the steps to take."""
        if self.bound:
            values = self._above(points)
            return values, (values / self.bound).clamp(min=self.least)
        if self.leaps is None:
            return self._above(points), points.new_full((len(points),), self.least)
        step = self.leaps(points).clamp(min=self.least)
        values = torch.full_like(step, float("inf"))
        close = (step <= self.least).nonzero()[:, 0]
        values[close] = self._above(points[close])
        return values, step

    def _above(self, points: Tensor) -> Tensor:
        return self.values(points) - self.level if self.level else self.values(points)

    def _between(self, origins: Tensor, directions: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Where values change their sign: outside at `low`, inside at `high`."""
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            inside = self._above(origins + middle[:, None] * directions) < 0
            low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
        return (low + high) / 2

    @property
    def _bounds(self) -> Tensor | None:
        """[2, 3] of what is walked through."""
        if self.box is None or self.crop is None:
            return self.box if self.crop is None else self.crop
        low = torch.maximum(self.box[0], self.crop[0])
        return torch.stack([low, torch.minimum(self.box[1], self.crop[1]).maximum(low)])

    def _cut(self, origin: Tensor, directions: Tensor, t: Tensor, normals: Tensor) -> Tensor:
        """Normals [K, 3] of what rays met, those of the crop box where it cuts an inside."""
        assert self.crop is not None
        inverse = 1 / torch.where(directions.abs() < 1e-12, 1e-12, directions)
        entered = torch.minimum(
            (self.crop[0] - origin) * inverse, (self.crop[1] - origin) * inverse
        )
        start, axis = entered.max(1)
        at = ((t - start).abs() < 1e-5).nonzero()[:, 0]
        at = at[self._above(origin + t[at, None] * directions[at]) < 0]
        faces = torch.zeros_like(normals[at])
        axis = axis[at, None]
        faces.scatter_(1, axis, -directions[at].gather(1, axis).sign())
        return normals.index_copy(0, at, faces)

    def normals(self, points: Tensor) -> Tensor:
        """Unit normals [N, 3] by central differences."""
        offsets = _SLOPE * torch.eye(3, device=points.device)
        slopes = [self.values(points + o) - self.values(points - o) for o in offsets]
        return torch.nn.functional.normalize(torch.stack(slopes, 1), dim=1)


def _box(origins: Tensor, directions: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
    """Where rays enter and leave a box, or the unit cube."""
    low, high = (0.0, 1.0) if box is None else box
    inverse = 1 / torch.where(directions.abs() < 1e-12, 1e-12, directions)
    a, b = (low - origins) * inverse, (high - origins) * inverse
    start = torch.minimum(a, b).amax(1).clamp(min=0)
    return start, torch.maximum(a, b).amin(1)


def draw(
    tracer: Tracer,
    camera: Camera,
    space: ShapeSpace,
    *,
    shading: str = "lit",
    smooth: int = 2,
    two_sided: bool = False,
    colours: Values | None = None,
    device: torch.device | None = None,
    cancel: Tensor | None = None,
) -> np.ndarray:
    """A picture of a shape before white.

    Args:
        tracer: of the field.
        camera: in units of the source.
        space: of the field.
        shading: "lit" (a light over the left shoulder of the camera), "colour" (without light),
            "normals" (x, y, z as red, green, blue), or "depth" (near is bright).
        smooth: pixels along an axis that one is the mean of.
        two_sided: a surface without an inside shows either side.
        colours: points [N, 3] -> RGB in [0, 1] (sRGB); None draws clay.
        cancel: uint8 [1] on the CPU; Cancelled is raised once it is not zero.

    Returns [height, width, 3] uint8.
    """
    large = camera.enlarged(smooth)
    origin = torch.from_numpy(space.to_unit(camera.position)).float().to(device)
    view = torch.from_numpy(camera.cam_to_world[:3, :3].copy()).float().to(device)
    light = Light(shading, view, two_sided, colours)
    unit = ops.SQUARE * smooth  # rows of whole squares of rays, and of whole pixels
    rows = max(_CHUNK // (large.width * unit), 1) * unit
    bands = []
    with torch.inference_mode():
        for top in range(0, large.height, rows):
            band = large.cropped(0, top, large.width, min(top + rows, large.height))
            directions = directions_of(band, device)
            hit, t, normals = tracer.surface(
                origin,
                directions,
                width=band.width,
                with_normals=light.needs_normals,
                cancel=cancel,
            )
            shade = torch.ones_like(directions)
            if len(hit):
                along = directions[hit]
                shade[hit] = light.shades(origin + t[:, None] * along, along, normals)
            shade = shade.view(-1, smooth, camera.width, smooth, 3).mean((1, 3))
            bands.append((shade * 255).round().clamp(0, 255).byte())
    return torch.cat(bands).cpu().numpy()
