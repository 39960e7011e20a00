"""Coordinate-aware modulation against its twin."""

import itertools

import pytest
import reference
import torch
from test_ops_mlp import assert_near, doubles, values_and_grads

from fields import ops
from fields.ops import ModulationSpec

SIZES = (5, 4, 3)

dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
dims = pytest.mark.parametrize("dim", [1, 2, 3])
normalisations = pytest.mark.parametrize("normalise", ["features", "none", "ray"])
activations = pytest.mark.parametrize("activation", ["none", "relu", "sine"])
channel_counts = pytest.mark.parametrize("per_feature", [False, True], ids=["one", "feature"])


def make_case(dim=2, per_feature=False, dtype=torch.float64, count=36, features=21, seed=0):
    """h, positions away from cell faces, gamma about 1, beta about 0, and a gradient."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    cells = torch.tensor(SIZES[:dim]) - 1
    inside = 0.05 + 0.9 * torch.rand(count, dim, dtype=torch.float64, generator=generator)
    cell = (torch.rand(count, dim, generator=generator) * cells).floor()
    positions = (cell + inside) / cells
    knots = (*SIZES[:dim], features if per_feature else 1)
    gamma, beta = 1 + 0.5 * randn(*knots), 0.5 * randn(*knots)
    h = 2 * randn(count, features) + 1
    return [t.to(dtype) for t in (h, positions, gamma, beta, randn(count, features))]


def make_spec(normalise="features", activation="relu"):
    return ModulationSpec(normalise, 6, activation, 3.0)


def both(case, spec):
    *inputs, grad = case
    actual = values_and_grads(lambda *i: ops.modulate(*i, spec), inputs, grad)
    expected = values_and_grads(
        lambda *i: reference.modulate(*i, spec), doubles(*inputs), grad.double()
    )
    return actual, expected


@pytest.mark.kernel
@dims
@channel_counts
@normalisations
@activations
@dtypes
def test_values_and_gradients_equal_the_twin(dim, per_feature, normalise, activation, dtype):
    case = make_case(dim, per_feature, dtype)
    # A sine passes on three times the rounding of its argument.
    tolerance = {torch.float32: 2e-5, torch.float64: 1e-12}[dtype]
    assert_near(*both(case, make_spec(normalise, activation)), tolerance)


@pytest.mark.kernel
@pytest.mark.parametrize("features", [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 256])
@channel_counts
def test_any_number_of_features(features, per_feature):
    case = make_case(2, per_feature, torch.float32, features=features)
    spec = make_spec("none" if features < 3 else "features", "sine")
    assert_near(*both(case, spec), 2e-5)


@pytest.mark.kernel
@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 7777])
def test_any_number_of_samples(count):
    case = make_case(2, False, torch.float32, count=count, features=32)
    assert_near(*both(case, make_spec()), 5e-5)


def test_scale_one_and_shift_zero_are_the_layer_norm():
    h, positions, gamma, *_ = make_case()
    for spec in (make_spec(activation="none"), make_spec()):
        values = ops.modulate(h, positions, torch.ones_like(gamma), torch.zeros_like(gamma), spec)
        norm = torch.nn.functional.layer_norm(h, h.shape[1:])
        torch.testing.assert_close(values, norm.relu() if spec.activation == "relu" else norm)


def test_a_feature_normalised_alone_and_a_constant_row_give_the_shift():
    _, positions, gamma, beta, _ = make_case(features=1)
    h = torch.full((len(positions), 1), 3.0, dtype=torch.float64)
    spec = make_spec(activation="none")
    shift = reference.knots(beta, positions)
    torch.testing.assert_close(ops.modulate(h, positions, gamma, beta, spec), shift)
    torch.testing.assert_close(
        ops.modulate(h.expand(-1, 9), positions, gamma, beta, spec), shift.expand(-1, 9)
    )


@dims
def test_at_the_knots_values_are_those_of_the_knots(dim):
    """Knots lie at both ends of [0, 1], and axis k of a grid belongs to coordinate k."""
    knots = torch.tensor(list(itertools.product(*map(range, SIZES[:dim]))))
    positions = knots / (torch.tensor(SIZES[:dim]) - 1)
    generator = torch.Generator().manual_seed(1)
    gamma, beta = torch.randn(2, *SIZES[:dim], 1, generator=generator)
    h = torch.randn(len(knots), 3, generator=generator)
    spec = ModulationSpec("none", activation="none")
    expected = gamma[tuple(knots.T)] * h + beta[tuple(knots.T)]
    torch.testing.assert_close(ops.modulate(h, positions, gamma, beta, spec), expected)


def test_between_knots_values_are_linear_in_time():
    gamma = torch.tensor([1.0, 3.0, -1.0])[:, None]
    t = torch.tensor([[0.125], [0.25], [0.5], [0.75], [1.0]])
    spec = ModulationSpec("none", activation="none")
    values = ops.modulate(torch.ones(5, 1), t, gamma, torch.zeros_like(gamma), spec)
    assert values.flatten().tolist() == [1.5, 2.0, 3.0, 1.0, -1.0]


def test_positions_outside_are_those_at_the_border():
    h, positions, gamma, beta, _ = make_case()
    spec = make_spec()
    outside = positions * 4 - 1.5
    at_border = outside.clamp(0, 1)
    assert not torch.equal(outside, at_border)
    values = ops.modulate(h, outside, gamma, beta, spec)
    assert torch.equal(values, ops.modulate(h, at_border, gamma, beta, spec))
    nan = torch.full_like(positions, float("nan"))
    assert ops.modulate(h, nan, gamma, beta, spec).isfinite().all()


@dims
@channel_counts
@normalisations
@activations
def test_gradcheck(dim, per_feature, normalise, activation):
    *inputs, _ = make_case(dim, per_feature, count=6, features=5)
    inputs = [t.requires_grad_() for t in inputs]
    spec = make_spec(normalise, activation)
    assert torch.autograd.gradcheck(lambda *i: ops.modulate(*i, spec), inputs)


def test_gradients_of_the_grids_equal_finite_differences():
    h, positions, gamma, beta, grad = make_case(count=500)
    spec, step = make_spec(activation="sine"), 1e-6
    _, _, _, *slopes = values_and_grads(
        lambda *i: ops.modulate(*i, spec), (h, positions, gamma, beta), grad
    )
    for grid, slope in zip((gamma, beta), slopes, strict=True):
        for knot in ((0, 0, 0), (2, 1, 0), (4, 3, 0)):
            ends = []
            for sign in (1, -1):
                grid[knot] += sign * step
                ends.append((ops.modulate(h, positions, gamma, beta, spec) * grad).sum().item())
                grid[knot] -= sign * step
            difference = (ends[0] - ends[1]) / (2 * step)
            assert difference == pytest.approx(slope[knot].item(), rel=1e-5)


def test_only_the_gradient_of_positions_is_left_out_where_it_is_not_asked_for():
    h, positions, gamma, beta, grad = make_case()
    everything = both((h, positions, gamma, beta, grad), make_spec())[0]
    leaves = [t.clone().requires_grad_() for t in (h, gamma, beta)]
    values = ops.modulate(leaves[0], positions, leaves[1], leaves[2], make_spec())
    gradients = torch.autograd.grad(values, leaves, grad)
    expected = [everything[1], everything[3], everything[4]]
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))


def test_non_contiguous_inputs_give_the_same():
    *inputs, grad = make_case()
    spec = make_spec()
    strided = [t.transpose(0, 1).contiguous().transpose(0, 1) for t in inputs]
    actual = values_and_grads(lambda *i: ops.modulate(*i, spec), strided, grad.t().contiguous().t())
    assert_near(actual, values_and_grads(lambda *i: ops.modulate(*i, spec), inputs, grad))


@channel_counts
@pytest.mark.parametrize("requires_grad", [False, True])
def test_opcheck(per_feature, requires_grad):
    *inputs, grad = make_case(2, per_feature, torch.float32)
    inputs = [t.requires_grad_(requires_grad) for t in inputs]
    torch.library.opcheck(torch.ops.fields.modulate.default, (*inputs, 1, 1, 1.0))
    for need_positions in (False, True):
        torch.library.opcheck(
            torch.ops.fields.modulate_backward.default,
            (grad, *[t.detach() for t in inputs], 1, 1, 1.0, need_positions),
        )


def test_the_whole_graph_compiles():
    *inputs, _ = make_case(dtype=torch.float32)
    spec = make_spec()

    def loss(*inputs):
        return (2 * ops.modulate(*inputs, spec)).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    inputs = [t.requires_grad_() for t in inputs]
    torch.testing.assert_close(compiled(*inputs), loss(*inputs))
    actual = torch.autograd.grad(compiled(*inputs), inputs)
    torch.testing.assert_close(actual, torch.autograd.grad(loss(*inputs), inputs))


def test_the_bits_do_not_depend_on_the_number_of_threads():
    *inputs, grad = make_case(dtype=torch.float32, count=9000, features=64)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(values_and_grads(lambda *i: ops.modulate(*i, make_spec()), inputs, grad))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_second_derivative_is_refused():
    *inputs, _ = make_case()
    inputs[0].requires_grad_()
    (slope,) = torch.autograd.grad(
        ops.modulate(*inputs, make_spec()).sum(), inputs[0], create_graph=True
    )
    with pytest.raises(NotImplementedError, match="second derivative; use torch"):
        slope.square().sum().backward()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, p, g, b: (h[0], p, g, b), r"h must be \[N, C\]"),
        (lambda h, p, g, b: (h, p[1:], g, b), r"positions must be \[36, K\]"),
        (lambda h, p, g, b: (h, p[:, :1], g, b), "gamma must have 1 axes of knots"),
        (lambda h, p, g, b: (h, p, g[:1], b), "knots along an axis of gamma must be from 2"),
        (lambda h, p, g, b: (h, p, g.expand(-1, -1, 7), b), "gamma must have 1 or 21 channels"),
        (lambda h, p, g, b: (h, p, g, b[:3]), "beta must be"),
        (lambda h, p, g, b: (h.half(), p, g, b), "float32 or float64"),
        (lambda h, p, g, b: (h, p.float(), g, b), "h is torch.float64 but positions is"),
        (lambda h, p, g, b: (h, p, g, b.to("meta")), "h is on cpu but beta on meta"),
    ],
)
def test_wrong_inputs_are_refused_with_one_line(change, message):
    *inputs, _ = make_case()
    with pytest.raises(ValueError, match=message) as error:
        ops.modulate(*change(*inputs), make_spec())
    assert "\n" not in str(error.value)


def test_a_batch_of_broken_rays_is_refused():
    *inputs, _ = make_case(count=35)
    with pytest.raises(ValueError, match="whole rays of 6 samples, got 35 rows"):
        ops.modulate(*inputs, make_spec("ray"))


@pytest.mark.parametrize(
    "bad", [{"normalise": "batch"}, {"activation": "gelu"}, {"samples": 0}, {"omega": 0.0}]
)
def test_a_modulation_out_of_range_is_refused_by_name(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ModulationSpec(**bad)
