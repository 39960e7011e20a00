"""Where the views of a scene are still wrong, by tiles of pixels, and how often each is drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from fields import ops
from fields.signals.views import Views

SIDE = 16  # pixels of a tile
SHARE = 0.5  # of the rays, drawn in proportion to errors; the others anywhere
DECAY = 0.9  # of what is known, at each `follow`
PRIOR = 4.0  # rays with the mean error, as many as which each tile begins with


class ErrorMap:
    """Half of the rays go where errors are: to a tile in proportion to the mean error of the rays
    that went there, times its pixels (Mueller et al. 2022, whose code has such a map).

    `weights` are what losses are divided by in turn, so that their mean is expected to be that over
    all pixels alike: the fit minimises the same as without a map, from other rays.

    Attributes:
        among: numbers of the pixels that count, tile by tile; None for all.
        tiles: as ops.sample_rays takes them.
    """

    def __init__(self, views: Views):
        images, height, width = views.pixels.shape[:3]
        self._shape = (height, width)
        self._grid = ops.Tiles.grid(SIDE, height, width)
        tiles, where = images * self._grid[0] * self._grid[1], views.pixels.device
        self.among, starts = None, None
        if views.among is None:
            down, across = (
                torch.tensor([min(SIDE, side - at) for at in range(0, side, SIDE)])
                for side in (height, width)
            )
            pixels = (down[:, None] * across).flatten().repeat(images).to(where)
        else:
            of = self._tiles_of(views.among)
            self.among = views.among[torch.argsort(of, stable=True)]
            pixels = torch.bincount(of, minlength=tiles)
            starts = torch.nn.functional.pad(pixels.cumsum(0), (1, 0))
        self._pixels = pixels.double() / pixels.sum()  # share of each tile
        self._errors = torch.zeros(tiles, device=where)  # sums, of rays
        self._rays = torch.zeros(tiles, device=where)
        self._shares = self._pixels.clone()  # of the rays
        self.tiles = ops.Tiles(SIDE, self._shares.cumsum(0), starts)

    def tensors(self) -> dict[str, Tensor]:
        """All that the next step depends on."""
        return {
            "pixels.errors": self._errors,
            "pixels.rays": self._rays,
            "pixels.shares": self._shares,
            "pixels.upto": self.tiles.upto,
        }

    def weights(self, pixels: Tensor) -> Tensor:
        """[R]: how often pixels [R] would be drawn if all were alike, over how often they are; at
        most 2."""
        of = self._tiles_of(pixels)
        return (self._pixels[of] / self._shares[of]).float()

    def add(self, pixels: Tensor, errors: Tensor) -> None:
        """Note the errors [R] of rays through pixels [R]."""
        of = self._tiles_of(pixels)
        self._errors.index_add_(0, of, errors)
        self._rays.index_add_(0, of, torch.ones_like(errors))

    def follow(self) -> None:
        """Draw by what is known now; it fades as it is learned anew."""
        mean = self._errors.sum() / self._rays.sum().clamp(min=1)
        known = (self._errors + PRIOR * mean) / (self._rays + PRIOR)
        wrong = self._pixels * known
        total = wrong.sum()
        by_error = torch.where(total > 0, wrong / total, self._pixels)
        self._shares.copy_(SHARE * by_error + (1 - SHARE) * self._pixels)
        torch.cumsum(self._shares, 0, out=self.tiles.upto)
        self._errors *= DECAY
        self._rays *= DECAY

    def _tiles_of(self, pixels: Tensor) -> Tensor:
        """The tile of each pixel, by its number."""
        height, width = self._shape
        row = pixels // width
        image = row // height
        rows, columns = self._grid
        within = (row - image * height) // SIDE * columns + (pixels - row * width) // SIDE
        return image * (rows * columns) + within
