"""How ops that have no second derivative say so."""

from __future__ import annotations

import torch

GRIDS = "hash_grid with a torch MLP, or hash_grid_with_grad"


def first_order(name: str, instead: str = GRIDS) -> None:
    """Registers the end of the line for `fields::name`, itself a backward; `instead` has more."""

    def setup(ctx, inputs, output):
        pass

    def backward(ctx, *grads):
        raise NotImplementedError(f"{name} has no second derivative; use {instead}")

    torch.library.register_autograd(f"fields::{name}", backward, setup_context=setup)
