"""The other CUDA kernels against the CPU's, and what all of them are to torch."""

import pytest
import torch
from devices import GRID_TOLERANCE, NEEDS_CUDA, assert_near, dtypes, precisions, with_gradients
from test_ops_mlp import GRID, make_field
from test_ops_modulation import make_case as make_modulation
from test_ops_step import Fused

import fields
from fields import ops

pytestmark = NEEDS_CUDA


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("per_feature", [False, True], ids=["one", "feature"])
@pytest.mark.parametrize("normalise", ["features", "none", "ray"])
@pytest.mark.parametrize("activation", ["none", "relu", "sine"])
@dtypes
def test_the_modulation_and_its_gradients_equal_the_cpus(
    dim, per_feature, normalise, activation, dtype
):
    *inputs, _ = make_modulation(dim, per_feature, dtype, count=600, features=70)
    spec = ops.ModulationSpec(normalise, 6, activation)
    actual, expected = (
        with_gradients(lambda *i: ops.modulate(*i, spec), inputs, device)
        for device in ("cuda", "cpu")
    )
    assert_near(actual, expected, 10 * GRID_TOLERANCE[dtype])


def test_opcheck():
    namespace, check = torch.ops.fields, torch.library.opcheck
    spec = ops.MlpSpec(32, 1, 3)
    grid_args, mlp_args = (4, 4, 1.7, 8, True), spec.args()
    field = [t.cuda() for t in make_field(spec, torch.float32)]
    coords, table, params = (t.clone().requires_grad_() for t in field[:3])
    targets = field[3]
    features = torch.rand(65, 8, device="cuda", requires_grad=True)
    grad, jacobian = torch.rand(65, 8, device="cuda"), torch.rand(65, 8, 2, device="cuda")
    # Additions to the table come in any order: the last bits differ from run to run.
    close = {"rtol": 1e-4, "atol": 1e-5}
    check(namespace.hash_grid.default, (coords, table, *grid_args), **close)
    check(namespace.hash_grid_with_grad.default, (coords, table, *grid_args), **close)
    check(namespace.mlp.default, (features, params, *mlp_args), **close)
    check(namespace.grid_mlp.default, (coords, table, params, *grid_args, *mlp_args, None), **close)
    call = (coords, table, *grid_args, True, True)
    check(namespace.hash_grid_backward.default, (grad, *call), **close)
    # The other backwards have no second derivative.
    coords, table, params, features = (t.detach() for t in (coords, table, params, features))
    call = (grad, jacobian, coords, table, *grid_args, True, True)
    check(namespace.hash_grid_with_grad_backward.default, call, **close)
    check(namespace.mlp_backward.default, (targets, features, params, *mlp_args), **close)
    call = (targets, coords, table, params, *grid_args, *mlp_args, True)
    check(namespace.grid_mlp_backward.default, call, **close)
    check(namespace.sample_pixels.default, (torch.rand(5, 6, 3, device="cuda"), 17, 1, 2))
    four = [torch.rand(20, device="cuda") for _ in range(4)]
    check(namespace.adam_step.default, (*four, 1, 1e-2, 0.9, 0.99, 1e-15, 0.0, False))
    fused = Fused(field[1], field[2], spec)
    state = (*fused.table_state, *fused.params_state, fused.workspace)
    adam_args = (0, 1, 1e-2, 1e-2, 0.9, 0.99, 1e-8, 0.0, False)
    check(
        namespace.grid_mlp_step.default,
        (field[0], targets, *state, *grid_args, *mlp_args, *adam_args),
        rtol=1e-2,
        atol=1e-3,
    )


def test_kernels_run_on_the_current_stream():
    spec = ops.MlpSpec(64, 2, 3)
    coords, table, params, _ = (t.cuda() for t in make_field(spec, torch.float32, count=5000))
    expected = ops.grid_mlp(coords, table, params, GRID, spec)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        shifted = coords * 1.0  # queued on the same stream: the kernel must come after it
        actual = ops.grid_mlp(shifted, table, params, GRID, spec)
    stream.synchronize()
    assert torch.equal(actual, expected)


@precisions
def test_a_fit_on_the_gpu_reaches_35_db(tmp_path, precision):
    data = pytest.importorskip("skimage.data")
    run = fields.fit(
        data.astronaut(), out=tmp_path / "run", target=35, device="cuda", precision=precision
    )
    assert run.metrics["psnr"] >= 35
