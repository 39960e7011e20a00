"""How the points of a surface look: lit, in colour alone, as normals or by depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_CLAY = (0.80, 0.77, 0.73)  # sRGB


@dataclass(frozen=True)
class Light:
    """The light of one view.

    Args:
        shading: "lit" (over the left shoulder of the camera), "colour" (without light), "normals"
            (x, y, z as red, green, blue), or "depth" (near is bright).
        view: [3, 3], the axes of the camera as columns: right, up, backward.
        two_sided: a surface without an inside shows either side.
        colours: points [N, 3] -> RGB in [0, 1] (sRGB); None draws clay.
    """

    shading: str
    view: Tensor
    two_sided: bool = False
    colours: Callable[[Tensor], Tensor] | None = None

    @property
    def needs_normals(self) -> bool:
        return self.shading in ("lit", "normals")

    def shades(self, points: Tensor, rays: Tensor, normals: Tensor | None) -> Tensor:
        """sRGB [N, 3] of points on the surface.

        Args:
            points: [N, 3] in the unit cube.
            rays: [N, 3], directions from the camera.
            normals: [N, 3], None where none are needed.
        """
        if self.shading == "depth":
            depth = (points - 0.5) @ self.view[:, 2]  # towards the camera
            return (0.5 + depth / 1.6).clamp(0, 1)[:, None].expand(-1, 3)
        if self.shading == "colour" or normals is None:
            return self._base(points).expand(len(points), 3)
        if self.two_sided:
            normals = torch.where((normals * rays).sum(1, keepdim=True) > 0, -normals, normals)
        if self.shading == "normals":
            return 0.5 + 0.5 * normals
        return self._lit(self._base(points), normals, rays)

    def _lit(self, base: Tensor, normals: Tensor, rays: Tensor) -> Tensor:
        up, left = self.view[:, 1], self.view.new_tensor([-0.45, 0.65, 0.6])
        light = torch.nn.functional.normalize(self.view @ left, dim=0)
        diffuse = (normals @ light).clamp(min=0)
        sky = 0.5 + 0.5 * (normals @ up)
        half = torch.nn.functional.normalize(light - rays, dim=1)
        shine = (normals * half).sum(1).clamp(min=0) ** 40
        linear = base**2.2 * (0.75 * diffuse + 0.12 + 0.22 * sky)[:, None] + 0.12 * shine[:, None]
        return linear.clamp(0, 1) ** (1 / 2.2)

    def _base(self, points: Tensor) -> Tensor:
        """sRGB [N, 3], or [1, 3] for all, before any light."""
        return points.new_tensor([_CLAY]) if self.colours is None else self.colours(points)
