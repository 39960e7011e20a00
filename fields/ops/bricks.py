"""A baked radiance field as a camera sees it: bricks of density and colour, in bytes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import cancel_flag, check, in_range, shape

extension.load()
_ops = torch.ops.fields

BLOCK, BRICK = 16, 4  # cells along an axis
VERTICES = 125  # of a brick
ROWS_AT, FIRST_ROW_AT = 125, 252  # of the 256 bytes of a brick
ROW = 16  # bytes of a colour
_MOST_BLOCKS, _MOST_BRICKS = 128, 1 << 23
_MOST_SIDE = (1 << 16) - 1  # pixels of a picture


@dataclass(frozen=True, eq=False)
class Bricks:
    """A field over the unit cube, cut into blocks of 16^3 cells and these into bricks of 4^3
    (csrc/maths/bricks.h). `fields.bricks.bake` makes them; what they hold is not checked.

    Attributes:
        blocks: [n, n, n] int32 in the order z, y, x: a row of `pages`, or -1 where all is empty.
        pages: [P, 64] int32, x fastest: a brick, or -1 where it is empty.
        vertices: [B, 256] uint8, of each brick: log densities of its 5^3 vertices, x fastest; the
            rows of their colours, counted from the brick's first one; and that one, four bytes.
        colours: [R, 16] uint8, see `palette`.
        densities: [2] float32, low and step: the log density is low + step * byte.
        palette: [17, 3, degree^2] float32: coefficients of the harmonics of the direction for red,
            green and blue, of a row of zeros, and what one more of each of its bytes adds.
    """

    blocks: Tensor
    pages: Tensor
    vertices: Tensor
    colours: Tensor
    densities: Tensor
    palette: Tensor

    def __post_init__(self):
        n = self.blocks.shape[0] if self.blocks.dim() else 0
        in_range("blocks along an axis", n, 1, _MOST_BLOCKS)
        in_range("number of bricks", len(self.vertices), 0, _MOST_BRICKS - 1)
        check(
            self.palette.dim() == 3 and self.palette.shape[2] in (1, 4, 9, 16),
            f"palette must be [17, 3, degree^2], got {tuple(self.palette.shape)}",
        )
        count = len(self.vertices)
        expected = {
            "blocks": ((n, n, n), torch.int32),
            "pages": ((len(self.pages), 64), torch.int32),
            "vertices": ((count, 256), torch.uint8),
            "colours": ((len(self.colours), ROW), torch.uint8),
            "densities": ((2,), torch.float32),
            "palette": ((1 + ROW, 3, self.degree**2), torch.float32),
        }
        for name, (sizes, dtype) in expected.items():
            tensor = getattr(self, name)
            shape(name, tensor, sizes)
            check(tensor.dtype == dtype, f"{name} must be {dtype}, got {tensor.dtype}")
            where = self.blocks.device
            check(
                tensor.device == where,
                f"{name} is on {tensor.device} but blocks on {where}; move one",
            )

    @property
    def resolution(self) -> int:
        """Cells along an axis of the cube."""
        return BLOCK * self.blocks.shape[0]

    @property
    def degree(self) -> int:
        """Of the harmonics of colours, 1 to 4; degree d has d^2 of them."""
        return round(self.palette.shape[2] ** 0.5)

    @property
    def bytes(self) -> int:
        """Of all that is held."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._tensors())

    def to(self, device: torch.device | str) -> Bricks:
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def _tensors(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, f.name) for f in fields(self))

    def args(self) -> tuple[Tensor, ...]:
        """As the ops take them."""
        return tuple(tensor.contiguous() for tensor in self._tensors())


def bricks_render(
    bricks: Bricks,
    pose: Tensor,
    intrinsics: Tensor,
    size: tuple[int, int],
    *,
    step: float,
    near: float = 0.0,
    min_weight: float = 1e-3,
    min_transmittance: float = 1e-2,
    shared_weight: float = 0.0,
    cancel: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """What a pinhole camera sees of bricks.

    Rays are walked as ops.march_rays does without a seed: in steps of one length, from the middle
    of the first one behind `near` and the face of the cube.

    Args:
        bricks: over the unit cube.
        pose: [3, 4] float32, from the camera (x right, y up, looking along -z) to the cube.
        intrinsics: [4] float32, fl_x, fl_y, cx, cy in pixels.
        size: (width, height) in pixels.
        step, near: lengths of the unit cube.
        min_weight: samples of less weight count as empty.
        min_transmittance: a ray ends where it lets pass less.
        shared_weight: on a CPU, up to three samples that follow one another share the colour of
            their middle, until they weigh so much; 0: each has its own, as on CUDA always.
        cancel: uint8 [1]; once it is set, RuntimeError("cancelled") is raised.

    Returns:
        colours [H * W, 3], row by row, without what is behind: in [0, opacity]; opacity [H * W];
        and depth [H * W], the sum of weights times distances.

    Not differentiable. The same bits for any number of threads.
    """
    check_cameras(bricks, pose[None], intrinsics[None], size)
    check_walk(step, near)
    in_range("shared_weight", shared_weight, 0.0, 1.0)
    cancel_flag(cancel)
    return _ops.bricks_render(
        pose[None].contiguous(),
        intrinsics[None].contiguous(),
        *size,
        *bricks.args(),
        near,
        step,
        min_weight,
        min_transmittance,
        shared_weight,
        cancel,
    )


def bricks_seen(
    bricks: Bricks,
    poses: Tensor,
    intrinsics: Tensor,
    size: tuple[int, int],
    *,
    step: float,
    near: float = 0.0,
    min_weight: float = 1e-2,
    min_transmittance: float = 1e-2,
) -> Tensor:
    """The vertices that some of C cameras see, uint8 [B, 125]: 1 for each vertex of a cell in which
    a ray has a sample of at least `min_weight`. Colours are not looked at.

    Args:
        poses, intrinsics: [C, 3, 4] and [C, 4], otherwise as bricks_render; all pictures have one
            size.
    """
    check_cameras(bricks, poses, intrinsics, size)
    check_walk(step, near)
    return _ops.bricks_seen(
        poses.contiguous(),
        intrinsics.contiguous(),
        *size,
        *bricks.args(),
        near,
        step,
        min_weight,
        min_transmittance,
    )


def check_cameras(bricks: Bricks, poses: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> None:
    """Cameras fit bricks."""
    count = poses.shape[0]
    for name, tensor, sizes in (("pose", poses, (3, 4)), ("intrinsics", intrinsics, (4,))):
        shape(name, tensor, (count, *sizes))
        check(tensor.dtype == torch.float32, f"{name} must be float32, got {tensor.dtype}")
        where = bricks.blocks.device
        check(
            tensor.device == where,
            f"{name} is on {tensor.device} but bricks on {where}; move one",
        )
    for name, side in zip(("width", "height"), size, strict=True):
        in_range(name, side, 0, _MOST_SIDE)
    check(size[0] * size[1] <= 1 << 28, "a picture has at most 2^28 pixels")


def check_walk(step: float, near: float) -> None:
    """A walk through bricks is one that their kernels take."""
    in_range("step", step, 1e-5, 1e2)
    in_range("near", near, 0.0, 1e5)


# ---- shapes without data


@torch.library.register_fake("fields::bricks_render")
def _(pose, intrinsics, width, height, *_):
    pixels = width * height
    return pose.new_empty(pixels, 3), pose.new_empty(pixels), pose.new_empty(pixels)


@torch.library.register_fake("fields::bricks_seen")
def _(poses, intrinsics, width, height, blocks, pages, vertices, *_):
    return vertices.new_empty(vertices.shape[0], VERTICES)
