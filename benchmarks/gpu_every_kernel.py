"""Calls every CUDA kernel once, on odd sizes: what compute-sanitizer watches.

compute-sanitizer --tool memcheck python benchmarks/gpu_every_kernel.py
"""

import argparse
import itertools

import torch

from fields import ops

PRECISIONS = ("float32", "bf16", "fp16")


def leaf(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, dtype=dtype, requires_grad=True)


def grids(dtype: torch.dtype) -> None:
    """Forward and backward of each (dimension, features) pair, values and jacobian."""
    for dim, features in itertools.product((1, 2, 3, 4), (1, 2, 4, 8)):
        spec = ops.GridSpec(3, 4, 1.7, 8, True)
        coords, table = leaf(65, dim, dtype=dtype), leaf(sum(spec.rows(dim)), features, dtype=dtype)
        ops.hash_grid(coords, table, spec).sum().backward()
        values, jacobian = ops.hash_grid_with_grad(coords, table, spec)
        (values.sum() + jacobian.sum()).backward()


def planes(dtype: torch.dtype) -> None:
    """Forward and backward in each dimension, values and jacobian, summed and side by side."""
    for dim, combine in itertools.product((2, 3, 4), ("sum", "concatenation")):
        for spec in (ops.PlaneSpec(combine), ops.PlaneSpec(combine, False, "zeros")):
            coords = leaf(65, dim, dtype=dtype)
            table = leaf(ops.NUM_PLANES[dim], 5, 5, 7, dtype=dtype)
            ops.triplane(coords, table, spec).sum().backward()
            values, jacobian = ops.triplane_with_grad(coords, table, spec)
            (values.sum() + jacobian.sum()).backward()


def networks(precisions: tuple[str, ...]) -> None:
    """Every width and arithmetic, fused and layer by layer, with and without slopes kept."""
    for width, precision in itertools.product((20, 64, 128, 160), precisions):
        for activation, depth in (("relu", 2), ("sine", 3), ("relu", 0)):
            spec = ops.MlpSpec(width, depth, 3, activation == "sine", activation, "sigmoid",
                               precision)  # fmt: skip
            x, params = leaf(131, 33), leaf(spec.num_params(33))
            ops.mlp(x, params, spec).sum().backward()
    spec = ops.MlpSpec(20, 2, 3, True)
    x, params = leaf(131, 33, dtype=torch.float64), leaf(spec.num_params(33), dtype=torch.float64)
    ops.mlp(x, params, spec).sum().backward()


def fields(precisions: tuple[str, ...]) -> None:
    """Values, backward and training step of hash grid + MLP, built in or in two passes."""
    for (dim, features), width, precision in itertools.product(
        ((1, 1), (2, 2), (2, 4), (3, 2), (3, 4)), (32, 64, 128, 160), precisions
    ):
        grid, spec = ops.GridSpec(3, 4, 1.7, 8), ops.MlpSpec(width, 2, 3, precision=precision)
        coords, table = leaf(131, dim), leaf(sum(grid.rows(dim)), features)
        params = leaf(spec.num_params(grid.num_levels * features))
        ops.grid_mlp(coords, table, params, grid, spec).sum().backward()
        table_state = (table.detach(), torch.zeros_like(table), torch.zeros_like(table))
        params_state = (params.detach(), torch.zeros_like(params), torch.zeros_like(params))
        workspace = ops.step_workspace(table.detach(), dim, grid)
        for step, loss in ((1, "l2"), (2, "l1")):
            ops.grid_mlp_step(
                coords.detach(),
                torch.rand(131, 3),
                table_state,
                params_state,
                workspace,
                grid,
                spec,
                step=step,
                lr_table=1e-2,
                lr_params=1e-2,
                loss=loss,
                touched_only=loss == "l1",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    device = parser.parse_args().device
    precisions = PRECISIONS if device == "cuda" else PRECISIONS[:1]
    with torch.device(device):
        grids(torch.float32)
        grids(torch.float64)
        planes(torch.float32)
        planes(torch.float64)
        networks(precisions)
        fields(precisions)
        for pixels in (torch.rand(7, 5, 3), torch.zeros(1, 1, 1, dtype=torch.uint8)):
            ops.sample_pixels(pixels, 100, 1, 2)
    if device == "cuda":
        torch.cuda.synchronize()
    print("every kernel ran")


if __name__ == "__main__":
    main()
