"""Draws a field at any size, row band by row band."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fields.errors import Cancelled, FieldsError

BAND_PIXELS = 1 << 17  # of a band: its coordinates and values stay in the L2 cache
MAX_PIXELS = 1 << 30  # of one picture in memory

Size = tuple[int, int]
Box = tuple[int, int, int, int]


def bands(
    field: nn.Module,
    size: Size,
    crop: Box | None = None,
    *,
    source: Size | None = None,
    cancel: Tensor | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """The values of a field at the pixel centres of a picture, from the top down.

    Args:
        field: coords [N, 2] in [0, 1] -> values [N, C]; asked without gradients.
        size: (width, height) of the whole picture in pixels.
        crop: (x0, y0, x1, y1) in those pixels, x1 and y1 not included; by default all.
        source: (width, height) of the picture that the field was fitted to. Between its border and
            the centres of its outermost pixels nothing was fitted: those pixels are continued.
        cancel: [1]; once it is not zero, Cancelled is raised before the next band.

    Yields (row, values [rows, width, C] float32 on the CPU); row 0 is the first of the crop.
    Raises FieldsError if there is nothing to draw.
    """
    x0, y0, x1, y1 = checked_box(size, crop)
    where = device_of(field)
    x = (torch.arange(x0, x1, device=where, dtype=torch.float64) + 0.5) / size[0]
    y = (torch.arange(y0, y1, device=where, dtype=torch.float64) + 0.5) / size[1]
    if source is not None:
        x = x.clamp(0.5 / source[0], 1 - 0.5 / source[0])
        y = y.clamp(0.5 / source[1], 1 - 0.5 / source[1])
    x, y = x.float(), y.float()
    rows = max(1, BAND_PIXELS // (x1 - x0))
    for top in range(0, y1 - y0, rows):
        if cancel is not None and cancel.item():
            raise Cancelled("cancelled")
        part = y[top : top + rows]
        coords = torch.empty(len(part), len(x), 2, device=where)
        coords[..., 0] = x
        coords[..., 1] = part[:, None]
        with torch.inference_mode():
            values = field(coords.view(-1, 2))
        yield top, values.view(len(part), len(x), -1).float().cpu()


def enlarged(source: Size, factor: float) -> Size:
    """A size in pixels, `factor` times that of the source; FieldsError where that is none."""
    if not (math.isfinite(factor) and factor > 0):
        raise FieldsError(f"--size must be more than 0 times the source, got {factor:g}x")
    width, height = (max(1, round(side * factor)) for side in source)
    return width, height


def checked_box(size: Size, crop: Box | None) -> Box:
    """The crop, or all of the picture; FieldsError if it is empty, outside or too large."""
    width, height = size
    if width < 1 or height < 1:
        raise FieldsError(f"--size must be at least 1x1, got {width}x{height}")
    x0, y0, x1, y1 = crop or (0, 0, width, height)
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise FieldsError(
            f"--crop must lie within the picture of {width}x{height} pixels and hold at least one,"
            f" got {x0},{y0},{x1},{y1}"
        )
    if (x1 - x0) * (y1 - y0) > MAX_PIXELS:
        raise FieldsError(
            f"{x1 - x0}x{y1 - y0} pixels are more than {MAX_PIXELS:,} at once; draw parts by --crop"
        )
    return x0, y0, x1, y1


def device_of(field: nn.Module) -> torch.device:
    """Where a field's tensors are."""
    for tensor in (*field.parameters(), *field.buffers()):
        return tensor.device
    return torch.device("cpu")
