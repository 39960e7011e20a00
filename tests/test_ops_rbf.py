"""The Gaussian kernels' ops, alone and behind the hash grid, against the formula in plain torch."""

import pytest
import reference
import torch
from test_ops_mlp import GRID, assert_near, doubles, values_and_grads
from test_ops_step import change_error

from fields import ops
from fields.ops.rbf import OUTPUTS

dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
affine = pytest.mark.parametrize("affine", [False, True], ids=["", "affine"])
outputs = pytest.mark.parametrize("output", OUTPUTS)
ADAM = {"lr_table": 1e-2, "lr_params": 5e-3, "eps": 1e-3}


def direct(x, params, spec):
    """The documented formula, sample by kernel by feature."""
    mu, log_beta, weight, bias, *affine = spec.split(params, x.shape[1])
    r = (log_beta.exp() * (x[:, None, :] - mu) ** 2).sum(2)
    z = torch.exp(-spec.factor * r) @ weight.t() + bias
    if affine:
        z = z + x @ affine[0].t()
    return reference.ACTIVATIONS[spec.output_activation](z)


def direct_with_grad(x, params, spec):
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        y = direct(x, params, spec)
        rows = [
            torch.autograd.grad(y[:, o].sum(), x, create_graph=True)[0] for o in range(y.shape[1])
        ]
    return y, torch.stack(rows, 1)


def make_case(spec, dtype=torch.float64, inputs=8, count=65, seed=0):
    """Distances of order one, precisions from 1/4 to 1, all kernels different."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    scale = (1 / inputs) ** 0.5
    params = [
        normal(spec.kernels, inputs) * scale,
        -0.7 + 0.3 * normal(spec.kernels, inputs),
        normal(spec.channels, spec.kernels) / spec.kernels**0.5,
        0.3 * normal(spec.channels),
    ]
    if spec.affine:
        params.append(normal(spec.channels, inputs) * scale)
    flat = torch.cat([p.flatten() for p in params])
    return (normal(count, inputs) * scale).to(dtype), flat.to(dtype), normal(count, spec.channels)


def make_field(spec, dtype, dim=2, features=2, count=65, grid=GRID):
    generator = torch.Generator().manual_seed(1)
    coords = reference.coords_away_from_faces(count, dim, grid, generator=generator, margin=0.02)
    rows = reference.num_rows(dim, grid)
    table = torch.randn(rows, features, dtype=torch.float64, generator=generator) * 0.3
    _, params, grad = make_case(spec, inputs=grid.num_levels * features, count=count)
    return coords.to(dtype), table.to(dtype), params.to(dtype), grad.to(dtype)


def check_rbf(spec, dtype, **case):
    x, params, grad = make_case(spec, dtype, **case)
    actual = values_and_grads(lambda x, p: ops.rbf(x, p, spec), (x, params), grad.to(dtype))
    expected = values_and_grads(lambda x, p: direct(x, p, spec), doubles(x, params), grad)
    assert_near(actual, expected)


@pytest.mark.kernel
@outputs
@affine
@dtypes
def test_values_and_gradients_equal_the_formula(output, affine, dtype):
    check_rbf(ops.RbfSpec(64, 3, affine, 0.5, output), dtype, inputs=16)


@pytest.mark.kernel
@pytest.mark.parametrize("kernels", [1, 3, 4, 7, 8, 9, 31, 100])
@pytest.mark.parametrize("inputs", [1, 2, 5, 16, 17, 18, 32, 33])
@pytest.mark.parametrize("channels", [1, 3, 9])
def test_any_number_of_kernels_features_and_channels(kernels, inputs, channels):
    check_rbf(ops.RbfSpec(kernels, channels, True), torch.float32, inputs=inputs)


@pytest.mark.kernel
@pytest.mark.parametrize("count", [0, 1, 7, 63, 64, 65, 1000, 5000])
def test_any_number_of_samples(count):
    check_rbf(ops.RbfSpec(24, 3), torch.float32, inputs=12, count=count)


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 2.0])
def test_the_factor_stands_before_the_distance(factor):
    check_rbf(ops.RbfSpec(8, 2, factor=factor), torch.float64)


@affine
@outputs
def test_gradcheck(affine, output):
    spec = ops.RbfSpec(5, 2, affine, 0.7, output)
    x, params, _ = make_case(spec, inputs=3, count=6)
    leaves = [x.requires_grad_(), params.requires_grad_()]
    assert torch.autograd.gradcheck(lambda x, p: ops.rbf(x, p, spec), leaves)
    assert torch.autograd.gradcheck(lambda x, p: ops.rbf_with_grad(x, p, spec), leaves)


@pytest.mark.kernel
@outputs
@affine
@pytest.mark.parametrize("sizes", [(1, 16, 64), (3, 5, 9), (4, 18, 31)], ids=str)
@dtypes
def test_the_jacobian_and_its_gradients_equal_autograds(output, affine, sizes, dtype):
    channels, inputs, kernels = sizes
    spec = ops.RbfSpec(kernels, channels, affine, 0.5, output)
    x, params, grad = make_case(spec, dtype, inputs=inputs, count=70)
    generator = torch.Generator().manual_seed(2)
    grad_jacobian = torch.randn(70, channels, inputs, dtype=torch.float64, generator=generator)
    cotangents = grad, grad_jacobian

    def run(function, leaves, kind):
        leaves = [t.detach().clone().requires_grad_() for t in leaves]
        made = function(*leaves, spec)
        grads = torch.autograd.grad(made, leaves, [c.to(kind) for c in cotangents])
        return [*(t.detach() for t in made), *grads]

    actual = run(ops.rbf_with_grad, (x, params), dtype)
    assert_near(actual, run(direct_with_grad, doubles(x, params), torch.float64))
    assert torch.equal(actual[0], ops.rbf(x, params, spec))


@pytest.mark.kernel
def test_far_from_the_origin_differences_keep_their_digits():
    spec = ops.RbfSpec(16, 2)
    x, params, grad = make_case(spec, torch.float32, inputs=12)
    for shift in (0.0, 100.0, 3000.0):
        moved = params.clone()
        moved[: 16 * 12] += shift  # the centres; what rounding does to them is no error of the op
        actual = values_and_grads(
            lambda x, p: ops.rbf(x, p, spec), (x + shift, moved), grad.float()
        )
        expected = values_and_grads(
            lambda x, p: direct(x, p, spec), doubles(x + shift, moved), grad
        )
        assert_near(actual, expected)


@pytest.mark.kernel
@pytest.mark.parametrize("size", [1e3, 1e10, 1e18, 3e20])
def test_samples_far_from_all_kernels_have_the_bias_and_no_gradient(size):
    spec = ops.RbfSpec(16, 2)
    x, params, grad = make_case(spec, torch.float32, inputs=6)
    x = torch.where(x < 0, -size, size)
    values, grad_x, grad_params = values_and_grads(
        lambda x, p: ops.rbf(x, p, spec), (x, params), grad.float()
    )
    *kernels, grad_bias = spec.split(grad_params, 6)
    assert torch.equal(values, spec.split(params, 6)[3].expand_as(values))
    assert not grad_x.any() and not any(part.any() for part in kernels)
    torch.testing.assert_close(grad_bias, grad.float().sum(0))
    _, jacobian = ops.rbf_with_grad(x, params, spec)
    assert not jacobian.any()


@pytest.mark.kernel
def test_kernels_lie_between_0_and_1_whatever_the_log_precision():
    spec = ops.RbfSpec(1, 1)
    x = torch.linspace(-4, 4, 101)[:, None]
    for log_beta in (-200.0, -3.0, 0.0, 5.0, 60.0):
        params = torch.tensor([0.5, log_beta, 1.0, 0.0])
        phi = ops.rbf(x, params, spec)
        assert (phi >= 0).all() and (phi <= 1).all()
        expected = direct(x.double(), params.double(), spec)
        torch.testing.assert_close(phi.double(), expected, rtol=2e-5, atol=1e-37)


@pytest.mark.kernel
@dtypes
def test_nan_passes(dtype):
    spec = ops.RbfSpec(8, 3)
    x, params, _ = make_case(spec, dtype)
    x[3, 1] = float("nan")
    values = ops.rbf(x, params, spec)
    assert values[3].isnan().all() and values.isnan().any(1).sum() == 1


@pytest.mark.kernel
@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("features", [1, 2, 4, 8])
@dtypes
def test_grid_rbf_equals_the_grid_then_the_kernels(dim, features, dtype):
    spec = ops.RbfSpec(16, 3, True, 0.5, "tanh")
    *leaves, grad = make_field(spec, dtype, dim, features, count=130)

    def twin(c, t, p):
        return direct(reference.hash_grid(c, t, GRID), p, spec)

    actual = values_and_grads(lambda c, t, p: ops.grid_rbf(c, t, p, GRID, spec), leaves, grad)
    assert_near(actual, values_and_grads(twin, doubles(*leaves), grad.double()))


def test_a_cancelled_grid_rbf_stops():
    spec = ops.RbfSpec(16, 3)
    coords, table, params, _ = make_field(spec, torch.float32)
    with pytest.raises(RuntimeError, match="cancelled"):
        ops.grid_rbf(coords, table, params, GRID, spec, torch.ones(1, dtype=torch.uint8))


class Fused:
    """The state that grid_rbf_step keeps."""

    def __init__(self, table, params, spec, grid=GRID, dim=2):
        self.table, self.params = table.clone(), params.clone()
        self.table_state = (self.table, torch.zeros_like(table), torch.zeros_like(table))
        self.params_state = (self.params, torch.zeros_like(params), torch.zeros_like(params))
        self.workspace = ops.step_workspace(self.table, dim, grid)
        self.specs = grid, spec
        self.count = 0

    def step(self, coords, targets, **settings):
        self.count += 1
        return ops.grid_rbf_step(
            coords,
            targets,
            self.table_state,
            self.params_state,
            self.workspace,
            *self.specs,
            step=self.count,
            **(ADAM | settings),
        )


@pytest.mark.kernel
@pytest.mark.parametrize("loss", list(reference.LOSSES))
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
@affine
def test_the_fused_step_equals_autograd_and_torchs_adam(loss, weight_decay, affine):
    spec = ops.RbfSpec(32, 3, affine)
    coords, table, params, targets = make_field(spec, torch.float32, count=1000)
    fused = Fused(table, params, spec)
    leaves = [t.double().clone().requires_grad_() for t in (table, params)]
    groups = [
        {"params": leaves[:1], "lr": ADAM["lr_table"]},
        {"params": leaves[1:], "lr": ADAM["lr_params"], "weight_decay": weight_decay},
    ]
    adam = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=ADAM["eps"])
    compare = reference.LOSSES[loss]
    for _ in range(4):
        value = fused.step(coords, targets, loss=loss, weight_decay=weight_decay)
        adam.zero_grad()
        features = reference.hash_grid(coords.double(), leaves[0], GRID)
        expected = compare(direct(features, leaves[1], spec), targets.double())
        expected.backward()
        adam.step()
        assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    tolerance = 2e-2 if loss in ("l1", "relative") else 1e-3
    assert change_error(fused.table, leaves[0], table) < tolerance
    assert change_error(fused.params, leaves[1], params) < tolerance
    assert not fused.workspace.any()


def test_the_bits_do_not_depend_on_the_number_of_threads():
    spec = ops.RbfSpec(64, 3, True)
    coords, table, params, targets = make_field(spec, torch.float32, count=3000)
    x = torch.randn(3000, 8, generator=torch.Generator().manual_seed(3))
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            fused = Fused(table, params, spec)
            losses = [fused.step(coords, targets, touched_only=True) for _ in range(3)]
            leaves = [t.clone().requires_grad_() for t in (x, params)]
            made = ops.rbf_with_grad(*leaves, spec)
            grads = torch.autograd.grad(made, leaves, [t.detach() for t in made])
            results.append([*fused.table_state, *fused.params_state, *losses, *made, *grads])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_strided_inputs_equal_contiguous_ones():
    spec = ops.RbfSpec(8, 2)
    x, params, _ = make_case(spec, torch.float32, count=30)
    for view in (x[::3], x.flip(-1), x.t().contiguous().t()):
        assert torch.equal(ops.rbf(view, params, spec), ops.rbf(view.contiguous(), params, spec))


def test_opcheck():
    namespace, spec = torch.ops.fields, ops.RbfSpec(5, 2, True, 0.5, "tanh")
    args, grid_args = spec.args(), GRID.args()
    for dtype in (torch.float32, torch.float64):
        x, params, grad = make_case(spec, dtype, count=20)
        coords, table, grid_params, _ = make_field(spec, dtype, count=20)
        grad = grad.to(dtype)
        slopes = torch.randn(20, 2, 8, dtype=dtype)
        leaves = x.clone().requires_grad_(), params.clone().requires_grad_()
        field = [t.clone().requires_grad_() for t in (coords, table, grid_params)]
        torch.library.opcheck(namespace.rbf.default, (*leaves, *args))
        torch.library.opcheck(namespace.rbf_with_grad.default, (*leaves, *args))
        torch.library.opcheck(namespace.grid_rbf.default, (*field, *grid_args, *args, None))
        torch.library.opcheck(namespace.rbf_backward.default, (grad, x, params, *args))
        torch.library.opcheck(
            namespace.rbf_with_grad_backward.default, (grad, slopes, x, params, *args)
        )
        torch.library.opcheck(
            namespace.grid_rbf_backward.default,
            (grad, coords, table, grid_params, *grid_args, *args, True),
        )
    coords, table, params, targets = make_field(spec, torch.float32)
    fused = Fused(table, params, spec)
    state = (*fused.table_state, *fused.params_state, fused.workspace)
    adam_args = (0, 1, 1e-2, 1e-2, 0.9, 0.99, 1e-15, 0.0, False)
    torch.library.opcheck(
        namespace.grid_rbf_step.default, (coords, targets, *state, *grid_args, *args, *adam_args)
    )


def test_second_derivatives_are_refused():
    spec = ops.RbfSpec(5, 2)
    x, params, _ = make_case(spec)
    x.requires_grad_()
    (grad,) = torch.autograd.grad(ops.rbf(x, params, spec).sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        grad.sum().backward()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x, p, s: ops.rbf(x[0], p, s), "x must be"),
        (lambda x, p, s: ops.rbf(x, p[1:], s), "params must be"),
        (lambda x, p, s: ops.rbf(x.float(), p, s), "x is torch.float32"),
        (lambda x, p, s: ops.rbf(x.half(), p.half(), s), "x must be float32 or float64"),
        (lambda x, p, s: ops.rbf_with_grad(x[:, :0], p, s), "x must have 1 to"),
        (lambda x, p, s: ops.RbfSpec(0, 1), "kernels must be"),
        (lambda x, p, s: ops.RbfSpec(1, 1, factor=0), "factor must be"),
        (lambda x, p, s: ops.RbfSpec(1, 1, output_activation="relu"), "output_activation must"),
        (lambda x, p, s: ops.grid_rbf(x[:, :2], x[:4, :2], p, GRID, s), "table must have"),
    ],
)
def test_wrong_inputs_are_refused_with_what_would_be_right(make, message):
    spec = ops.RbfSpec(5, 2)
    x, params, _ = make_case(spec)
    with pytest.raises(ValueError, match=message):
        make(x, params, spec)
