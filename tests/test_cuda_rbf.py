"""The Gaussian kernels on a GPU against the CPU's: the same ops, the same numbers."""

import pytest
import torch
from devices import NEEDS_CUDA, assert_near, error
from test_ops_rbf import Fused, affine, dtypes, make_case, make_field, outputs

from fields import ops
from fields.ops import GridSpec

pytestmark = NEEDS_CUDA

# Norm of the difference over the norm: float32 is the CPU's but for the order of its sums and exp.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
GRID = GridSpec(4, 4, 1.7, 8, True)


def with_gradients(function, inputs, device):
    """All outputs, then the gradients of their sum with fixed weights by every input."""
    leaves = [t.detach().to(device).clone().requires_grad_() for t in inputs]
    made = function(*leaves)
    made = made if isinstance(made, tuple) else (made,)
    generator = torch.Generator().manual_seed(5)
    weights = [torch.randn(o.shape, generator=generator).to(o) for o in made]
    return [*made, *torch.autograd.grad(made, leaves, weights)]


def compare(function, inputs, dtype):
    actual, expected = (with_gradients(function, inputs, device) for device in ("cuda", "cpu"))
    assert_near(actual, expected, TOLERANCE[dtype])


@outputs
@affine
@dtypes
@pytest.mark.parametrize("sizes", [(1, 16, 64), (3, 33, 9), (9, 5, 31)], ids=str)
@pytest.mark.parametrize("function", [ops.rbf, ops.rbf_with_grad])
def test_kernels_and_their_gradients_equal_the_cpus(function, sizes, dtype, affine, output):
    channels, inputs, kernels = sizes
    spec = ops.RbfSpec(kernels, channels, affine, 0.5, output)
    x, params, _ = make_case(spec, dtype, inputs=inputs, count=333)
    compare(lambda x, p: function(x, p, spec), (x, params), dtype)


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 10_003])
def test_any_number_of_samples(count):
    spec = ops.RbfSpec(24, 3)
    x, params, _ = make_case(spec, torch.float32, count=count)
    actual = ops.rbf(x.cuda(), params.cuda(), spec)
    assert_near([actual], [ops.rbf(x, params, spec)], TOLERANCE[torch.float32])


def test_more_kernels_than_shared_memory_holds():
    spec = ops.RbfSpec(1000, 3)
    x, params, _ = make_case(spec, torch.float32, inputs=64)
    compare(lambda x, p: ops.rbf(x, p, spec), (x, params), torch.float32)


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@dtypes
def test_a_grid_with_kernels_equals_the_cpus(dim, dtype):
    spec = ops.RbfSpec(16, 3, True)
    *field, _ = make_field(spec, dtype, dim, count=333)
    compare(lambda c, t, p: ops.grid_rbf(c, t, p, GRID, spec), field, dtype)


@pytest.mark.parametrize("loss", list(ops.LOSSES))
@pytest.mark.parametrize("touched_only", [False, True], ids=["dense", "touched"])
def test_a_training_step_equals_the_cpus(loss, touched_only):
    spec = ops.RbfSpec(32, 3, True)
    coords, table, params, targets = make_field(spec, torch.float32, count=1000)
    twins = []
    for device in ("cuda", "cpu"):
        fused = Fused(table.to(device), params.to(device), spec)
        for _ in range(3):
            value = fused.step(
                coords.to(device), targets.to(device), loss=loss, touched_only=touched_only
            )
        twins.append((fused, value))
    (a, loss_a), (b, loss_b) = twins
    assert loss_a.item() == pytest.approx(loss_b.item(), rel=1e-4)
    tolerance = 2e-2 if loss in ("l1", "relative") else 1e-3
    assert error(a.table - table.cuda(), b.table - table) < tolerance
    assert error(a.params - params.cuda(), b.params - params) < tolerance
