"""Sphere tracing: the pictures of a shape, straight from its field (Hart 1996)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fields.cameras import Camera
from fields.errors import Cancelled
from fields.shapes import ShapeSpace

Values = Callable[[Tensor], Tensor]

MOST_STEPS = 192
BISECTIONS = 8
_CLAY = (0.80, 0.77, 0.73)  # sRGB
_CHUNK = 1 << 19  # rays at once
_SLOPE = 1.0 / 400  # of the cube: half the distance between the points of a difference quotient


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
    """

    values: Values
    bound: float | None = 1.1
    least: float = 1e-3
    near: float = 2e-4
    back: float = 0.0
    leaps: Values | None = None
    most: int = MOST_STEPS
    box: Tensor | None = None

    def hits(self, origins: Tensor, directions: Tensor, cancel: Tensor | None = None) -> Tensor:
        """Distances [N] at which rays meet the surface; infinite where they do not."""
        start, end = _box(origins, directions, self.box)
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
            values = self.values(points)
            return values, (values / self.bound).clamp(min=self.least)
        if self.leaps is None:
            return self.values(points), points.new_full((len(points),), self.least)
        step = self.leaps(points).clamp(min=self.least)
        values = torch.full_like(step, float("inf"))
        close = (step <= self.least).nonzero()[:, 0]
        values[close] = self.values(points[close])
        return values, step

    def _between(self, origins: Tensor, directions: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Where values change their sign: outside at `low`, inside at `high`."""
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            inside = self.values(origins + middle[:, None] * directions) < 0
            low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
        return (low + high) / 2

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
        cancel: [1]; Cancelled is raised once it is not zero.

    Returns [height, width, 3] uint8.
    """
    large = camera.enlarged(smooth)
    eye, directions = large.rays()
    origin = torch.from_numpy(space.to_unit(eye)).float().to(device)
    rays = torch.from_numpy(directions).float().to(device)
    view = torch.from_numpy(camera.cam_to_world[:3, :3].copy()).float().to(device)
    shades = []
    with torch.inference_mode():
        for part in rays.split(_CHUNK):
            t = tracer.hits(origin.expand_as(part), part, cancel)
            shade = torch.ones(len(part), 3, device=part.device)
            hit = t.isfinite().nonzero()[:, 0]
            if len(hit):
                points = origin + t[hit, None] * part[hit]
                shade[hit] = _shade(tracer, points, part[hit], view, shading, two_sided, colours)
            shades.append(shade)
    picture = torch.cat(shades).view(camera.height, smooth, camera.width, smooth, 3).mean((1, 3))
    return (picture * 255).round().clamp(0, 255).byte().cpu().numpy()


def _shade(
    tracer: Tracer,
    points: Tensor,
    rays: Tensor,
    view: Tensor,
    shading: str,
    two_sided: bool,
    colours: Values | None,
) -> Tensor:
    """sRGB [N, 3] of points on the surface."""
    if shading == "depth":
        depth = (points - points[:1] * 0 - 0.5) @ view[:, 2]  # towards the camera
        return (0.5 + depth / 1.6).clamp(0, 1)[:, None].expand(-1, 3)
    if shading == "colour":
        return _base(points, colours)
    normals = tracer.normals(points - tracer.back * rays)
    if two_sided:
        normals = torch.where((normals * rays).sum(1, keepdim=True) > 0, -normals, normals)
    if shading == "normals":
        return 0.5 + 0.5 * normals
    base = _base(points, colours)
    light = torch.nn.functional.normalize(view @ view.new_tensor([-0.45, 0.65, 0.6]), dim=0)
    diffuse = (normals @ light).clamp(min=0)
    sky = 0.5 + 0.5 * (normals @ view[:, 1])
    half = torch.nn.functional.normalize(light - rays, dim=1)
    shine = (normals * half).sum(1).clamp(min=0) ** 40
    linear = base**2.2 * (0.75 * diffuse + 0.12 + 0.22 * sky)[:, None] + 0.12 * shine[:, None]
    return linear.clamp(0, 1) ** (1 / 2.2)


def _base(points: Tensor, colours: Values | None) -> Tensor:
    """sRGB [N, 3] before any light."""
    return points.new_tensor(_CLAY).expand(len(points), 3) if colours is None else colours(points)
