"""A volume as a signal: batches of its voxels, and how well a field draws them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fields import ops
from fields.shapes import Volume
from fields.signals.picture_score import MOST_PSNR

SAMPLED = 1 << 15
_MARGIN = 0.1  # dB, as for pictures
_SEED = 2**31 - 2
_CHUNK = 1 << 17


class VolumeSignal:
    """The voxels of a volume on a device; values from its least to its largest are 0 to 1.

    Coordinates are (x, y, z) in [0, 1], each axis stretched to it; voxel centres lie at
    (i + 0.5) / size.
    """

    kind = "volume"
    decided: Mapping[str, Any] = {}
    loss = "l2"
    metric = "psnr"
    unit = " dB"
    dim = 3
    channels = 1
    sampled = SAMPLED
    notes = ()

    def __init__(self, volume: Volume, device: torch.device):
        self.source = volume
        low, high = volume.window
        self.values = torch.from_numpy((volume.values - low) / np.float32(high - low)).to(device)

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def shape(self) -> tuple[int, int, int]:
        x, y, z = self.values.shape
        return x, y, z

    def __str__(self) -> str:
        low, high = self.source.window
        return f"{' x '.join(map(str, self.shape))} voxels, {low:g} to {high:g}"

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates [count, 3] and values [count, 1] of voxels spread over the volume."""
        x, y, z = self.shape
        # As a picture of z columns; a row is one (x, y), told exactly by float32 up to 2^23 rows.
        flat, values = ops.sample_pixels(self.values.view(x * y, z, 1), count, seed, step)
        row = (flat[:, 1].double() * (x * y)).long()
        coords = torch.empty(count, 3, device=flat.device)
        coords[:, 0] = (row.div(y, rounding_mode="floor") + 0.5) / x
        coords[:, 1] = (row % y + 0.5) / y
        coords[:, 2] = flat[:, 0]
        return coords, values

    @property
    def samples_for_fresh(self) -> Tensor:
        """[Z, Y, X, 1]: axes in the reverse order of the coordinates."""
        return self.values.permute(2, 1, 0)[..., None]

    def estimate(self, loss: float, name: str) -> float | None:
        return -10 * math.log10(max(loss, 1e-12)) if name == "l2" else None

    def sampled_score(self, field: nn.Module) -> float:
        coords, values = self.batch(min(SAMPLED, self.values.numel()), _SEED, 1)
        with torch.inference_mode():
            error = (field(coords).clamp(0, 1) - values).square().mean().item()
        return min(-10 * math.log10(max(error, 1e-20)), MOST_PSNR) - _MARGIN

    def score(self, field: nn.Module) -> float:
        """PSNR in dB over all voxels, of values clamped to the window."""
        total = 0.0
        flat = self.values.reshape(-1)
        x, y, z = self.shape
        for begin in range(0, len(flat), _CHUNK):
            index = torch.arange(begin, min(begin + _CHUNK, len(flat)), device=flat.device)
            centres = [
                (index.div(y * z, rounding_mode="floor") + 0.5) / x,
                (index.div(z, rounding_mode="floor") % y + 0.5) / y,
                (index % z + 0.5) / z,
            ]
            with torch.inference_mode():
                values = field(torch.stack(centres, 1).float())[:, 0].clamp(0, 1)
            total += (values - flat[begin : begin + _CHUNK]).double().square().sum().item()
        return min(-10 * math.log10(max(total / len(flat), 1e-20)), MOST_PSNR)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint says of the signal."""
        return {
            "kind": self.kind,
            "name": self.name[:60],
            "shape": list(self.shape),
            "window": list(self.source.window),
        }

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def colours(self) -> None:
        """None of its own."""

    def world_to_unit(self) -> list[list[float]]:
        """4 x 4: voxels (x, y, z, 1) to the unit cube."""
        x, y, z = self.shape
        return np.diag([1 / x, 1 / y, 1 / z, 1.0]).tolist()

    def fingerprint(self) -> str:
        """A hash of the voxels."""
        digest = hashlib.sha256(repr(self.shape).encode())
        digest.update(np.ascontiguousarray(self.source.values).data)
        return digest.hexdigest()
