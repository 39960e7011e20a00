"""The CUDA kernels against the CPU's: the same ops, the same numbers, on a GPU."""

import itertools

import pytest
import torch
from test_ops_hash_grid import make_case as make_grid
from test_ops_mlp import GRID, make_case, make_field
from test_ops_modulation import make_case as make_modulation
from test_ops_step import Fused

import fields
from fields import ops

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        not (torch.cuda.is_available() and ops.ACTIVE.cuda), reason="no GPU, or no CUDA kernels"
    ),
]

# Norm of the difference over the norm. Float32 is the CPU's float32 but for the order of its sums;
# the MLP's is three TF32 products on tensor cores.
GRID_TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-13}
MLP_TOLERANCE = {"float32": 1e-5, "bf16": 3e-2, "fp16": 4e-3}

dims = pytest.mark.parametrize("dim", [1, 2, 3, 4])
feature_counts = pytest.mark.parametrize("features", [1, 2, 4, 8])
smoothness = pytest.mark.parametrize("smoothstep", [False, True], ids=["linear", "smoothstep"])
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
precisions = pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])


def error(actual, expected):
    """Norm of the difference, relative."""
    assert actual.shape == expected.shape and actual.device.type == "cuda"
    actual, expected = actual.detach().cpu().double(), expected.detach().double()
    if not expected.numel():
        return 0.0
    return ((actual - expected).norm() / (expected.norm() + 1e-300)).item()


def assert_near(actual, expected, tolerance):
    errors = [error(a, b) for a, b in zip(actual, expected, strict=True)]
    assert max(errors) <= tolerance, errors


def with_gradients(function, inputs, device, dtype=None):
    """All outputs, then the gradients of their sum with fixed weights by every input."""
    leaves = [t.detach().to(device, dtype).clone().requires_grad_() for t in inputs]
    outputs = function(*leaves)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(5)
    weights = [torch.randn(o.shape, generator=generator).to(o) for o in outputs]
    return [*outputs, *torch.autograd.grad(outputs, leaves, weights)]


# ---- hash grid


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


# ---- MLP


def check_mlp(spec, tolerance, **case):
    x, params, _ = make_case(spec, **case)
    actual, expected = (
        with_gradients(lambda x, p: ops.mlp(x, p, spec), (x, params), *place)
        for place in (("cuda", torch.float32), ("cpu", torch.float64))
    )
    assert_near(actual, expected, tolerance)


@pytest.mark.parametrize("width", [5, 32, 48, 64, 100, 128, 200])
@pytest.mark.parametrize("depth", [0, 1, 2, 4])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("activation", ["relu", "sine"])
def test_the_mlp_and_its_gradients_equal_the_cpus(width, depth, bias, activation):
    spec = ops.MlpSpec(width, depth, 3, bias, activation)
    check_mlp(spec, MLP_TOLERANCE["float32"], inputs=32, count=300)


@pytest.mark.parametrize("width", [32, 64, 128])
@pytest.mark.parametrize("depth", [0, 2, 5])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_near(width, depth, precision):
    """Smooth activations: a relu that flips near zero is no error of the arithmetic."""
    spec = ops.MlpSpec(width, depth, 3, True, "sine", precision=precision)
    check_mlp(spec, MLP_TOLERANCE[precision], inputs=32, count=1000)


@pytest.mark.parametrize("inputs", [1, 3, 16, 17, 31, 100, 256])
@pytest.mark.parametrize("channels", [1, 3, 8, 17, 40])
@precisions
def test_any_number_of_inputs_and_channels(inputs, channels, precision):
    spec = ops.MlpSpec(64, 2, channels, True, "sine", precision=precision)
    check_mlp(spec, MLP_TOLERANCE[precision], inputs=inputs, count=130)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 127, 128, 129, 1000, 70_001])
@precisions
def test_any_number_of_samples(count, precision):
    spec = ops.MlpSpec(32, 2, 3, False, "sine", precision=precision)
    check_mlp(spec, MLP_TOLERANCE[precision], inputs=20, count=count)


@pytest.mark.parametrize("output", list(ops.ACTIVATIONS))
@precisions
def test_output_activations(output, precision):
    spec = ops.MlpSpec(64, 1, 4, True, "sine", output, precision)
    check_mlp(spec, MLP_TOLERANCE[precision], inputs=16, count=200)


@pytest.mark.parametrize("activation", ["none", "sigmoid", "softplus", "exp"])
def test_every_activation_serves_in_hidden_layers(activation):
    depth = 1 if activation == "exp" else 2  # twice is more than a float holds
    check_mlp(ops.MlpSpec(48, depth, 3, True, activation), MLP_TOLERANCE["float32"], count=200)


@precisions
def test_networks_too_deep_for_shared_memory(precision):
    spec = ops.MlpSpec(128, 24, 3, False, "sine", precision=precision)
    check_mlp(spec, 3 * MLP_TOLERANCE[precision], inputs=32, count=200)


def test_the_mlps_gradients_pass_gradcheck():
    spec = ops.MlpSpec(32, 2, 3, True, "sine")
    x, params, _ = make_case(spec, torch.float64, inputs=6, count=7)
    leaves = [t.cuda().requires_grad_() for t in (x, params)]
    assert torch.autograd.gradcheck(lambda x, p: ops.mlp(x, p, spec), leaves, fast_mode=True)


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_fp16_gradients_neither_vanish_nor_overflow(size):
    spec = ops.MlpSpec(64, 2, 3, False, "sine", precision="fp16")
    x, params, grad = (t.float().cuda() for t in make_case(spec, count=500))
    call = (x, params, *spec.args())
    plain = torch.ops.fields.mlp_backward(grad, *call)
    scaled = torch.ops.fields.mlp_backward(grad * size, *call)
    assert_near([s / size for s in scaled], [p.cpu() for p in plain], 2e-3)


@precisions
def test_gradients_of_the_mlp_have_the_same_bits_every_time(precision):
    spec = ops.MlpSpec(64, 2, 3, True, precision=precision)
    x, params, grad = (t.float().cuda() for t in make_case(spec, inputs=32, count=40_000))
    first, again = (torch.ops.fields.mlp_backward(grad, x, params, *spec.args()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


# ---- hash grid + MLP


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


# ---- modulation


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


# ---- training


def both_devices(spec, grid=GRID, dim=2, features=2, count=1000):
    coords, table, params, targets = make_field(
        spec, torch.float32, dim, features, count=count, grid=grid
    )
    return [
        (Fused(table.to(device), params.to(device), spec, grid, dim), coords.to(device),
         targets.to(device))
        for device in ("cuda", "cpu")
    ]  # fmt: skip


def assert_steps_agree(pair, tolerance, steps=5, **settings):
    (a, *batch_a), (b, *batch_b) = pair
    before = [t.clone() for t in (*b.table_state, *b.params_state)]
    for _ in range(steps):
        loss, expected = a.step(*batch_a, **settings), b.step(*batch_b, **settings)
        assert loss.device.type == "cuda" and loss.shape == (1,)
        assert loss.item() == pytest.approx(expected.item(), rel=max(1e-4, tolerance))
    assert not a.workspace.any()
    states = (*a.table_state, *a.params_state), (*b.table_state, *b.params_state)
    for actual, wanted, start in zip(*states, before, strict=True):
        assert error(actual - start.cuda(), wanted - start) < tolerance


@pytest.mark.parametrize("loss", ["l2", "l1"])
@pytest.mark.parametrize("touched_only", [False, True], ids=["dense", "touched"])
@pytest.mark.parametrize(("width", "bias"), [(32, True), (64, False), (128, False), (160, True)])
def test_a_training_step_equals_the_cpus(loss, touched_only, width, bias):
    spec = ops.MlpSpec(width, 2, 3, bias)
    # A large eps makes the update nearly linear in the gradient: it can be compared closely.
    settings = {"loss": loss, "touched_only": touched_only, "weight_decay": 1e-2, "eps": 1e-3}
    assert_steps_agree(both_devices(spec), 2e-2 if loss == "l1" else 1e-3, **settings)


@dims
@feature_counts
def test_a_training_step_on_every_grid(dim, features):
    grid = ops.GridSpec(4, 4, 1.7, 8, True)
    pair = both_devices(ops.MlpSpec(32, 1, 2), grid, dim, features, 333)
    assert_steps_agree(pair, 1e-3, eps=1e-3)


@pytest.mark.parametrize("count", [1, 127, 129, 20_001])
@pytest.mark.parametrize("depth", [0, 3])
def test_a_training_step_takes_any_number_of_samples(count, depth):
    pair = both_devices(ops.MlpSpec(64, depth, 3, True, "sine"), count=count)
    assert_steps_agree(pair, 1e-3, eps=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_step_in_half_precision_goes_the_same_way(precision):
    exact, spec = ops.MlpSpec(64, 2, 3), ops.MlpSpec(64, 2, 3, precision=precision)
    coords, table, params, targets = (t.cuda() for t in make_field(spec, torch.float32, count=2000))
    a, b = Fused(table, params, exact), Fused(table, params, spec)
    for _ in range(20):
        loss_a, loss_b = a.step(coords, targets), b.step(coords, targets)
    assert loss_b.item() == pytest.approx(loss_a.item(), rel=0.05)


def test_a_nan_in_the_targets_reaches_the_loss():
    spec = ops.MlpSpec(32, 1, 3)
    coords, table, params, targets = (t.cuda() for t in make_field(spec, torch.float32))
    targets[3, 1] = float("nan")
    for loss in ("l2", "l1"):
        assert Fused(table, params, spec).step(coords, targets, loss=loss).isnan().all()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 77, 100_001])
@pytest.mark.parametrize("touched_only", [False, True])
@pytest.mark.parametrize("offset", [0, 1])
def test_adam_equals_the_cpus(count, touched_only, offset):
    generator = torch.Generator().manual_seed(count)
    cpu = [torch.randn(count + offset, generator=generator).abs() for _ in range(4)]
    cpu[1] *= (torch.arange(count + offset) % 3 != 0).float()
    gpu = [t.cuda()[offset:] for t in cpu]
    cpu = [t[offset:] for t in cpu]
    for step in range(1, 4):
        for tensors in (cpu, gpu):
            ops.adam_step(
                *tensors, step=step, lr=1e-2, weight_decay=1e-2, touched_only=touched_only
            )
    assert_near(gpu, cpu, 1e-6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("shape", [(512, 300, 3), (1, 4096, 1), (1, 1, 4), (3000, 2000, 3)])
def test_sampled_pixels_are_the_cpus_bit_by_bit(dtype, shape):
    generator = torch.Generator().manual_seed(0)
    if dtype == torch.float32:
        pixels = torch.randn(shape, generator=generator)
    else:
        pixels = torch.randint(0, 255, shape, generator=generator).to(dtype)
    for seed, step, count in ((0, 1, 1000), (7, 12345, 70_001)):
        actual = ops.sample_pixels(pixels.cuda(), count, seed, step)
        expected = ops.sample_pixels(pixels, count, seed, step)
        assert all(torch.equal(a.cpu(), b) for a, b in zip(actual, expected, strict=True))


# ---- torch


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
