"""Wide MLPs, layers of sines with a frequency, their training step, and Fourier features."""

import math

import pytest
import reference
import torch
from test_ops_mlp import (
    GRID,
    assert_near,
    doubles,
    make_case,
    make_field,
    needs_bf16,
    values_and_grads,
)

from fields import ops

PERIODIC = pytest.mark.parametrize("activation", ["sine", "finer"])
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])


def make_periodic(activation, width=64, depth=2, bias=True, **more):
    return ops.MlpSpec(width, depth, 3, bias, activation, first_omega=7.0, omega=3.0, **more)


def make_small(spec, dtype, **case):
    """As make_case, with weights that keep the angles of layers with a frequency near 1."""
    x, params, grad = make_case(spec, dtype, **case)
    return x, params / 4, grad


# Sines


@pytest.mark.kernel
@PERIODIC
@dtypes
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize(("width", "depth"), [(1, 1), (17, 2), (64, 3), (100, 1), (256, 3)])
def test_layers_with_a_frequency_equal_the_twin(activation, dtype, bias, width, depth):
    spec = make_periodic(activation, width, depth, bias)
    x, params, grad = make_small(spec, dtype, inputs=2, count=130)
    actual = values_and_grads(lambda x, p: ops.mlp(x, p, spec), (x, params), grad)
    expected = values_and_grads(
        lambda x, p: reference.mlp(x, p, spec), doubles(x, params), grad.double()
    )
    assert_near(actual, expected, 1e-4 if dtype == torch.float32 else 1e-11)


@PERIODIC
def test_a_hash_grid_takes_them_too(activation):
    spec = make_periodic(activation)
    coords, table, params, grad = make_field(spec, torch.float64, count=70)
    inputs = coords, 0.1 * table, params / 4
    actual = values_and_grads(lambda *i: ops.grid_mlp(*i, GRID, spec), inputs, grad)
    expected = values_and_grads(lambda *i: reference.grid_mlp(*i, GRID, spec), inputs, grad)
    assert_near(actual, expected, 1e-10)


def test_gradcheck_of_sines_with_a_frequency():
    spec = make_periodic("sine", 16, 1)
    x, params, _ = make_small(spec, torch.float64, count=2)
    inputs = x.requires_grad_(), params.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, p: ops.mlp(x, p, spec), inputs)


@needs_bf16
@PERIODIC
def test_bf16_arithmetic_rounds_weights_times_frequency(activation):
    spec = make_periodic(activation, precision="bf16")
    x, params, grad = make_small(spec, torch.float32, count=300)
    actual = values_and_grads(lambda x, p: ops.mlp(x, p, spec), (x, params), grad)
    rounding = reference.Bf16Linear.apply  # of FINER the kernel rounds omega W, the twin W
    expected = values_and_grads(
        lambda x, p: reference.mlp(x, p, spec, linear=rounding), doubles(x, params), grad.double()
    )
    for a, b in zip(actual, expected, strict=True):
        assert (a - b).norm() < 3e-2 * b.norm()


@pytest.mark.kernel
def test_sine_and_cosine_are_within_2e_7_up_to_200():
    spec = ops.MlpSpec(1, 1, 1, False, "sine")
    x = torch.linspace(-200, 200, 1_000_001)[:, None].requires_grad_()
    values = ops.mlp(x, torch.ones(2), spec)
    (slope,) = torch.autograd.grad(values.sum(), x)
    exact = x.detach().double()
    assert (values.double() - exact.sin()).abs().max() < 2e-7
    assert (slope.double() - exact.cos()).abs().max() < 2e-7


def test_frequencies_are_refused_where_they_mean_nothing():
    with pytest.raises(ValueError, match="omega is for sine and finer; relu layers have none"):
        ops.MlpSpec(8, 1, 1, omega=2.0)
    with pytest.raises(ValueError, match="finer is for hidden layers"):
        ops.MlpSpec(8, 1, 1, output_activation="finer")
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="first_omega must be from"):
            ops.MlpSpec(8, 1, 1, True, "sine", first_omega=wrong)


# Width


@pytest.mark.kernel
@pytest.mark.parametrize("width", [65, 192, 512])
@pytest.mark.parametrize("count", [1, 700])
def test_wide_networks_equal_the_twin(width, count):
    spec = ops.MlpSpec(width, 2, 3, True)
    x, params, grad = make_case(spec, torch.float32, inputs=5, count=count)
    actual = values_and_grads(lambda x, p: ops.mlp(x, p, spec), (x, params), grad)
    expected = values_and_grads(
        lambda x, p: reference.mlp(x, p, spec), doubles(x, params), grad.double()
    )
    assert_near(actual, expected, 1e-4)


# The training step


def train(spec, x, targets, params, steps=3, **settings):
    """Parameters and losses after some steps of the op."""
    state = params.clone(), torch.zeros_like(params), torch.zeros_like(params)
    losses = [
        ops.mlp_step(x, targets, state, spec, step=step, **settings) for step in range(1, steps + 1)
    ]
    return state[0], torch.cat(losses)


@pytest.mark.kernel
@pytest.mark.parametrize("loss", list(reference.LOSSES))
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
@pytest.mark.parametrize(
    "spec",
    [ops.MlpSpec(32, 1, 3), make_periodic("sine", 200, 2), make_periodic("finer", 64, 3)],
    ids=["relu", "sine", "finer"],
)
def test_the_step_equals_autograd_and_torchs_adam(spec, loss, weight_decay):
    x, params, targets = make_small(spec, torch.float32, count=1000)
    settings = {"lr": 1e-3, "weight_decay": weight_decay, "eps": 1e-6}
    actual, losses = train(spec, x, targets, params, loss=loss, **settings)
    exact = params.double().requires_grad_()
    adam = torch.optim.Adam([exact], betas=(0.9, 0.999), **settings)
    for value in losses:
        adam.zero_grad()
        found = reference.mlp(x.double(), exact, spec)
        compare = reference.LOSSES[loss]
        expected = compare(found, targets.double())
        expected.backward()
        adam.step()
        assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    change = (exact.detach() - params).norm()
    assert (actual - exact.detach()).norm() < 1e-2 * change


@pytest.mark.parametrize("width", [32, 256])
def test_the_steps_bits_do_not_depend_on_the_number_of_threads(width):
    spec = make_periodic("sine", width, 2)
    x, params, targets = make_small(spec, torch.float32, inputs=2, count=3000)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(train(spec, x, targets, params, lr=1e-3))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_opcheck_of_the_step():
    spec = ops.MlpSpec(32, 1, 3, True)
    x, params, targets = make_case(spec, torch.float32)
    state = params, torch.zeros_like(params), torch.zeros_like(params)
    call = (x, targets, *state, *spec.args(), 0, 1, 1e-3, 0.9, 0.999, 1e-8, 0.0)
    torch.library.opcheck(torch.ops.fields.mlp_step.default, call)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, t, p: (x[0], t, p), r"x must be \[N, inputs\]"),
        (lambda x, t, p: (x, t[:-1], p), r"targets must be \["),
        (lambda x, t, p: (x, t, (p[0][:-1],) * 3), r"params must be \["),
        (lambda x, t, p: (x, t, (p[0], p[1][:-1], p[2])), r"params_m must be \["),
        (lambda x, t, p: (x.double(), t, p), "x is torch.float64 but params is torch.float32"),
        (lambda x, t, p: (x, t, tuple(s.double() for s in p)), "params must be float32"),
    ],
)
def test_wrong_inputs_of_the_step_are_refused_with_one_line(change, message):
    spec = ops.MlpSpec(8, 1, 3)
    x, params, targets = make_case(spec, torch.float32)
    state = params, torch.zeros_like(params), torch.zeros_like(params)
    x, targets, state = change(x, targets, state)
    with pytest.raises(ValueError, match=message):
        ops.mlp_step(x, targets, state, spec, step=1, lr=1e-3)


# Fourier features


def features_twin(coords, frequencies):
    angles = 2 * math.pi * coords @ frequencies.T
    return torch.cat([angles.cos(), angles.sin()], 1)


def make_features(count=70, dim=2, number=33, dtype=torch.float64, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(count, dim, dtype=torch.float64, generator=generator) * 2 - 1
    frequencies = scale * torch.randn(number, dim, dtype=torch.float64, generator=generator)
    return coords.to(dtype), frequencies.to(dtype)


@pytest.mark.kernel
@dtypes
@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("number", [1, 4, 16, 33])
def test_fourier_features_and_their_gradient_equal_the_twin(dtype, dim, number):
    coords, frequencies = make_features(300, dim, number, dtype)
    grad = make_features(300, 2 * number, 1, dtype)[0]
    actual = values_and_grads(lambda x: ops.fourier(x, frequencies), (coords,), grad)
    expected = values_and_grads(
        lambda x: features_twin(x, frequencies.double()), doubles(coords), grad.double()
    )
    assert_near(actual, expected, 1e-5 if dtype == torch.float32 else 1e-12)


@pytest.mark.kernel
def test_whole_turns_cost_no_digits():
    coords = torch.tensor([[0.0], [0.25], [0.5], [1.0]])
    features = ops.fourier(coords, torch.tensor([[2.0**20 + 1]]))
    expected = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [1, 0]])
    torch.testing.assert_close(features, expected, rtol=0, atol=3e-7)


def test_fourier_features_are_differentiable_twice():
    coords, frequencies = make_features(3, 2, 4, scale=1.0)
    coords.requires_grad_()
    function = lambda x: ops.fourier(x, frequencies)  # noqa: E731
    assert torch.autograd.gradcheck(function, coords)
    assert torch.autograd.gradgradcheck(function, coords)
    torch.library.opcheck(torch.ops.fields.fourier.default, (coords, frequencies))


def test_no_points_have_no_features():
    coords, frequencies = make_features(0)
    assert ops.fourier(coords, frequencies).shape == (0, 66)


def test_wrong_inputs_of_the_features_are_refused_with_one_line():
    coords, frequencies = make_features()
    for call, message in [
        ((coords[0], frequencies), r"coords must be \[N, D\]"),
        ((coords, frequencies[:, :1]), r"frequencies must be \[M, 2\]"),
        ((coords.float(), frequencies), "coords is torch.float32 but frequencies"),
        ((coords.half(), frequencies.half()), "float32 or float64"),
    ]:
        with pytest.raises(ValueError, match=message):
            ops.fourier(*call)
