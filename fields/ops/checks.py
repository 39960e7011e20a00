"""Checks of what callers pass, once, at the public edge: each raises a ValueError of one line."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def in_range(name: str, value: float, low: float, high: float) -> None:
    # Written so that NaN fails.
    check(low <= value <= high, f"{name} must be from {low} to {high}, got {value}")


def one_of(name: str, value: str, known: Iterable[str]) -> None:
    check(value in known, f"{name} must be one of {', '.join(known)}, got {value!r}")


def shape(name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    check(tensor.shape == expected, f"{name} must be {list(expected)}, got {tuple(tensor.shape)}")


def real(name: str, tensor: Tensor) -> None:
    check(
        tensor.dtype in (torch.float32, torch.float64),
        f"{name} must be float32 or float64, got {tensor.dtype}",
    )


def alike(a_name: str, a: Tensor, b_name: str, b: Tensor) -> None:
    """Of one dtype on one device."""
    check(a.dtype == b.dtype, f"{a_name} is {a.dtype} but {b_name} is {b.dtype}; convert one")
    check(a.device == b.device, f"{a_name} is on {a.device} but {b_name} on {b.device}; move one")


def float32_state(name: str, tensor: Tensor, like: Tensor) -> None:
    """A tensor that is updated in place: float32, contiguous, of the shape of `like`."""
    check(tensor.dtype == torch.float32, f"{name} must be float32, got {tensor.dtype}")
    shape(name, tensor, tuple(like.shape))
    check(tensor.device == like.device, f"{name} is on {tensor.device}, not {like.device}; move it")
    check(tensor.is_contiguous(), f"{name} must be contiguous; it is updated in place")


def cancel_flag(cancel: Tensor | None) -> None:
    """What another thread sets to stop a kernel: none, or uint8 [1] on the CPU."""
    if cancel is not None:
        fits = cancel.dtype == torch.uint8 and cancel.device.type == "cpu" and cancel.numel() == 1
        check(fits, "cancel must be uint8 [1] on the CPU")
