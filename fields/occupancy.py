"""Where a field has density, kept up while it is trained: a grid of cells, some of them empty."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fields import ops
from fields.ops.checks import check, in_range

# The density at which a step of sqrt(3) / 1024 takes a hundredth of the light (Mueller et al. 2022,
# appendix E.2).
THRESHOLD = 0.01 * 1024 / math.sqrt(3)


class Occupancy(nn.Module):
    """Cells of the unit cube, and of smaller cubes around its centre, that may have density.

    Args:
        resolution: cells along an axis of each cube, a power of two from 4 to 512.
        cascades: number of cubes; cube c has the side 2^(c + 1 - cascades).
        threshold: cells count as empty up to this density, or to the mean of all cells where that
            is less.

    Buffers `density` [cascades, n, n, n] in the order z, y, x, negative for cells that no camera
    sees, and `bits` for ops.march_rays. All cells are set until the first update.
    """

    density: Tensor
    bits: Tensor

    def __init__(self, resolution: int = 64, cascades: int = 1, threshold: float = THRESHOLD):
        super().__init__()
        spec = ops.MarchSpec(resolution)
        in_range("cascades", cascades, 1, 16)
        self.resolution, self.cascades, self.threshold = resolution, cascades, threshold
        # A file of weights holds the bits; the density is the training's.
        density = torch.zeros(cascades, *[resolution] * 3)
        self.register_buffer("density", density, persistent=False)
        self.register_buffer("bits", torch.full((cascades, spec.words()), -1))

    @property
    def occupied(self) -> float:
        """Share of cells that are not empty."""
        return (self.density > self._level()).float().mean().item()

    @torch.no_grad()
    def update(
        self,
        density: Callable[[Tensor], Tensor],
        *,
        seed: int,
        step: int,
        samples: int | None = None,
        decay: float = 0.95,
    ) -> None:
        """Look at some cells, each at one place within it.

        Args:
            density: coords [N, 3] in [0, 1] -> densities [N].
            seed, step: together they determine cells and places.
            samples: half of them are spread over all cells, half over those that are not empty;
                None looks at all cells that cameras see.
            decay: what was known of a cell that is looked at fades by this factor.
        """
        generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
        cells = self._choose(samples, generator)
        place = torch.rand(len(cells), 3, generator=generator).to(cells.device)
        found = [density(c) for c in self._coords(cells, place).split(2**18)]
        values = torch.cat(found) if found else place[:, 0]
        self.bits = ops.occupancy_update(
            self.density, cells, values.float(), decay=decay, threshold=self.threshold
        )

    def cells(self) -> Tensor:
        """Which cells may have density, bool [cascades, n, n, n] in the order z, y, x."""
        return torch.stack([cells(words, self.resolution) for words in self.bits])

    def hide(self, hidden: Tensor) -> None:
        """Cells that no camera sees, bool [cascades, n, n, n]: empty from now on."""
        check(
            hidden.shape == self.density.shape and hidden.dtype == torch.bool,
            f"hidden must be {list(self.density.shape)} bool, got {tuple(hidden.shape)}",
        )
        self.density[hidden] = -1.0
        # Those of which nothing is known yet stay set.
        unknown = torch.where(self.density == 0, math.inf, self.density)
        none = torch.zeros(0, dtype=torch.int64, device=self.density.device)
        self.bits = ops.occupancy_update(
            unknown, none, none.float(), decay=1.0, threshold=self.threshold
        )

    def centres(self) -> Tensor:
        """Coordinates of all cells' centres, [cascades, n, n, n, 3]."""
        cells = torch.arange(self.density.numel(), device=self.density.device)
        middle = torch.full((len(cells), 3), 0.5, device=cells.device)
        return self._coords(cells, middle).view(*self.density.shape, 3)

    def _level(self) -> float:
        seen = self.density[self.density >= 0]
        return min(self.threshold, seen.mean().item()) if len(seen) else 0.0

    def _choose(self, samples: int | None, generator: torch.Generator) -> Tensor:
        flat = self.density.flatten()
        if samples is None:
            return torch.nonzero(flat >= 0)[:, 0]
        chosen = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
        for among in (torch.nonzero(flat >= 0)[:, 0], torch.nonzero(flat > self._level())[:, 0]):
            # One of each of so many equal parts.
            count = min(max(samples // 2, 1), len(among))
            within = torch.arange(count) + torch.rand(count, generator=generator)
            index = (within * (len(among) / max(count, 1))).long().clamp(max=len(among) - 1)
            chosen[among[index.to(flat.device)]] = True
        return torch.nonzero(chosen & (flat >= 0))[:, 0]

    def _coords(self, cells: Tensor, place: Tensor) -> Tensor:
        n = self.resolution
        cascade, z, y, x = torch.unravel_index(cells, self.density.shape)
        local = (torch.stack([x, y, z], 1) + place) / n
        side = torch.exp2((cascade + 1 - self.cascades).float())
        return (local - 0.5) * side[:, None] + 0.5


def cells(words: Tensor, resolution: int) -> Tensor:
    """Which cells of a cascade may have density, bool [n, n, n] in the order z, y, x; of its words
    as csrc/maths/occupancy.h has them."""
    bricks = resolution // 4
    bits = words[: bricks**3, None] >> torch.arange(64, device=words.device) & 1
    bits = bits.view(bricks, bricks, bricks, 4, 4, 4)  # z, y, x of the brick, then within it
    return bits.permute(0, 3, 1, 4, 2, 5).reshape([resolution] * 3).bool()


def open_at(bits: Tensor, resolution: int, coords: Tensor) -> Tensor:
    """Which places [N, 3] in [0, 1] lie in cells that may have density, those of the smallest cube
    that holds them: bool [N]. `bits` of an Occupancy."""
    away = 2 * (coords - 0.5).abs().amax(1)
    cube = (away.log2().ceil() + len(bits) - 1).clamp(0, len(bits) - 1).long()
    side = torch.exp2((cube + 1 - len(bits)).to(coords))[:, None]
    at = (((coords - 0.5) / side + 0.5) * resolution).long().clamp(0, resolution - 1)
    x, y, z = at.unbind(1)
    return torch.stack([cells(words, resolution) for words in bits])[cube, z, y, x]


def words_of(cells: Tensor) -> Tensor:
    """`cells` turned around, for the lowest level of a cascade's words: [n, n, n] -> int64
    [n^3 / 64]. Levels above may say of more cells that they may have density."""
    bricks = cells.shape[0] // 4
    bits = cells.view(bricks, 4, bricks, 4, bricks, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, 64)
    powers = torch.ones(64, dtype=torch.int64, device=cells.device) << torch.arange(
        64, device=cells.device
    )
    return (bits.long() * powers).sum(1)
