"""The run of a volume: its slices, and the surfaces at its levels."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fields import folder
from fields.errors import FieldsError, NoSurface
from fields.pictures import png
from fields.pictures.naming import shown
from fields.render import Box, Size, bands, device_of, enlarged
from fields.runs.run import Run
from fields.runs.shape import in_units
from fields.shapes import Volume, read_volume
from fields.shapes.extract import extract
from fields.shapes.limits import check_level
from fields.shapes.polish import field_normals
from fields.signals.volume import VolumeSignal

_AXES = {"x": 0, "y": 1, "z": 2}


class VolumeRun(Run):
    """A fitted volume: see Run.

    Attributes:
        shape: voxels along x, y and z.
        window: the values of the source that are 0 and 1 in the field.
    """

    def _read_signal(self, signal: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        try:
            x, y, z = signal["shape"]
            low, high = signal["window"]
            self.shape, self.window = (int(x), int(y), int(z)), (float(low), float(high))
            if min(self.shape) < 2 or not -math.inf < self.window[0] < self.window[1] < math.inf:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise FieldsError(f"{shown(self.path)} describes no volume; fit again") from None

    def render(
        self,
        size: Size | float | None = None,
        crop: Box | None = None,
        *,
        axis: str = "z",
        at: float = 0.5,
        cancel: Tensor | None = None,
    ) -> np.ndarray:
        """A slice across an axis, as a grey picture.

        Args:
            size: (width, height) in pixels, or how many for each voxel along an axis; by default
                one.
            crop: (x0, y0, x1, y1) in those pixels, x1 and y1 not included.
            axis: x, y or z.
            at: where on that axis, from 0 to 1.
            cancel: [1]; Cancelled is raised once it is not zero.

        Returns [height, width, 1] uint8; the first of the other two axes to the right, the second
        downwards.
        """
        if axis not in _AXES or not 0 <= at <= 1:
            raise FieldsError(f"a slice is across x, y or z, at 0 to 1; got {axis} at {at}")
        across = _AXES[axis]
        u, v = (other for other in range(3) if other != across)
        where = device_of(self.field)

        def plane(coords: Tensor) -> Tensor:
            points = torch.full((len(coords), 3), at, device=where)
            points[:, u], points[:, v] = coords[:, 0], coords[:, 1]
            return self.field(points)

        voxels = (self.shape[u], self.shape[v])
        if size is None:
            size = voxels
        elif isinstance(size, (int, float)):
            size = enlarged(voxels, size)
        parts = [
            values.numpy()
            for _, values in bands(_Plane(plane, self.field), size, crop, cancel=cancel)
        ]
        return (np.concatenate(parts)[..., :1] * 255).round().clip(0, 255).astype(np.uint8)

    def mesh(
        self, resolution: int = 256, level: float | None = None, **options: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The surface at a value of the source (by default half-way of the window), in voxels.

        Returns vertices [V, 3], faces [F, 3] and unit normals [V, 3], which point to lower values.
        """
        low, high = self.window
        if level is not None:
            check_level(level)
        share = 0.5 if level is None else (level - low) / (high - low)

        def below(coords: Tensor) -> Tensor:
            return share - self.field(coords.to(device_of(self.field)))[:, 0]

        try:
            vertices, faces = extract(below, resolution, is_distance=False, **options)
        except NoSurface as error:
            asked = low + share * (high - low)
            raise in_units(error, asked, lambda v: low + (share - v) * (high - low)) from None
        normals = field_normals(below, vertices)
        return vertices * np.asarray(self.shape), faces, normals

    def png(self, longest: int | None = None) -> bytes:
        """The three middle slices side by side as a PNG file."""
        views = [self.render(axis=axis) for axis in _AXES]
        height = max(view.shape[0] for view in views)
        padded = [np.pad(v, ((0, height - len(v)), (0, 4), (0, 0))) for v in views]
        return png.encode(np.concatenate(padded, axis=1), None)

    def source(self, path: str | os.PathLike | None = None) -> Volume:
        """The volume that was fitted; by default read from where it was."""
        return read_volume(self._source_path() if path is None else path)

    def scores(self, volume: Volume) -> dict[str, Any]:
        """PSNR over all voxels of a volume, of its window."""
        if volume.values.shape != self.shape:
            ours = " x ".join(map(str, self.shape))
            raise FieldsError(f"{volume.name} has other voxels than the {ours} that were fitted")
        return {"psnr": round(VolumeSignal(volume, device_of(self.field)).score(self.field), 4)}

    def finish(self, signal: VolumeSignal, place: folder.RunFolder) -> dict[str, Any]:
        with place.replacing(folder.PREVIEW) as file:
            file.write(self.png())
        return self.scores(signal.source)

    @property
    def described(self) -> str:
        return f"{' x '.join(map(str, self.shape))} voxels"

    def __repr__(self) -> str:
        score = f", {self.metrics['psnr']:.2f} dB" if self.metrics.get("psnr") else ""
        return f"Run({shown(self.path)!r}: {self.config['model']}, {self.described}{score})"


class _Plane(nn.Module):
    """A slice as a field of two coordinates."""

    def __init__(self, values: Any, field: nn.Module):
        super().__init__()
        self.values = values
        self.field = field

    def forward(self, coords: Tensor) -> Tensor:
        return self.values(coords)
