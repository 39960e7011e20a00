"""Hash grid + MLP on a GPU against the CPU's."""

import pytest
import torch
from devices import (
    MLP_TOLERANCE,
    NEEDS_CUDA,
    assert_near,
    dims,
    feature_counts,
    precisions,
    with_gradients,
)
from test_ops_mlp import GRID, make_field

from fields import ops

pytestmark = NEEDS_CUDA


@dims
@feature_counts
def test_the_field_and_its_gradients_equal_the_cpus(dim, features):
    spec = ops.MlpSpec(64, 2, 3, False, "sine")
    coords, table, params, _ = make_field(spec, torch.float32, dim, features, count=700)
    actual, expected = (
        with_gradients(
            lambda c, t, p: ops.grid_mlp(c, t, p, GRID, spec), (coords, table, params), *place
        )
        for place in (("cuda", torch.float32), ("cpu", torch.float64))
    )
    assert_near(actual, expected, 2e-5)


@precisions
@pytest.mark.parametrize("width", [32, 64, 128, 160])
def test_the_field_in_every_precision(precision, width):
    spec = ops.MlpSpec(width, 2, 3, False, "sine", precision=precision)
    exact = ops.MlpSpec(width, 2, 3, False, "sine")
    coords, table, params, _ = make_field(spec, torch.float32, count=3000)
    actual = with_gradients(
        lambda c, t, p: ops.grid_mlp(c, t, p, GRID, spec), (coords, table, params), "cuda"
    )
    expected = with_gradients(
        lambda c, t, p: ops.grid_mlp(c, t, p, GRID, exact),
        (coords, table, params),
        "cpu",
        torch.float64,
    )
    assert_near(actual, expected, max(2e-5, MLP_TOLERANCE[precision]))


def test_the_fields_gradients_pass_gradcheck():
    spec = ops.MlpSpec(32, 1, 2, True, "sine")
    coords, table, params, _ = make_field(spec, count=5)
    leaves = [t.cuda().requires_grad_() for t in (coords, table, params)]
    assert torch.autograd.gradcheck(
        lambda c, t, p: ops.grid_mlp(c, t, p, GRID, spec), leaves, fast_mode=True, nondet_tol=1e-9
    )


@pytest.mark.parametrize(("dim", "count"), [(2, (1 << 20) + 5), (1, (1 << 18) + 5), (2, 0)])
def test_a_field_is_its_parts_over_many_launches(dim, count):
    spec = ops.MlpSpec(64, 2, 3)
    _, table, params, _ = make_field(spec, torch.float32, dim)
    coords = torch.rand(count, dim, device="cuda")
    table, params = table.cuda(), params.cuda()
    whole = ops.grid_mlp(coords, table, params, GRID, spec)
    parts = ops.mlp(ops.hash_grid(coords, table, GRID), params, spec)
    torch.testing.assert_close(whole, parts, rtol=1e-5, atol=1e-5)


def test_a_flag_cancels():
    spec = ops.MlpSpec(64, 2, 3)
    coords, table, params, _ = (t.cuda() for t in make_field(spec, torch.float32))
    flag = torch.zeros(1, dtype=torch.uint8)
    ops.grid_mlp(coords, table, params, GRID, spec, flag)
    flag[0] = 1
    with pytest.raises(RuntimeError, match="cancelled"):
        ops.grid_mlp(coords, table, params, GRID, spec, flag)
