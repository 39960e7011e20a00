"""The bake of a radiance field: bricks that are drawn faster than it, and nearly as it is.

Between vertices the logarithm of the density is linear: so the border between matter and nothing
stays where the field has it. Colours are harmonics of the direction, fitted to what the field shows
along directions in which cameras look, and a row of bytes each (fields/palette.py). Vertices that
no camera sees have no colours of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import max_pool3d, normalize

from fields import ops
from fields.models.radiance import Radiance
from fields.occupancy import cells
from fields.ops.bricks import BRICK, FIRST_ROW_AT, ROW, ROWS_AT, VERTICES, Bricks
from fields.ops.checks import check
from fields.palette import palette_of
from fields.render import device_of

RESOLUTION, DEGREE = 512, 4
LEAST_ALPHA = 1e-3  # of a step, up to which a brick counts as empty
LOWEST_ALPHA = 1e-4  # of a step, of a byte of 0
HIGHEST_LOG = 12.0  # log density of a byte of 255
MOST_BRICKS = 300_000  # that are looked at
_UNIT = 8  # cells along an axis that are asked for at once, with the vertices that they share
_POINTS = 1 << 15  # at once, of densities
_COLOURS = 1 << 18  # at once: vertices times directions
_DIRECTIONS = 40
_SPREAD = 1 << 9  # bricks at once, whose vertices are given rows
_SAMPLE = 4096  # vertices, whose colours tell the palette of all


@dataclass(frozen=True, eq=False)
class Eyes:
    """Cameras that say what is seen of a field, with pictures of one size.

    Attributes:
        poses, intrinsics: [C, 3, 4] and [C, 4] float32, as ops.bricks_render takes them.
        size: (width, height) in pixels.
    """

    poses: Tensor
    intrinsics: Tensor
    size: tuple[int, int]

    def directions(self, count: int) -> Tensor:
        """[count, 3]: through random pixels of cameras, taken in turn."""
        generator = torch.Generator().manual_seed(0)
        which = torch.arange(count) * len(self.poses) // count
        k, pose = self.intrinsics.cpu()[which], self.poses.cpu()[which]
        pixel = torch.rand(count, 2, generator=generator) * torch.tensor(self.size)
        x = (pixel[:, 0] - k[:, 2]) / k[:, 0]
        y = (k[:, 3] - pixel[:, 1]) / k[:, 1]
        local = torch.stack([x, y, -torch.ones(count)], 1)
        turned = (pose[:, :, :3] @ local[:, :, None])[..., 0]
        return normalize(turned, dim=1).to(self.poses)


def can_be_baked(field: Radiance) -> bool:
    """It does not move, has a density whoever looks, and lies in the unit cube: all of space,
    contracted, is left to the field itself, since rays are bent there."""
    march = field.march
    still = field.dim == 3 and not field.of_rays and not march.contract and march.growth == 0
    return still and field.occupancy.bits.shape[0] == 1


def bake(field: Radiance, eyes: Eyes, **options) -> Bricks | None:
    """See `bake_in_parts`, all at once."""
    *_, bricks = bake_in_parts(field, eyes, **options)
    return bricks


def bake_in_parts(
    field: Radiance, eyes: Eyes, *, resolution: int = RESOLUTION, degree: int = DEGREE
) -> Iterator[Bricks | None]:
    """Bricks of a field, made in parts of some milliseconds each.

    Args:
        field: for which `can_be_baked` holds.
        eyes: whose cameras say what is seen.
        resolution: cells along an axis of the cube, a power of two from 64 to 1024; halved where
            the field has too much matter for it, as one has that is hardly trained.
        degree: of the harmonics of colours, 1 to 4.

    Yields None after each part and at last the bricks; None again where even a coarse grid would
    have too many of them.
    """
    check(
        can_be_baked(field), "only a field of places, without time, in the unit cube, can be baked"
    )
    check(
        resolution in (64, 128, 256, 512, 1024),
        f"resolution must be a power of two from 64 to 1024, got {resolution}",
    )
    check(1 <= degree <= 4, f"degree must be from 1 to 4, got {degree}")
    occupied = cells(field.occupancy.bits[0], field.march.resolution)
    while int(_at_resolution(occupied, resolution // BRICK).sum()) > MOST_BRICKS:
        resolution //= 2
        if resolution < 64:
            yield None
            return
    yield from _Baking(field, eyes, occupied, resolution, degree).parts()


def left(bricks: Bricks, bits: Tensor, resolution: int) -> Bricks:
    """Those that lie in set cells of an occupancy: the words of its one cascade, and its
    resolution."""
    side = bricks.resolution // BRICK
    kept = _at_resolution(cells(bits, resolution), side)
    blocks = kept.view(side // 4, 4, side // 4, 4, side // 4, 4).permute(0, 2, 4, 1, 3, 5)
    there = bricks.blocks >= 0
    pages = bricks.pages.clone()
    number = bricks.blocks[there].long()
    pages[number] = torch.where(blocks[there].reshape(-1, 64), pages[number], -1)
    return replace(bricks, pages=pages)


class _Baking:
    def __init__(self, field: Radiance, eyes: Eyes, occupied: Tensor, resolution: int, degree: int):
        self.field, self.eyes, self.n, self.degree = field, eyes, resolution, degree
        self.occupied = occupied
        self.where = device_of(field)
        self.step = field.march.step
        self.walk = {"step": self.step, "near": field.march.near}
        low = math.log(LOWEST_ALPHA / self.step)
        self.range = (low, (HIGHEST_LOG - low) / 255)

    def parts(self) -> Iterator[Bricks | None]:
        places, codes = [], []
        for part in self._densities():
            places.append(part[0])
            codes.append(part[1])
            yield None
        place = torch.cat(places) if places else torch.zeros(0, 3, dtype=torch.int64)
        code = torch.cat(codes) if codes else torch.zeros(0, VERTICES, dtype=torch.uint8)
        order = self._number(place).argsort()
        place, code = place[order], code[order]
        bare = self._bricks(place, code, None)
        yield None
        seen = torch.zeros(len(place), VERTICES, dtype=torch.bool, device=self.where)
        for i in range(len(self.eyes.poses)):
            seen |= ops.bricks_seen(
                bare,
                self.eyes.poses[i : i + 1],
                self.eyes.intrinsics[i : i + 1],
                self.eyes.size,
                **self.walk,
            ).bool()
            yield None
        kept = self._near(place, seen.any(1))
        place, code, seen = place[kept], code[kept], seen[kept]
        yield None
        tables = None
        for part in self._colours(place, code, seen):
            tables = part
            yield None
        yield self._bricks(place, code, tables)

    # Densities

    def _densities(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Places [K, 3] (x, y, z, in bricks) and bytes [K, 125] of bricks that are not empty."""
        units = _at_resolution(self.occupied, self.n // _UNIT).nonzero().flip(1)
        of_brick = _at_resolution(self.occupied, self.n // BRICK)
        for some in units.split(max(_POINTS // (_UNIT + 1) ** 3, 1)):
            raw = self._raw(some)
            # Each unit of 9^3 vertices to 2^3 bricks of 5^3.
            bricks = raw.unfold(1, 5, 4).unfold(2, 5, 4).unfold(3, 5, 4).reshape(-1, VERTICES)
            inner = torch.stack(torch.meshgrid(*[torch.arange(2)] * 3, indexing="ij"), -1).flip(-1)
            place = 2 * some[:, None] + inner.view(1, 8, 3).to(some)
            place = place.reshape(-1, 3)
            x, y, z = place.unbind(1)
            dense = bricks.amax(1) > math.log(LEAST_ALPHA / self.step)
            kept = dense & of_brick[z, y, x]
            yield place[kept], self._bytes(bricks[kept])

    @torch.no_grad()
    def _raw(self, units: Tensor) -> Tensor:
        """Log densities [K, 9, 9, 9] of the vertices of units [K, 3], in the order z, y, x."""
        side = torch.arange(_UNIT + 1, device=self.where)
        z, y, x = torch.meshgrid(side, side, side, indexing="ij")
        at = _UNIT * units[:, None] + torch.stack([x, y, z], -1).view(1, -1, 3)
        density = self.field.density((at.float() / self.n).reshape(-1, 3))[0]
        return density.clamp(min=1e-30).log().float().view(len(units), *z.shape)

    def _bytes(self, values: Tensor) -> Tensor:
        low, step = self.range
        return ((values - low) / step).round().clamp(0, 255).to(torch.uint8)

    # What is seen

    def _near(self, place: Tensor, seen: Tensor) -> Tensor:
        """Numbers of the bricks that are seen, and of those beside them."""
        side = self.n // BRICK
        grid = torch.zeros(side, side, side, device=self.where)
        x, y, z = place.unbind(1)
        grid[z, y, x] = seen.float()
        for axis in range(3):
            size = [3 if d == axis else 1 for d in range(3)]
            pad = [1 if d == axis else 0 for d in range(3)]
            grid = max_pool3d(grid[None], size, 1, pad)[0]
        return grid[z, y, x].nonzero()[:, 0]

    # Colours

    def _colours(
        self, place: Tensor, code: Tensor, seen: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor] | None]:
        """Numbers of rows [B, 125], first rows [B], rows and their palette, at last."""
        directions = self.eyes.directions(_DIRECTIONS)
        # Of a brick that no camera sees, the colour of its densest vertex.
        dull = ~seen.any(1)
        seen[dull, code[dull].int().argmax(1)] = True
        count = seen.sum(1)
        first = count.cumsum(0) - count
        numbers = torch.zeros(len(seen), VERTICES, dtype=torch.uint8, device=self.where)
        yield None
        for at in torch.arange(len(seen), device=self.where).split(_SPREAD):
            numbers[at] = _spread(torch.where(seen[at], seen[at].int().cumsum(1), 0))
            yield None
        brick, vertex = seen.nonzero(as_tuple=True)
        yield None
        generator = torch.Generator().manual_seed(0)
        some = torch.randint(max(len(brick), 1), (min(_SAMPLE, len(brick)),), generator=generator)
        some = some.to(self.where)
        colours, index = self._shown(place[brick[some]], vertex[some], directions)
        palette = palette_of(colours[index], ops.spherical_harmonics(directions, self.degree))
        rows = torch.zeros(len(brick), ROW, dtype=torch.uint8, device=self.where)
        yield None
        for at in torch.arange(len(brick), device=self.where).split(_COLOURS // _DIRECTIONS):
            colours, index = self._shown(place[brick[at]], vertex[at], directions)
            rows[at] = palette.bytes(colours)[index]
            yield None
        yield numbers, first.int(), rows, palette.coefficients

    @torch.no_grad()
    def _shown(self, place: Tensor, vertex: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Colours [K, D, 3] of vertices that are given by their bricks' places and numbers, and
        for each of them which it is: bricks share vertices."""
        inner = torch.stack([vertex % 5, vertex // 5 % 5, vertex // 25], 1)
        at = BRICK * place + inner
        ids = (at[:, 2] * (self.n + 1) + at[:, 1]) * (self.n + 1) + at[:, 0]
        ids, index = ids.unique(return_inverse=True)
        x, y, z = ids % (self.n + 1), ids // (self.n + 1) % (self.n + 1), ids // (self.n + 1) ** 2
        features = self.field.density(torch.stack([x, y, z], 1).float() / self.n)[1]
        count = len(directions)
        found = self.field.colour(
            features.repeat_interleave(count, 0), directions.repeat(len(ids), 1)
        )
        return found.view(len(ids), count, 3), index

    # All of it

    def _number(self, place: Tensor) -> Tensor:
        """Blocks in the order of memory, and bricks within them: what is seen together lies
        together."""
        block, inner = place // 4, place % 4
        side = self.n // 16
        index = (block[:, 2] * side + block[:, 1]) * side + block[:, 0]
        return 64 * index + (inner[:, 2] * 4 + inner[:, 1]) * 4 + inner[:, 0]

    def _bricks(
        self, place: Tensor, code: Tensor, tables: tuple[Tensor, Tensor, Tensor, Tensor] | None
    ) -> Bricks:
        side, count = self.n // 16, len(place)
        number = self._number(place)
        known, page = (number // 64).unique(return_inverse=True)
        blocks = torch.full((side**3,), -1, dtype=torch.int32, device=self.where)
        blocks[known] = torch.arange(len(known), dtype=torch.int32, device=self.where)
        pages = torch.full((len(known), 64), -1, dtype=torch.int32, device=self.where)
        pages[page, number % 64] = torch.arange(count, dtype=torch.int32, device=self.where)
        vertices = torch.zeros(count, 256, dtype=torch.uint8, device=self.where)
        vertices[:, :VERTICES] = code
        if tables is None:
            colours = torch.zeros(1, ROW, dtype=torch.uint8, device=self.where)
            palette = torch.zeros(1 + ROW, 3, 1, device=self.where)
        else:
            numbers, rows, colours, palette = tables
            vertices[:, FIRST_ROW_AT:] = rows.view(torch.uint8).view(-1, 4)
            vertices[:, ROWS_AT : ROWS_AT + VERTICES] = numbers
        densities = torch.tensor(self.range, device=self.where)
        blocks = blocks.view(side, side, side)
        return Bricks(blocks, pages, vertices, colours, densities, palette)


def _spread(numbers: Tensor) -> Tensor:
    """Rows [B, 125] of vertices, counted from 1; 0, which stands for none, becomes that of a vertex
    nearby. Returned as bytes, counted from 0."""
    grid = numbers.float().view(-1, 1, 5, 5, 5)
    for _ in range(4):
        grid = torch.where(grid > 0, grid, max_pool3d(grid, 3, 1, 1))
    return (grid.view(-1, VERTICES) - 1).clamp(min=0).to(torch.uint8)


def _at_resolution(occupied: Tensor, side: int) -> Tensor:
    """Cells [n, n, n] as others [side, side, side]: set where one is that they share space with."""
    n = occupied.shape[0]
    if side >= n:
        for axis in range(3):
            occupied = occupied.repeat_interleave(side // n, axis)
        return occupied
    k = n // side
    return occupied.view(side, k, side, k, side, k).any(5).any(3).any(1)
