"""A picture as a signal: batches of its pixels to learn from, and how well a field draws it."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fields import ops
from fields.pictures import Picture, PictureScore
from fields.render import bands
from fields.signals.picture_score import MOST_PSNR
from fields.signals.picture_space import PictureSpace

NAME_LENGTH = 60  # characters of a source's name in a file: at most 14 bytes each
SAMPLED_PIXELS = 1 << 15  # drawn and scored in 2 to 3 ms
SAMPLED_MARGIN = 0.1  # dB: about two standard deviations of the PSNR of so many pixels
SAMPLED_SEED = 2**31 - 2  # batches of the training are of other seeds, in practice


class PictureSignal:
    """The pixels of a picture on a device.

    Coordinates are (x, y) in [0, 1], y down, each axis stretched to it; pixel centres lie at
    (i + 0.5) / size. Values are as PictureSpace says.
    """

    kind = "picture"
    decided: Mapping[str, Any] = {}
    loss = "l2"
    metric = "psnr"
    unit = " dB"
    dim = 2
    notes = ()

    def __init__(self, picture: Picture, device: torch.device, downscaled: int = 1):
        """`downscaled` says how many times smaller than its file the picture was made."""
        self.picture = picture
        self.downscaled = downscaled
        self.space = PictureSpace.of(picture)
        pixels = picture.pixels
        if picture.is_hdr:
            pixels = self.space.to_values(pixels)
        # Some decoders hand out memory of their own that must not be written to.
        pixels = np.require(pixels, requirements=["C", "W"])
        self.pixels = torch.from_numpy(pixels).to(device)

    @property
    def name(self) -> str:
        return self.picture.name

    @property
    def channels(self) -> int:
        return self.picture.channels

    @property
    def shape(self) -> tuple[int, int]:
        """Samples along x and y."""
        return self.picture.width, self.picture.height

    def __str__(self) -> str:
        return str(self.space)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint says of the signal; of a long name, as much as its header has room."""
        name = self.name[:NAME_LENGTH]
        space = self.space.as_dict()
        return {"kind": self.kind, "name": name, **space, "downscale": self.downscaled}

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds of the signal beside weights: its colour profile."""
        if not self.picture.icc:
            return {}
        return {"signal.icc": torch.frombuffer(bytearray(self.picture.icc), dtype=torch.uint8)}

    def colours(self) -> None:
        """None of its own."""

    def world_to_unit(self) -> list[list[float]]:
        """3 x 3: pixels (x, y, 1) of the source to the unit square."""
        return [[1 / self.shape[0], 0.0, 0.0], [0.0, 1 / self.shape[1], 0.0], [0.0, 0.0, 1.0]]

    def fingerprint(self) -> str:
        """A hash of the pixels: a fit goes on only with the same source."""
        digest = hashlib.sha256(repr((self.picture.pixels.shape, self.space.dtype)).encode())
        digest.update(np.ascontiguousarray(self.picture.pixels).data)
        return digest.hexdigest()

    def batch(self, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates [count, 2] and values [count, C] of pixels spread over the picture.

        The same for the same seed and step, for any number of threads.
        """
        return ops.sample_pixels(self.pixels, count, seed, step)

    @property
    def samples_for_fresh(self) -> Tensor:
        """[H, W, C], whose spectrum FreSh compares."""
        return self.pixels

    def estimate(self, loss: float, name: str) -> float | None:
        """The PSNR that a mean squared error of values lets one expect; exact for plain pictures
        but for the rounding. None for a loss of another name, which does not say."""
        return -10 * math.log10(max(loss, 1e-12)) if name == "l2" else None

    @property
    def sampled(self) -> int:
        """Pixels of `sampled_score`."""
        return min(SAMPLED_PIXELS, math.prod(self.shape))

    def sampled_score(self, field: nn.Module) -> float:
        """As `score`, on pixels drawn from all over the picture, less a margin for their choice.

        Of a picture of no more than SAMPLED_PIXELS it takes each, and no margin.
        """
        coords, targets = self.batch(self.sampled, SAMPLED_SEED, 1)
        with torch.inference_mode():
            values = field(coords).float().cpu().numpy()
        drawn, true = (self.space.to_pixels(v[None]) for v in (values, targets.cpu().numpy()))
        score = PictureScore(Picture(true, self.name, "png"))
        score.add(0, drawn)
        margin = SAMPLED_MARGIN if self.sampled < math.prod(self.shape) else 0.0
        return min(score.psnr - margin, MOST_PSNR)

    def score(self, field: nn.Module) -> float:
        """PSNR in dB of the field on every pixel, clamped and rounded, at most MOST_PSNR; see
        PictureScore."""
        score = PictureScore(self.picture)
        for top, values in bands(field, self.shape):
            score.add(top, self.space.to_pixels(values.numpy()))
        return min(score.psnr, MOST_PSNR)
