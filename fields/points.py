"""Inputs of any leading shape, as the ops take them: a matrix in the type of the parameters."""

from __future__ import annotations

import torch
from torch import Tensor


def as_matrix(name: str, x: Tensor, size: int, params: Tensor) -> Tensor:
    """x [..., size] -> [N, size].

    bf16 and fp16, which layers under torch.autocast give, are cast to the type of `params`. Float32
    and float64 stay as they are: mixing those two is left to the ops to refuse.
    Raises ValueError if the last dimension is not `size`.
    """
    if x.dim() == 0 or x.shape[-1] != size:
        raise ValueError(f"{name} must be [..., {size}], got {tuple(x.shape)}")
    if x.dtype in (torch.bfloat16, torch.float16):
        x = x.to(params.dtype)
    return x.reshape(-1, size)
