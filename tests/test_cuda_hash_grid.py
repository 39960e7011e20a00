"""The hash grid on a GPU against the CPU's: the same numbers."""

import itertools

import pytest
import torch
from devices import (
    GRID_TOLERANCE,
    NEEDS_CUDA,
    assert_near,
    dims,
    dtypes,
    feature_counts,
    with_gradients,
)
from test_ops_hash_grid import make_case as make_grid

from fields import ops

pytestmark = NEEDS_CUDA


smoothness = pytest.mark.parametrize("smoothstep", [False, True], ids=["linear", "smoothstep"])


@dims
@feature_counts
@smoothness
@dtypes
@pytest.mark.parametrize("function", [ops.hash_grid, ops.hash_grid_with_grad])
def test_the_hash_grid_and_its_gradients_equal_the_cpus(function, dim, features, smoothstep, dtype):
    coords, table, spec = make_grid(dim, features, smoothstep, dtype, count=333)
    actual, expected = (
        with_gradients(lambda c, t: function(c, t, spec), (coords, table), device)
        for device in ("cuda", "cpu")
    )
    assert_near(actual, expected, GRID_TOLERANCE[dtype])


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 100_003])
def test_the_hash_grid_takes_any_number_of_samples(count):
    _, table, spec = make_grid(2, dtype=torch.float32)
    coords = torch.rand(count, 2, generator=torch.Generator().manual_seed(count))
    actual = ops.hash_grid(coords.cuda(), table.cuda(), spec)
    assert_near([actual], [ops.hash_grid(coords, table, spec)], GRID_TOLERANCE[torch.float32])


def test_coordinates_outside_and_nan_are_clamped_as_on_the_cpu():
    _, table, spec = make_grid(2, dtype=torch.float32)
    nan, inf = float("nan"), float("inf")
    edges = torch.tensor(list(itertools.product([0.0, 1.0, -3.0, 7.0, nan, inf, -inf], repeat=2)))
    assert_near(
        [ops.hash_grid(edges.cuda(), table.cuda(), spec)], [ops.hash_grid(edges, table, spec)], 1e-6
    )


@pytest.mark.parametrize("dim", [2, 3])
def test_second_derivatives_of_the_hash_grid(dim):
    coords, table, spec = make_grid(dim, 2, smoothstep=True, count=5, levels=2)
    leaves = [t.cuda().requires_grad_() for t in (coords, table)]
    assert torch.autograd.gradcheck(lambda c, t: ops.hash_grid(c, t, spec), leaves, nondet_tol=1e-9)
    assert torch.autograd.gradgradcheck(
        lambda c, t: ops.hash_grid(c, t, spec), leaves, nondet_tol=1e-9
    )
    assert torch.autograd.gradcheck(
        lambda c, t: ops.hash_grid_with_grad(c, t, spec), leaves, nondet_tol=1e-9
    )


def test_a_table_that_begins_off_a_vector_is_refused():
    coords, table, spec = make_grid(2, dtype=torch.float32)
    shifted = torch.zeros(table.numel() + 1, device="cuda")[1:].view(table.shape)
    with pytest.raises(RuntimeError, match="clone it"):
        ops.hash_grid(coords.cuda(), shifted, spec)
