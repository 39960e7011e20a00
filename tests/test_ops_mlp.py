"""The MLP's ops, alone and behind the hash grid, against their twins."""

import itertools

import pytest
import reference
import torch

from fields import ops

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
GRID = ops.GridSpec(4, 4, 1.7, 8, True)

dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
widths = pytest.mark.parametrize("width", [32, 64, 128])
needs_bf16 = pytest.mark.skipif(
    not ops.ACTIVE.bf16, reason=f"{ops.ACTIVE.cpu} kernels have no bf16 arithmetic"
)


def make_params(inputs, spec, dtype, generator):
    """Weights that keep activations near 1, small biases."""
    parts = []
    for fan_out, fan_in in spec.layer_shapes(inputs):
        weight = torch.randn(fan_out * fan_in, dtype=torch.float64, generator=generator)
        parts.append(weight * (1.4 / fan_in**0.5))
        if spec.bias:
            parts.append(0.3 * torch.randn(fan_out, dtype=torch.float64, generator=generator))
    return torch.cat(parts).to(dtype)


def make_case(spec, dtype=torch.float64, inputs=8, count=65, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, inputs, dtype=torch.float64, generator=generator).to(dtype)
    grad = torch.randn(count, spec.channels, dtype=torch.float64, generator=generator).to(dtype)
    return x, make_params(inputs, spec, dtype, generator), grad


def make_field(spec, dtype=torch.float64, dim=2, features=2, count=65, seed=0, grid=GRID):
    generator = torch.Generator().manual_seed(seed)
    coords = reference.coords_away_from_faces(count, dim, grid, generator=generator, margin=0.02)
    rows = reference.num_rows(dim, grid)
    table = torch.randn(rows, features, dtype=torch.float64, generator=generator)
    params = make_params(grid.num_levels * features, spec, dtype, generator)
    grad = torch.randn(count, spec.channels, dtype=torch.float64, generator=generator)
    return coords.to(dtype), table.to(dtype), params, grad.to(dtype)


def values_and_grads(function, inputs, grad):
    inputs = [t.detach().clone().requires_grad_() for t in inputs]
    values = function(*inputs)
    return [values.detach(), *torch.autograd.grad(values, inputs, grad)]


def doubles(*tensors):
    return [t.detach().double() for t in tensors]


def assert_near(actual, expected, tolerance=None):
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        assert a.isfinite().all()
        largest = b.abs().max().item() if b.numel() else 0.0
        atol = (tolerance or TOLERANCE[a.dtype]) * (largest + 1e-30)
        torch.testing.assert_close(a.double(), b.double(), rtol=0, atol=atol)


def check_mlp(spec, dtype, **case):
    x, params, grad = make_case(spec, dtype, **case)
    actual = values_and_grads(lambda x, p: ops.mlp(x, p, spec), (x, params), grad)
    expected = values_and_grads(
        lambda x, p: reference.mlp(x, p, spec), doubles(x, params), grad.double()
    )
    assert_near(actual, expected)


@pytest.mark.kernel
@widths
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("activation", ["relu", "sine"])
@dtypes
def test_values_and_gradients_equal_the_twin(width, depth, bias, activation, dtype):
    check_mlp(ops.MlpSpec(width, depth, 3, bias, activation), dtype, inputs=32)


@pytest.mark.kernel
@pytest.mark.parametrize("output", [name for name in ops.ACTIVATIONS if name != "finer"])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@dtypes
def test_output_activations_equal_torchs(output, bias, dtype):
    check_mlp(ops.MlpSpec(32, 1, 4, bias, "relu", output), dtype)


@pytest.mark.kernel
@pytest.mark.parametrize("inputs", [1, 2, 3, 16, 17, 31, 48, 100])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 8, 17])
def test_any_number_of_inputs_and_channels(inputs, channels):
    check_mlp(ops.MlpSpec(32, 2, channels, True), torch.float32, inputs=inputs)


@pytest.mark.kernel
@pytest.mark.parametrize("count", [1, 7, 15, 16, 17, 63, 64, 65, 1000, 5000])
def test_any_number_of_samples(count):
    check_mlp(ops.MlpSpec(64, 2, 3), torch.float32, inputs=32, count=count)


@pytest.mark.kernel
@dtypes
def test_extreme_arguments_of_activations_stay_finite_where_torchs_do(dtype):
    x = torch.tensor([-1e4, -200, -104, -88, -20, -1e-3, 0, 1e-3, 20, 80, 200, 1e4]).to(dtype)
    for name in ("relu", "sigmoid", "softplus", "sine", "tanh"):
        spec = ops.MlpSpec(32, 0, 1, False, "relu", name)
        params = torch.ones(1, dtype=dtype)
        inputs = x[:, None].clone().requires_grad_()
        values = ops.mlp(inputs, params, spec)
        (grad,) = torch.autograd.grad(values.sum(), inputs)
        exact = x[:, None].double().requires_grad_()
        expected = reference.ACTIVATIONS[name](exact)
        (expected_grad,) = torch.autograd.grad(expected.sum(), exact)
        rtol = 1e-5 if dtype == torch.float32 else 1e-12
        atol = 1e-4 if name == "sine" and dtype == torch.float32 else 1e-7
        torch.testing.assert_close(values.double(), expected, rtol=rtol, atol=atol)
        torch.testing.assert_close(grad.double(), expected_grad, rtol=rtol, atol=atol)


def test_nan_passes_through_as_in_torch():
    spec = ops.MlpSpec(32, 2, 1)
    x, params, _ = make_case(spec, torch.float32, count=3)
    x[1, 0] = float("nan")
    assert ops.mlp(x, params, spec).isnan().flatten().tolist() == [False, True, False]


@pytest.mark.kernel
@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("features", [1, 2, 4, 8])
@dtypes
def test_grid_mlp_equals_its_twin(dim, features, dtype):
    spec = ops.MlpSpec(32, 2, 3, True)
    *inputs, grad = make_field(spec, dtype, dim, features)
    actual = values_and_grads(lambda *i: ops.grid_mlp(*i, GRID, spec), inputs, grad)
    expected = values_and_grads(
        lambda *i: reference.grid_mlp(*i, GRID, spec), doubles(*inputs), grad.double()
    )
    # Gradients of coords carry the scale of the finest level.
    assert_near(actual, expected, tolerance=5e-5 if dtype == torch.float32 else 1e-11)


@pytest.mark.kernel
@pytest.mark.parametrize("activation", ["relu", "sine"])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@widths
def test_grid_mlp_is_the_hash_grid_followed_by_the_mlp(width, bias, activation):
    spec = ops.MlpSpec(width, 2, 3, bias, activation, "sigmoid")
    *inputs, grad = make_field(spec, torch.float32, count=1000)

    def in_two(coords, table, params):
        return ops.mlp(ops.hash_grid(coords, table, GRID), params, spec)

    fused = values_and_grads(lambda *i: ops.grid_mlp(*i, GRID, spec), inputs, grad)
    assert_near(fused, values_and_grads(in_two, inputs, grad))


@pytest.mark.kernel
@pytest.mark.parametrize("count", [0, 1, 7, 63, 65, 1000, 3000])
def test_grid_mlp_takes_any_number_of_samples(count):
    spec = ops.MlpSpec(64, 2, 3)
    coords, table, params, grad = make_field(spec, torch.float32, count=3000)
    inputs = coords[:count], table, params
    actual = values_and_grads(lambda *i: ops.grid_mlp(*i, GRID, spec), inputs, grad[:count])
    expected = values_and_grads(
        lambda *i: reference.grid_mlp(*i, GRID, spec), doubles(*inputs), grad[:count].double()
    )
    assert_near(actual, expected, tolerance=5e-5)


def test_no_samples_give_no_rows_and_a_zero_gradient():
    spec = ops.MlpSpec(32, 1, 3, True)
    x, params, grad = make_case(spec, torch.float32, count=0)
    values, grad_x, grad_params = values_and_grads(
        lambda x, p: ops.mlp(x, p, spec), (x, params), grad
    )
    assert values.shape == (0, 3) and grad_x.shape == (0, 8)
    assert torch.equal(grad_params, torch.zeros_like(params))


def test_only_the_gradients_asked_for_are_computed():
    spec = ops.MlpSpec(32, 1, 3)
    *inputs, grad = make_field(spec)
    everything = values_and_grads(lambda *i: ops.grid_mlp(*i, GRID, spec), inputs, grad)[1:]
    for wanted in itertools.product((False, True), repeat=3):
        if not any(wanted):
            continue
        leaves = [t.detach().clone().requires_grad_(w) for t, w in zip(inputs, wanted, strict=True)]
        ops.grid_mlp(*leaves, GRID, spec).backward(grad)
        for leaf, want, expected in zip(leaves, wanted, everything, strict=True):
            assert (leaf.grad is not None) == want
            if want:
                torch.testing.assert_close(leaf.grad, expected)


def test_non_contiguous_inputs_give_the_same():
    spec = ops.MlpSpec(32, 1, 3, True)
    x, params, grad = make_case(spec)
    expected = values_and_grads(lambda x, p: ops.mlp(x, p, spec), (x, params), grad)
    strided_x = x.t().contiguous().t().requires_grad_()
    strided_params = torch.stack([params, params], 1)[:, 0].requires_grad_()
    values = ops.mlp(strided_x, strided_params, spec)
    strided_grad = grad.t().contiguous().t()
    actual = torch.autograd.grad(values, (strided_x, strided_params), strided_grad)
    assert_near([values.detach(), *actual], expected)


@pytest.mark.parametrize("activation", ["relu", "sine"])
@pytest.mark.parametrize("output", ["none", "sigmoid", "softplus", "exp"])
def test_gradcheck(activation, output):
    spec = ops.MlpSpec(32, 1, 2, True, activation, output)
    x, params, _ = make_case(spec, count=2, inputs=3)
    inputs = x.requires_grad_(), params.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, p: ops.mlp(x, p, spec), inputs)


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_gradcheck_of_grid_mlp(dim):
    grid = ops.GridSpec(2, 4, 1.7, 4, True)
    spec = ops.MlpSpec(32, 1, 2, False, "sine")
    *inputs, _ = make_field(spec, dim=dim, count=2, grid=grid)
    inputs = [t.requires_grad_() for t in inputs]
    assert torch.autograd.gradcheck(lambda *i: ops.grid_mlp(*i, grid, spec), inputs)


def test_a_second_derivative_is_refused_and_says_what_to_use():
    spec = ops.MlpSpec(32, 1, 1)
    coords, table, params, _ = make_field(spec)
    coords.requires_grad_()
    table.requires_grad_()
    values = ops.grid_mlp(coords, table, params, GRID, spec)
    (slope,) = torch.autograd.grad(values.sum(), coords, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivative; use"):
        slope.square().sum().backward()


@pytest.mark.parametrize("requires_grad", [False, True])
def test_opcheck(requires_grad):
    spec = ops.MlpSpec(32, 1, 3, True)
    x, params, grad = make_case(spec, torch.float32)
    mlp_args = (32, 1, 3, True, 1, 0, 0, 1.0, 1.0)
    leaves = x.requires_grad_(requires_grad), params.requires_grad_(requires_grad)
    torch.library.opcheck(torch.ops.fields.mlp.default, (*leaves, *mlp_args))
    torch.library.opcheck(
        torch.ops.fields.mlp_backward.default, (grad, x.detach(), params.detach(), *mlp_args)
    )
    *inputs, grad = make_field(spec, torch.float32)
    grid_args = (4, 4, 1.7, 8, True)
    leaves = [t.detach().requires_grad_(requires_grad) for t in inputs]
    torch.library.opcheck(torch.ops.fields.grid_mlp.default, (*leaves, *grid_args, *mlp_args, None))
    for need_coords in (False, True):
        torch.library.opcheck(
            torch.ops.fields.grid_mlp_backward.default,
            (grad, *[t.detach() for t in inputs], *grid_args, *mlp_args, need_coords),
        )


def test_the_whole_graph_compiles():
    spec = ops.MlpSpec(32, 2, 3)
    *inputs, _ = make_field(spec, torch.float32)

    def loss(coords, table, params):
        features = ops.mlp(ops.hash_grid(coords, table, GRID), params, spec)
        return (features - ops.grid_mlp(coords, table, params, GRID, spec) + 1).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    inputs = [t.requires_grad_() for t in inputs]
    torch.testing.assert_close(compiled(*inputs), loss(*inputs))
    actual = torch.autograd.grad(compiled(*inputs), inputs)
    torch.testing.assert_close(actual, torch.autograd.grad(loss(*inputs), inputs))


def test_the_bits_do_not_depend_on_the_number_of_threads():
    spec = ops.MlpSpec(64, 2, 3, True)
    *inputs, grad = make_field(spec, torch.float32, count=5000)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(values_and_grads(lambda *i: ops.grid_mlp(*i, GRID, spec), inputs, grad))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_cancelled_kernel_says_so():
    spec = ops.MlpSpec(32, 1, 3)
    coords, table, params, _ = make_field(spec, torch.float32)
    cancel = torch.zeros(1, dtype=torch.uint8)
    values = ops.grid_mlp(coords, table, params, GRID, spec, cancel)
    assert torch.equal(values, ops.grid_mlp(coords, table, params, GRID, spec))
    cancel[0] = 1
    with pytest.raises(RuntimeError, match="cancelled"):
        ops.grid_mlp(coords, table, params, GRID, spec, cancel)
    for wrong in (torch.ones(1), torch.zeros(0, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="cancel must be uint8"):
            ops.grid_mlp(coords, table, params, GRID, spec, wrong)


@needs_bf16
@widths
@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("activation", ["relu", "sine"])
def test_bf16_arithmetic_rounds_the_operands_of_products_alone(width, depth, bias, activation):
    spec = ops.MlpSpec(width, depth, 3, bias, activation, "sigmoid", "bf16")
    rounding = reference.Bf16Linear.apply

    def check(function, twin_function, inputs, grad):
        actual = values_and_grads(function, inputs, grad)
        expected = values_and_grads(twin_function, doubles(*inputs), grad.double())
        for a, b in zip(actual, expected, strict=True):
            assert a.dtype == torch.float32
            # Sums in float32 tip a few operands to the neighbouring bf16.
            assert (a - b).norm() < 5e-3 * b.norm()

    *inputs, grad = make_field(spec, torch.float32, count=1000)
    check(
        lambda *i: ops.grid_mlp(*i, GRID, spec),
        lambda *i: reference.grid_mlp(*i, GRID, spec, linear=rounding),
        inputs,
        grad,
    )
    for count, size in ((1, 1), (77, 17), (130, 32)):
        x, params, grad = make_case(spec, torch.float32, inputs=size, count=count)
        check(
            lambda x, p: ops.mlp(x, p, spec),
            lambda x, p: reference.mlp(x, p, spec, linear=rounding),
            (x, params),
            grad,
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, p: (x[0], p), r"x must be \[N, inputs\]"),
        (lambda x, p: (x, p[:-1]), r"params must be \["),
        (lambda x, p: (x, p.view(1, -1)), r"params must be \["),
        (lambda x, p: (x.double(), p), "x is torch.float64 but params is torch.float32"),
        (lambda x, p: (x.half(), p.half()), "float32 or float64"),
        (lambda x, p: (x.to("meta"), p), "x is on meta but params on cpu"),
    ],
)
def test_wrong_inputs_are_refused_with_one_line(change, message):
    spec = ops.MlpSpec(32, 1, 3)
    x, params, _ = make_case(spec, torch.float32)
    with pytest.raises(ValueError, match=message) as error:
        ops.mlp(*change(x, params), spec)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "bad",
    [
        {"width": 0},
        {"depth": -1},
        {"channels": 0},
        {"activation": "gelu"},
        {"output_activation": "gelu"},
        {"precision": "int8"},
    ],
)
def test_an_mlp_out_of_range_is_refused_by_name(bad):
    name = next(iter(bad))
    with pytest.raises(ValueError, match=name):
        spec = ops.MlpSpec(**({"width": 32, "depth": 1, "channels": 3} | bad))
        ops.mlp(torch.rand(3, 4), torch.zeros(224), spec)
