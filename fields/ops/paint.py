"""Pictures of what is seen along rays."""

from __future__ import annotations

import torch
from torch import Tensor

from fields import extension
from fields.ops.checks import alike, shape

extension.load()


def paint(colours: Tensor, opacity: Tensor, background: Tensor) -> Tensor:
    """Colours in front of a background, as bytes: uint8 [N, 3].

    Args:
        colours: [N, 3] float32 in [0, opacity], without what is behind.
        opacity: [N] in [0, 1].
        background: [3] in [0, 1].

    Rounded to the nearest; NaN becomes 0. Not differentiable.
    """
    shape("colours", colours, (len(opacity), 3))
    shape("opacity", opacity, (len(opacity),))
    shape("background", background, (3,))
    alike("opacity", opacity, "colours", colours)
    alike("background", background, "colours", colours)
    if colours.device.type == "cpu" and colours.dtype == torch.float32:
        return torch.ops.fields.paint(*(x.contiguous() for x in (colours, opacity, background)))
    over = torch.addcmul(colours, (1 - opacity)[:, None], background)
    return over.mul(255).add(0.5).clamp(0, 255).nan_to_num(0).to(torch.uint8)


@torch.library.register_fake("fields::paint")
def _(colours, opacity, background):
    return colours.new_empty(colours.shape, dtype=torch.uint8)
