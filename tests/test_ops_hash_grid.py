"""The hash grid's ops against their twins: values, first and second derivatives, edges, errors."""

import numpy as np
import pytest
import reference
import torch

from fields import ops

# Some levels dense and some hashed, in every dimension.
LOG2_TABLE_SIZE = {1: 3, 2: 6, 3: 8, 4: 9}
# Of the largest value; at a scale of 20 a position in float32 is off by up to 1e-6 of a cell.
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}

dims = pytest.mark.parametrize("dim", [1, 2, 3, 4])
feature_counts = pytest.mark.parametrize("features", [1, 2, 4, 8])
interpolations = pytest.mark.parametrize("smoothstep", [False, True], ids=["linear", "smoothstep"])
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])


def make_case(dim, features=2, smoothstep=False, dtype=torch.float64, count=65, levels=4, seed=0):
    """Coordinates, a table and its spec; the coordinates keep away from cell faces."""
    spec = ops.GridSpec(levels, 4, 1.7, LOG2_TABLE_SIZE[dim], smoothstep)
    generator = torch.Generator().manual_seed(seed)
    coords = reference.coords_away_from_faces(count, dim, spec, generator=generator, margin=0.02)
    rows = reference.num_rows(dim, spec)
    table = torch.randn(rows, features, dtype=torch.float64, generator=generator)
    return coords.to(dtype), table.to(dtype), spec


def make_small_case(dim, smoothstep, count):
    """Two levels, one dense and one hashed, few rows: numeric derivatives visit every number."""
    base = {1: 5, 2: 3, 3: 2, 4: 2}[dim]
    spec = ops.GridSpec(2, base, 2.0, 3 if dim == 1 else 4, smoothstep)
    assert [level.hashed for level in reference.levels(dim, spec)] == [False, True]
    generator = torch.Generator().manual_seed(dim)
    coords = reference.coords_away_from_faces(count, dim, spec, generator=generator)
    rows = reference.num_rows(dim, spec)
    table = torch.randn(rows, 2, dtype=torch.float64, generator=generator)
    return coords.requires_grad_(), table.requires_grad_(), spec


def assert_near(actual, expected):
    assert actual.shape == expected.shape
    assert actual.isfinite().all()
    largest = expected.abs().max().item() if expected.numel() else 0.0
    torch.testing.assert_close(
        actual.double(), expected.double(), rtol=0, atol=TOLERANCE[actual.dtype] * (largest + 1e-9)
    )


def doubles(*tensors, requires_grad=True):
    return [t.detach().double().clone().requires_grad_(requires_grad) for t in tensors]


@pytest.mark.kernel
@dims
@feature_counts
@interpolations
@dtypes
def test_features_equal_the_numpy_twin(dim, features, smoothstep, dtype):
    coords, table, spec = make_case(dim, features, smoothstep, dtype, count=70, levels=3)
    expected = torch.from_numpy(reference.hash_grid_numpy(coords.numpy(), table.numpy(), spec))
    assert_near(ops.hash_grid(coords, table, spec), expected)


@pytest.mark.kernel
@dims
@feature_counts
@interpolations
@dtypes
def test_gradients_equal_those_of_the_twin(dim, features, smoothstep, dtype):
    coords, table, spec = make_case(dim, features, smoothstep, dtype)
    expected_inputs = doubles(coords, table)
    expected = reference.hash_grid(*expected_inputs, spec)
    grad = torch.randn(expected.shape, dtype=torch.float64).to(dtype)
    expected_grads = torch.autograd.grad(expected, expected_inputs, grad.double())
    inputs = [coords.requires_grad_(), table.requires_grad_()]
    grads = torch.autograd.grad(ops.hash_grid(*inputs, spec), inputs, grad)
    for actual, expected_grad in zip(grads, expected_grads, strict=True):
        assert_near(actual, expected_grad)


@pytest.mark.kernel
@dims
@feature_counts
@interpolations
@dtypes
def test_the_jacobian_and_its_backward_equal_the_twin(dim, features, smoothstep, dtype):
    coords, table, spec = make_case(dim, features, smoothstep, dtype, count=19, levels=3)
    expected_inputs = doubles(coords, table)
    expected = reference.hash_grid_with_grad(*expected_inputs, spec)
    inputs = [coords.requires_grad_(), table.requires_grad_()]
    outputs = ops.hash_grid_with_grad(*inputs, spec)
    for actual, twin in zip(outputs, expected, strict=True):
        assert_near(actual, twin)
    weights = [torch.randn(o.shape, dtype=torch.float64).to(dtype) for o in outputs]
    grads = torch.autograd.grad(outputs, inputs, weights)
    expected_grads = torch.autograd.grad(
        expected, expected_inputs, [w.double() for w in weights], allow_unused=True
    )
    for actual, twin in zip(grads, expected_grads, strict=True):
        assert twin is not None
        assert_near(actual, twin)


@pytest.mark.kernel
@pytest.mark.parametrize("count", [1, 7, 15, 17, 63, 64, 65, 1000, 5000])
def test_any_number_of_samples_gives_the_same_rows(count):
    coords, table, spec = make_case(3, 4, True, torch.float32, count=5000)
    all_rows = ops.hash_grid(coords, table, spec)
    assert torch.equal(ops.hash_grid(coords[:count], table, spec), all_rows[:count])
    features, jacobian = ops.hash_grid_with_grad(coords[:count], table, spec)
    torch.testing.assert_close(features, all_rows[:count])
    x, t = doubles(coords[:count], table)
    expected = torch.autograd.grad(reference.hash_grid(x, t, spec).square().sum(), (x, t))
    x, t = coords[:count].clone().requires_grad_(), table.clone().requires_grad_()
    grads = torch.autograd.grad(ops.hash_grid(x, t, spec).square().sum(), (x, t))
    for actual, twin in zip(grads, expected, strict=True):
        assert_near(actual, twin)
    assert jacobian.shape == (count, 16, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_samples_give_no_rows_and_a_zero_gradient(dtype):
    coords, table, spec = make_case(2, dtype=dtype)
    coords, table = coords[:0].requires_grad_(), table.requires_grad_()
    features = ops.hash_grid(coords, table, spec)
    assert features.shape == (0, 8)
    grad_coords, grad_table = torch.autograd.grad(features.sum(), (coords, table))
    assert grad_coords.shape == (0, 2)
    assert torch.equal(grad_table, torch.zeros_like(table))
    features, jacobian = ops.hash_grid_with_grad(coords, table, spec)
    assert features.shape == (0, 8) and jacobian.shape == (0, 8, 2)


@pytest.mark.kernel
@dims
@interpolations
@dtypes
def test_borders_0_and_1_are_inside(dim, smoothstep, dtype):
    _, table, spec = make_case(dim, 2, smoothstep, dtype)
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=dtype)] * dim).view(-1, dim)
    expected = torch.from_numpy(reference.hash_grid_numpy(corners.numpy(), table.numpy(), spec))
    assert_near(ops.hash_grid(corners, table, spec), expected)


@dtypes
def test_coordinates_outside_are_clamped_and_never_read_out_of_bounds(dtype):
    _, table, spec = make_case(3, 2, False, dtype)
    outside = torch.tensor([[-0.5, 0.5, 2.0], [1e30, -1e30, 0.25], [-1e-7, 1.0000001, 7]])
    outside = outside.to(dtype)
    torch.testing.assert_close(
        ops.hash_grid(outside, table, spec), ops.hash_grid(outside.clamp(0, 1), table, spec)
    )
    extreme = torch.tensor([[np.nan, np.inf, -np.inf]] * 65, dtype=dtype).requires_grad_()
    table.requires_grad_()
    ops.hash_grid(extreme, table, spec).sum().backward()
    assert table.grad is not None and table.grad.isfinite().all()


def test_non_contiguous_inputs_give_the_same(dim=3):
    coords, table, spec = make_case(dim, 2)
    expected = ops.hash_grid(coords, table, spec)
    strided_table = torch.stack([table, table], -1)[..., 0].requires_grad_()
    for strided in (coords.t().contiguous().t(), torch.stack([coords, coords], -1)[..., 0]):
        assert not strided.is_contiguous() and not strided_table.is_contiguous()
        features = ops.hash_grid(strided.requires_grad_(), strided_table, spec)
        assert torch.equal(features, expected)
        # A gradient that is not contiguous either: that of a transpose, and of an expanded number.
        torch.autograd.grad((features.t() @ features).sum(), (strided, strided_table))
        expanded = torch.autograd.grad(ops.hash_grid(strided, strided_table, spec).sum(), strided)
        ones = torch.autograd.grad(
            ops.hash_grid(coords.requires_grad_(), table, spec), coords, torch.ones_like(expected)
        )
        torch.testing.assert_close(expanded, ones)


@dims
@pytest.mark.parametrize("which", ["coords", "table", "both"])
def test_gradcheck(dim, which):
    coords, table, spec = make_small_case(dim, True, count=3)
    coords.requires_grad_(which != "table")
    table.requires_grad_(which != "coords")
    assert torch.autograd.gradcheck(lambda x, t: ops.hash_grid(x, t, spec), (coords, table))


@dims
@interpolations
def test_gradgradcheck(dim, smoothstep):
    *inputs, spec = make_small_case(dim, smoothstep, count=1)
    assert torch.autograd.gradgradcheck(lambda x, t: ops.hash_grid(x, t, spec), inputs)


@dims
@interpolations
def test_gradcheck_of_the_jacobian(dim, smoothstep):
    *inputs, spec = make_small_case(dim, smoothstep, count=2)
    assert torch.autograd.gradcheck(lambda x, t: ops.hash_grid_with_grad(x, t, spec), inputs)


def test_an_eikonal_loss_by_double_backward_equals_that_by_the_jacobian():
    coords, table, spec = make_case(3, 2, True, count=33)
    head = torch.randn(8, 1, dtype=torch.float64)
    coords.requires_grad_()
    table.requires_grad_()

    (slope,) = torch.autograd.grad(
        (ops.hash_grid(coords, table, spec) @ head).sum(), coords, create_graph=True
    )
    twice = torch.autograd.grad((slope.norm(dim=1) - 1).square().mean(), (table, coords))
    _, jacobian = ops.hash_grid_with_grad(coords, table, spec)
    slope = torch.einsum("nfd,fc->nd", jacobian, head)
    once = torch.autograd.grad((slope.norm(dim=1) - 1).square().mean(), (table, coords))
    for a, b in zip(twice, once, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_opcheck(dtype, requires_grad):
    coords, table, spec = make_case(2, 2, True, dtype, count=9)
    coords.requires_grad_(requires_grad)
    table.requires_grad_(requires_grad)
    args = (spec.num_levels, spec.base_resolution, spec.growth, spec.log2_table_size, True)
    namespace = torch.ops.fields
    torch.library.opcheck(namespace.hash_grid.default, (coords, table, *args))
    torch.library.opcheck(namespace.hash_grid_with_grad.default, (coords, table, *args))
    grad = torch.randn(9, 8, dtype=dtype, requires_grad=requires_grad)
    torch.library.opcheck(
        namespace.hash_grid_backward.default, (grad, coords, table, *args, True, True)
    )
    grad_jacobian = torch.randn(9, 8, 2, dtype=dtype)
    torch.library.opcheck(
        namespace.hash_grid_with_grad_backward.default,
        (grad.detach(), grad_jacobian, coords.detach(), table.detach(), *args, True, True),
    )


def test_the_whole_graph_compiles():
    coords, table, spec = make_case(2, 2, True, torch.float32)
    coords.requires_grad_()
    table.requires_grad_()

    def loss(coords, table):
        return ops.hash_grid(coords, table, spec).square().mean()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(coords, table), loss(coords, table))
    actual = torch.autograd.grad(compiled(coords, table), (coords, table))
    expected = torch.autograd.grad(loss(coords, table), (coords, table))
    torch.testing.assert_close(actual, expected)


def test_the_bits_do_not_depend_on_the_number_of_threads():
    coords, table, spec = make_case(2, 2, False, torch.float32, count=5000)
    coords.requires_grad_()
    table.requires_grad_()
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            features = ops.hash_grid(coords, table, spec)
            grads = torch.autograd.grad(features.square().sum(), (coords, table))
            results.append((features, *grads))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_the_level_sizes_agree_with_the_twin_for_any_configuration():
    # Scales that should be whole numbers are the hazard: one rounding more and a level grows.
    growths = [1.0, 1.26, 1.3819, 1.5, 2.0, 3.0]
    growths += [2 ** (1 / k) for k in range(2, 9)]
    growths += [(finest / 16) ** (1 / 15) for finest in (128, 256, 512, 1000, 1024, 2048, 4096)]
    for growth in growths:
        for base in (1, 2, 3, 4, 8, 16, 17, 32):
            if base * growth**15 > 2**24:
                continue  # refused, see below
            spec = ops.GridSpec(16, base, growth, 12)
            twin = reference.levels(2, spec)
            assert spec.resolutions() == [level.resolution for level in twin], (growth, base)
            for dim in (1, 2, 3, 4):
                rows = [level.rows for level in reference.levels(dim, spec)]
                assert spec.rows(dim) == rows, (growth, base, dim)
                coords = torch.full((1, dim), 0.3)
                features = ops.hash_grid(coords, torch.zeros(sum(rows), 1), spec)
                assert features.shape == (1, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, t: (c[0], t), r"coords must be \[N, D\]"),
        (lambda c, t: (torch.zeros(3, 5), t), "1 to 4 dimensions"),
        (lambda c, t: (c, t[:, 0]), r"table must be \[P, F\]"),
        (lambda c, t: (c, t[:-1]), "rows"),
        (lambda c, t: (c, torch.zeros(len(t), 3)), "1, 2, 4 or 8 features"),
        (lambda c, t: (c, t.double()), "float64"),
        (lambda c, t: (c.half(), t.half()), "float32 or float64"),
        (lambda c, t: (c, t.to("meta")), "is on cpu but table on meta"),
    ],
)
def test_wrong_inputs_are_refused_with_one_line(change, message):
    coords, table, spec = make_case(2, 2, False, torch.float32)
    with pytest.raises(ValueError, match=message) as error:
        ops.hash_grid(*change(coords, table), spec)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=message):
        ops.hash_grid_with_grad(*change(coords, table), spec)


@pytest.mark.parametrize(
    "bad",
    [
        {"num_levels": 0},
        {"num_levels": 33},
        {"base_resolution": 0},
        {"growth": 0.5},
        {"growth": float("nan")},
        {"log2_table_size": 2},
        {"log2_table_size": 29},
    ],
)
def test_a_grid_out_of_range_is_refused_by_name(bad):
    settings = {"num_levels": 2, "base_resolution": 4, "growth": 1.5, "log2_table_size": 8} | bad
    with pytest.raises(ValueError, match=next(iter(bad))):
        ops.hash_grid(torch.rand(3, 2), torch.zeros(64, 2), ops.GridSpec(**settings))


def test_a_grid_finer_than_floats_can_tell_apart_is_refused():
    ops.GridSpec(13, 4096, 2.0, 8)  # 2^24 cells an axis
    for settings in ((14, 4096, 2.0, 8), (14, 40, 4.0, 8), (32, 2**20, 16.0, 19)):
        with pytest.raises(ValueError, match="2\\^24 is the most"):
            ops.GridSpec(*settings)


def test_the_second_derivative_of_one_feature_takes_any_cotangent():
    spec = ops.GridSpec(1, 4, 1.0, 8)
    coords = torch.rand(5, 2, dtype=torch.float64, requires_grad=True)
    table = torch.rand(sum(spec.rows(2)), 1, dtype=torch.float64)
    (grad,) = torch.autograd.grad(
        ops.hash_grid(coords, table, spec).sum(), coords, create_graph=True
    )
    cotangent = torch.rand(2, 5, dtype=torch.float64).T
    (second,) = torch.autograd.grad(grad, coords, cotangent)
    assert second.shape == coords.shape
