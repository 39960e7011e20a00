"""The tri-plane's ops against their twins: values, first and second derivatives, edges, errors."""

import math
from itertools import product

import pytest
import reference_triplane as reference
import torch

from fields import ops

# Of the largest value; at 16 texels a position in float32 is off by up to 1e-6 of a texel.
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}

dims = pytest.mark.parametrize("dim", [2, 3, 4])
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
combines = pytest.mark.parametrize("combine", ["sum", "product", "concatenation"])
LAYOUTS = {
    "corners": (True, "border"),
    "pixels": (False, "border"),
    "corners-zeros": (True, "zeros"),
    "pixels-zeros": (False, "zeros"),
}
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
# Channels that fill registers and that leave a rest, each layout at least once.
layouts_and_channels = pytest.mark.parametrize(
    ("layout", "channels"),
    [
        (LAYOUTS[name], channels)
        for name, channels in (
            ("corners", 1),
            ("corners", 16),
            ("pixels", 8),
            ("corners-zeros", 4),
            ("pixels-zeros", 29),
        )
    ],
)


def make_case(dim, spec, channels=5, dtype=torch.float64, count=131, resolution=7, seed=0):
    """Coordinates away from texel centres, and planes around 1."""
    generator = torch.Generator().manual_seed(seed)
    coords = reference.coords_away_from_centres(count, dim, resolution, spec, generator=generator)
    shape = (ops.NUM_PLANES[dim], resolution, resolution, channels)
    planes = 1 + torch.randn(shape, dtype=torch.float64, generator=generator)
    return coords.to(dtype), planes.to(dtype)


def assert_near(actual, expected):
    assert actual.shape == expected.shape
    assert actual.isfinite().all()
    largest = expected.abs().max().item() if expected.numel() else 0.0
    torch.testing.assert_close(
        actual.double(), expected.double(), rtol=0, atol=TOLERANCE[actual.dtype] * (largest + 1e-9)
    )


def doubles(*tensors):
    return [t.detach().double().clone().requires_grad_() for t in tensors]


def gradients(function, coords, planes, spec, weights=None):
    """Outputs, and the gradients of their weighted sum by both inputs."""
    leaves = [t.detach().clone().requires_grad_() for t in (coords, planes)]
    outputs = function(*leaves, spec)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    if weights is None:
        generator = torch.Generator().manual_seed(7)
        weights = [torch.randn(o.shape, generator=generator, dtype=torch.float64) for o in outputs]
    used = [w.to(o) for w, o in zip(weights, outputs, strict=True)]
    return [*outputs, *torch.autograd.grad(outputs, leaves, used)]


@pytest.mark.kernel
@dims
@layouts_and_channels
@combines
@dtypes
def test_features_equal_grid_sample(dim, layout, channels, combine, dtype):
    spec = ops.PlaneSpec(combine, *layout)
    coords, planes = make_case(dim, spec, channels, dtype)
    edges = torch.tensor(list(product([0.0, 0.5, 1.0, 0.03], repeat=dim)), dtype=dtype)
    coords = torch.cat([coords, edges])
    expected = reference.by_grid_sample(coords.double(), planes.double(), spec)
    assert_near(ops.triplane(coords, planes, spec), expected)
    assert_near(reference.triplane(coords.double(), planes.double(), spec), expected)


@pytest.mark.kernel
@dims
@layouts_and_channels
@combines
@dtypes
def test_gradients_equal_those_of_the_twin(dim, layout, channels, combine, dtype):
    spec = ops.PlaneSpec(combine, *layout)
    coords, planes = make_case(dim, spec, channels, dtype)
    expected = gradients(reference.triplane, coords.double(), planes.double(), spec)
    for actual, twin in zip(gradients(ops.triplane, coords, planes, spec), expected, strict=True):
        assert_near(actual, twin)


@pytest.mark.kernel
@dims
@layouts_and_channels
@combines
@dtypes
def test_the_jacobian_and_its_backward_equal_the_twin(dim, layout, channels, combine, dtype):
    spec = ops.PlaneSpec(combine, *layout)
    coords, planes = make_case(dim, spec, channels, dtype, count=67)
    expected = gradients(reference.triplane_with_grad, coords.double(), planes.double(), spec)
    actual = gradients(ops.triplane_with_grad, coords, planes, spec)
    for ours, twin in zip(actual, expected, strict=True):
        assert_near(ours, twin)


@combines
def test_the_jacobian_is_that_of_autograd(combine):
    spec = ops.PlaneSpec(combine)
    coords, planes = make_case(3, spec, count=4)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: ops.triplane(x, planes, spec).sum(0), coords
    ).permute(1, 0, 2)
    torch.testing.assert_close(ops.triplane_with_grad(coords, planes, spec)[1], jacobian)


@pytest.mark.kernel
@pytest.mark.parametrize("count", [1, 15, 16, 17, 63, 64, 65, 1000])
def test_any_number_of_samples_gives_the_same_rows(count):
    spec = ops.PlaneSpec()
    coords, planes = make_case(3, spec, 16, torch.float32, count=1000)
    assert torch.equal(
        ops.triplane(coords[:count], planes, spec), ops.triplane(coords, planes, spec)[:count]
    )
    expected = gradients(reference.triplane, coords[:count].double(), planes.double(), spec)
    actual = gradients(ops.triplane, coords[:count], planes, spec)
    for ours, twin in zip(actual, expected, strict=True):
        assert_near(ours, twin)


@dims
@combines
@dtypes
def test_no_samples_give_no_rows_and_a_zero_gradient(dim, combine, dtype):
    spec = ops.PlaneSpec(combine)
    coords, planes = make_case(dim, spec, dtype=dtype)
    features, grad_coords, grad_planes = gradients(ops.triplane, coords[:0], planes, spec)
    assert features.shape == (0, spec.outputs(dim, 5)) and grad_coords.shape == (0, dim)
    assert torch.equal(grad_planes, torch.zeros_like(planes))
    features, jacobian = ops.triplane_with_grad(coords[:0], planes, spec)
    assert jacobian.shape == (*features.shape, dim)


@dims
@combines
@layouts
def test_gradcheck(dim, combine, layout):
    spec = ops.PlaneSpec(combine, *layout)
    inputs = doubles(*make_case(dim, spec, channels=2, count=3, resolution=3))
    assert torch.autograd.gradcheck(lambda x, t: ops.triplane(x, t, spec), inputs)


@dims
@combines
@layouts
def test_gradgradcheck(dim, combine, layout):
    spec = ops.PlaneSpec(combine, *layout)
    inputs = doubles(*make_case(dim, spec, channels=1, count=2, resolution=3))
    assert torch.autograd.gradgradcheck(lambda x, t: ops.triplane(x, t, spec), inputs)


@dims
@combines
@layouts
def test_gradcheck_of_the_jacobian(dim, combine, layout):
    spec = ops.PlaneSpec(combine, *layout)
    inputs = doubles(*make_case(dim, spec, channels=1, count=2, resolution=3))
    assert torch.autograd.gradcheck(lambda x, t: ops.triplane_with_grad(x, t, spec), inputs)


@combines
def test_an_eikonal_loss_by_double_backward_equals_that_by_the_jacobian(combine):
    spec = ops.PlaneSpec(combine)
    coords, planes = (t.requires_grad_() for t in make_case(3, spec, 4, count=33))
    head = torch.randn(spec.outputs(3, 4), 1, dtype=torch.float64)
    (slope,) = torch.autograd.grad(
        (ops.triplane(coords, planes, spec) @ head).sum(), coords, create_graph=True
    )
    twice = torch.autograd.grad((slope.norm(dim=1) - 1).square().mean(), (planes, coords))
    slope = torch.einsum("nfd,fc->nd", ops.triplane_with_grad(coords, planes, spec)[1], head)
    once = torch.autograd.grad((slope.norm(dim=1) - 1).square().mean(), (planes, coords))
    for a, b in zip(twice, once, strict=True):
        torch.testing.assert_close(a, b)


def test_the_gradient_of_the_jacobian_has_no_second_and_says_so():
    spec = ops.PlaneSpec()
    coords, planes = (t.requires_grad_() for t in make_case(3, spec, count=3))
    _, jacobian = ops.triplane_with_grad(coords, planes, spec)
    (grad,) = torch.autograd.grad(jacobian.square().sum(), coords, create_graph=True)
    with pytest.raises(NotImplementedError, match="use triplane"):
        grad.sum().backward()


@dtypes
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("summed", [False, True])
def test_opcheck(dtype, requires_grad, summed):
    coords, planes = make_case(3, ops.PlaneSpec(), 2, dtype, count=9)
    outputs = 2 if summed else 6
    grad = torch.randn(9, outputs, dtype=dtype)
    for tensor in (coords, planes, grad):
        tensor.requires_grad_(requires_grad)
    grad_jacobian = torch.randn(9, outputs, 3, dtype=dtype)
    layout = (summed, False, True)
    namespace = torch.ops.fields
    torch.library.opcheck(namespace.triplane.default, (coords, planes, *layout))
    torch.library.opcheck(namespace.triplane_with_grad.default, (coords, planes, *layout))
    for need in ((True, True), (False, True)):
        torch.library.opcheck(
            namespace.triplane_backward.default, (grad, coords, planes, *layout, *need)
        )
        first_order = [t.detach() for t in (grad, grad_jacobian, coords, planes)]
        torch.library.opcheck(
            namespace.triplane_with_grad_backward.default, (*first_order, *layout, *need)
        )


# ---- what is known without a twin


@layouts
def test_a_plane_that_holds_x_gives_x_back(layout):
    spec = ops.PlaneSpec("concatenation", *layout)
    resolution = 9
    centres = torch.arange(resolution, dtype=torch.float64)
    centres = centres / (resolution - 1) if spec.align_corners else (centres + 0.5) / resolution
    # The first axis of a pair is the column, the second the row.
    row, column = torch.meshgrid(centres, centres, indexing="ij")
    planes = torch.stack([column, row], -1).expand(3, -1, -1, -1)
    coords = centres[0] + torch.rand(40, 3, dtype=torch.float64) * (centres[-1] - centres[0])
    x, y, z = coords.T
    expected = torch.stack([x, y, x, z, y, z], 1)
    torch.testing.assert_close(ops.triplane(coords, planes, spec), expected)
    _, jacobian = ops.triplane_with_grad(coords, planes, spec)
    axes = torch.tensor([0, 1, 0, 2, 1, 2])
    expected = torch.eye(3, dtype=torch.float64)[axes].expand(40, 6, 3)
    torch.testing.assert_close(jacobian, expected)


def test_what_lies_beyond_the_outermost_centres():
    planes = torch.ones(1, 4, 4, 1)
    coords = torch.tensor([[0.0, 0.5], [0.0, 0.0], [1.0, 0.5], [0.0625, 0.5]])
    for spec, expected in (
        (ops.PlaneSpec("sum", True, "zeros"), [1, 1, 1, 1]),
        (ops.PlaneSpec("sum", True, "border"), [1, 1, 1, 1]),
        (ops.PlaneSpec("sum", False, "border"), [1, 1, 1, 1]),
        (ops.PlaneSpec("sum", False, "zeros"), [0.5, 0.25, 0.5, 0.75]),
    ):
        assert ops.triplane(coords, planes, spec).flatten().tolist() == expected
        _, jacobian = ops.triplane_with_grad(coords, planes, spec)
        # From 1 to a half within half a texel, of which four cross the cube; half of that where y
        # lies on a face too.
        slopes = [4, 2, -4, 4] if expected[0] == 0.5 else [0, 0, 0, 0]
        assert jacobian[:, 0, 0].tolist() == slopes


@pytest.mark.kernel
@layouts
@dtypes
def test_coordinates_outside_are_clamped_and_never_read_out_of_bounds(layout, dtype):
    spec = ops.PlaneSpec("sum", *layout)
    _, planes = make_case(3, spec, dtype=dtype)
    outside = torch.tensor([[-0.5, 0.5, 2.0], [1e30, -1e30, 0.25], [-1e-7, 1.0000001, 7]])
    outside = outside.to(dtype)
    for function in (ops.triplane, ops.triplane_with_grad):
        actual = gradients(function, outside, planes, spec)
        for ours, inside in zip(
            actual, gradients(function, outside.clamp(0, 1), planes, spec), strict=True
        ):
            torch.testing.assert_close(ours, inside)
    values = [math.nan, math.inf, -math.inf, 0.0, 1.0]
    extreme = torch.tensor(list(product(values, repeat=3)), dtype=dtype)
    for result in gradients(ops.triplane_with_grad, extreme, planes, spec):
        assert result.isfinite().all()


@pytest.mark.kernel
@layouts
@pytest.mark.parametrize("resolution", [1, 2, 3])
def test_the_smallest_planes(layout, resolution):
    spec = ops.PlaneSpec("sum", *layout)
    coords = torch.rand(50, 3, generator=torch.Generator().manual_seed(1))
    planes = torch.randn(3, resolution, resolution, 2)
    expected = reference.by_grid_sample(coords.double(), planes.double(), spec)
    assert_near(ops.triplane(coords, planes, spec), expected)
    assert all(g.isfinite().all() for g in gradients(ops.triplane, coords, planes, spec))


def test_permuted_samples_give_permuted_features():
    spec = ops.PlaneSpec("product")
    coords, planes = make_case(4, spec, 16, torch.float32)
    order = torch.randperm(len(coords), generator=torch.Generator().manual_seed(2))
    assert torch.equal(
        ops.triplane(coords[order], planes, spec), ops.triplane(coords, planes, spec)[order]
    )


def test_features_are_linear_in_the_planes_and_scatter_is_their_adjoint():
    spec = ops.PlaneSpec("concatenation", False, "zeros")
    coords, planes = make_case(3, spec)
    features, _, grad_planes = gradients(
        ops.triplane, coords, planes, spec, weights=[planes.new_ones(131, 15)]
    )
    torch.testing.assert_close((planes * grad_planes).sum(), features.sum())
    torch.testing.assert_close(ops.triplane(coords, 3 * planes, spec), 3 * features)


@combines
def test_results_do_not_depend_on_the_number_of_threads(combine):
    spec = ops.PlaneSpec(combine)
    coords, planes = make_case(3, spec, 16, torch.float32, count=3000, resolution=16)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3, 8):
            torch.set_num_threads(count)
            results.append(gradients(ops.triplane_with_grad, coords, planes, spec))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_non_contiguous_inputs_give_the_same():
    spec = ops.PlaneSpec()
    coords, planes = make_case(3, spec)
    expected = ops.triplane(coords, planes, spec)
    channels_first = planes.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1).requires_grad_()
    strided = coords.t().contiguous().t().requires_grad_()
    assert not strided.is_contiguous() and not channels_first.is_contiguous()
    features = ops.triplane(strided, channels_first, spec)
    assert torch.equal(features, expected)
    torch.autograd.grad((features.t() @ features).sum(), (strided, channels_first))
    expanded = torch.autograd.grad(ops.triplane(strided, channels_first, spec).sum(), strided)
    ones = [torch.ones_like(expected)]
    torch.testing.assert_close(expanded[0], gradients(ops.triplane, coords, planes, spec, ones)[1])


@combines
def test_compiled_whole_it_gives_the_same(combine):
    spec = ops.PlaneSpec(combine)
    coords, planes = make_case(3, spec, dtype=torch.float32, count=20)
    compiled = torch.compile(ops.triplane, fullgraph=True, backend="aot_eager")
    for a, b in zip(
        gradients(compiled, coords, planes, spec),
        gradients(ops.triplane, coords, planes, spec),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, t: (c[0], t), r"coords must be \[N, D\]"),
        (lambda c, t: (torch.zeros(3, 5), t), "2 to 4 dimensions"),
        (lambda c, t: (torch.zeros(3, 1), t), "2 to 4 dimensions"),
        (lambda c, t: (c, t[0]), r"planes must be \[P, R, R, C\]"),
        (lambda c, t: (c, t[:, 1:]), r"planes must be \[P, R, R, C\]"),
        (lambda c, t: (c, t[:2]), "planes must be 3 for 3 dimensions, got 2"),
        (lambda c, t: (c, t[:, :0, :0]), "texels"),
        (lambda c, t: (c, t[..., :0]), "channels"),
        (lambda c, t: (c, t.double()), "float64"),
        (lambda c, t: (c.half(), t.half()), "float32 or float64"),
        (lambda c, t: (c, t.to("meta")), "is on cpu but planes on meta"),
    ],
)
def test_wrong_inputs_are_refused_with_one_line(change, message):
    inputs = change(*make_case(3, ops.PlaneSpec(), dtype=torch.float32))
    for function in (ops.triplane, ops.triplane_with_grad):
        with pytest.raises(ValueError, match=message) as error:
            function(*inputs)
        assert "\n" not in str(error.value)


def test_a_spec_out_of_range_is_refused_by_name():
    with pytest.raises(ValueError, match="combine must be one of sum, product, concatenation"):
        ops.PlaneSpec("mean")
    with pytest.raises(ValueError, match="padding must be one of border, zeros"):
        ops.PlaneSpec(padding="reflection")
