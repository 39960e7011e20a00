"""Batches of rays drawn from the images of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import check, in_range, shape

extension.load()
_ops = torch.ops.fields

Colour = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Tiles:
    """Square tiles of N images of H x W pixels, and how often each is drawn from.

    Attributes:
        side: of a tile in pixels; tiles at the right and lower border of an image are smaller.
        upto: [N * ceil(H / side) * ceil(W / side)] float64, weights of the tiles, image by image
            and row by row, cumulated up to and with each; the last is more than 0.
        starts: [tiles + 1] int64, where in `among` the pixels of each tile begin; None without
            `among`.
    """

    side: int
    upto: Tensor
    starts: Tensor | None = None

    @staticmethod
    def grid(side: int, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of tiles over an image."""
        return -(-height // side), -(-width // side)


def sample_rays(
    pixels: Tensor,
    poses: Tensor,
    intrinsics: Tensor,
    count: int,
    seed: int,
    step: int,
    *,
    directions: Tensor | None = None,
    cameras: Tensor | None = None,
    among: Tensor | None = None,
    tiles: Tiles | None = None,
    background: Colour | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Rays through pixels, any of all images, independently of one another.

    Args:
        pixels: [N, H, W, 3 or 4] uint8, uint16 or float32; the fourth is straight alpha.
        poses: [N, 3, 4] float32, camera to the unit cube; OpenGL's axes: x right, y up, looking
            along -z. Lengths of the columns do not matter.
        intrinsics: [N, 4] float32: focal lengths along x and y, and the principal point, in pixels
            from the outer corner of the first one.
        count: rays.
        seed, step: together they determine the batch.
        directions: [K, H, W, 3] float32, the way through each pixel's centre in the camera's axes,
            for lenses that are no pinholes; intrinsics do not matter then.
        cameras: [N] int32, which of the K an image was taken with.
        among: [M] int64, numbers of pixels (image, row, column) to draw from, as often as they
            stand there; None: all.
        tiles: draw a tile by its weight, then any pixel of it; None: all pixels alike. `among`, if
            given, is then sorted by tiles.
        background: what is behind images with alpha; None: any colour, another one for each ray.

    Returns:
        origins, directions (of unit length), colours over their backgrounds, and backgrounds, each
        [count, 3] float32, and the pixels drawn [count] int64. Rays come in no order: any first
        part of them is a batch too.

    The same on every device, for any number of threads.
    """
    check(pixels.dim() == 4, f"pixels must be [N, H, W, 3 or 4], got {tuple(pixels.shape)}")
    images, height, width, channels = pixels.shape
    check(channels in (3, 4), f"pixels must have 3 or 4 channels, got {channels}")
    check(pixels.numel() > 0, f"pixels must not be empty, got {tuple(pixels.shape)}")
    check(
        pixels.dtype in (torch.uint8, torch.uint16, torch.float32),
        f"pixels must be uint8, uint16 or float32, got {pixels.dtype}",
    )
    in_range("number of pixels", images * height * width, 1, 2**32 - 1)
    shape("poses", poses, (images, 3, 4))
    shape("intrinsics", intrinsics, (images, 4))
    check(
        (directions is None) == (cameras is None),
        "directions and cameras belong together; give both or none",
    )
    given = {"poses": poses, "intrinsics": intrinsics, "directions": directions}
    for name, tensor in given.items():
        kind = None if tensor is None else tensor.dtype
        check(kind in (None, torch.float32), f"{name} must be float32, got {kind}")
    if directions is not None and cameras is not None:
        shape("directions", directions, (directions.shape[0], height, width, 3))
        shape("cameras", cameras, (images,))
        check(cameras.dtype == torch.int32, f"cameras must be int32, got {cameras.dtype}")
    if among is not None:
        check(
            among.dim() == 1 and among.dtype == torch.int64 and among.numel() > 0,
            f"among must be [M] int64, not empty, got {tuple(among.shape)} {among.dtype}",
        )
    upto, starts = (None, None) if tiles is None else (tiles.upto, tiles.starts)
    if tiles is not None:
        _check_tiles(tiles, among, images, height, width)
    others = {"cameras": cameras, "among": among, "upto": upto, "starts": starts}
    for name, tensor in (given | others).items():
        check(
            tensor is None or tensor.device == pixels.device,
            f"{name} are on another device than pixels; move one",
        )
    in_range("count", count, 0, 2**31 - 1)
    return _ops.sample_rays(
        pixels.contiguous(),
        poses.contiguous(),
        intrinsics.contiguous(),
        None if directions is None else directions.contiguous(),
        None if cameras is None else cameras.contiguous(),
        None if among is None else among.contiguous(),
        None if upto is None else upto.contiguous(),
        None if starts is None else starts.contiguous(),
        1 if tiles is None else tiles.side,
        count,
        seed,
        step,
        background is None,
        *(background or (0.0, 0.0, 0.0)),
    )


def _check_tiles(tiles: Tiles, among: Tensor | None, images: int, height: int, width: int) -> None:
    in_range("side", tiles.side, 1, 2**31 - 1)
    rows, columns = Tiles.grid(tiles.side, height, width)
    shape("upto", tiles.upto, (images * rows * columns,))
    check(tiles.upto.dtype == torch.float64, f"upto must be float64, got {tiles.upto.dtype}")
    check(
        (tiles.starts is None) == (among is None),
        "starts of tiles and among belong together; give both or none",
    )
    if tiles.starts is not None:
        shape("starts", tiles.starts, (images * rows * columns + 1,))
        check(tiles.starts.dtype == torch.int64, f"starts must be int64, got {tiles.starts.dtype}")


@torch.library.register_fake("fields::sample_rays")
def _(pixels, poses, intrinsics, directions, cameras, among, upto, starts, side, count, *_):
    threes = [pixels.new_empty(count, 3, dtype=torch.float32) for _ in range(4)]
    return *threes, pixels.new_empty(count, dtype=torch.int64)
