"""Adam, and the training step in one op, against autograd and torch.optim.Adam."""

import pytest
import reference
import torch
from test_ops_mlp import GRID, make_field

from fields import ops

BETAS = (0.9, 0.99)


class Fused:
    """The state that grid_mlp_step keeps."""

    def __init__(self, table, params, spec, grid=GRID, dim=2):
        self.table, self.params = table.detach().clone(), params.detach().clone()
        self.table_state = (self.table, torch.zeros_like(table), torch.zeros_like(table))
        self.params_state = (self.params, torch.zeros_like(params), torch.zeros_like(params))
        self.workspace = ops.step_workspace(self.table, dim, grid)
        self.specs = grid, spec
        self.count = 0

    def step(self, coords, targets, **settings):
        self.count += 1
        return ops.grid_mlp_step(
            coords,
            targets,
            self.table_state,
            self.params_state,
            self.workspace,
            *self.specs,
            step=self.count,
            **({"lr_table": 1e-2, "lr_params": 5e-3, "eps": 1e-8} | settings),
        )


def change_error(actual, expected, start):
    """Difference of two updates of `start`, relative to the update."""
    wanted = (expected.detach() - start).double()
    return ((actual.double() - start - wanted).norm() / wanted.norm()).item()


@pytest.mark.kernel
@pytest.mark.parametrize("loss", list(reference.LOSSES))
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
@pytest.mark.parametrize(("width", "bias"), [(32, True), (64, False), (128, False)])
def test_the_fused_step_equals_autograd_and_torchs_adam(loss, weight_decay, width, bias):
    spec = ops.MlpSpec(width, 2, 3, bias)
    coords, table, params, targets = make_field(spec, torch.float32, count=1000)
    settings = {"lr_table": 1e-2, "lr_params": 5e-3, "weight_decay": weight_decay, "eps": 1e-8}
    fused = Fused(table, params, spec)
    trainer = reference.Trainer(
        table.double(), params.double(), GRID, spec, betas=BETAS, loss=loss, **settings
    )
    for _ in range(5):
        value = fused.step(coords, targets, loss=loss, **settings)
        expected = trainer.step(coords.double(), targets.double())
        assert value.shape == (1,) and value.dtype == torch.float32
        assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    # The sign of an L1 residual and Adam's ratio near zero amplify rounding: hence a norm.
    tolerance = 2e-2 if loss in ("l1", "relative") else 2e-3
    assert change_error(fused.table, trainer.table, table) < tolerance
    assert change_error(fused.params, trainer.params, params) < tolerance


@pytest.mark.kernel
@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("features", [1, 2, 4, 8])
@pytest.mark.parametrize("smoothstep", [False, True], ids=["linear", "smoothstep"])
def test_the_fused_step_fits_every_grid(dim, features, smoothstep):
    grid = ops.GridSpec(4, 4, 1.7, 8, smoothstep)
    spec = ops.MlpSpec(32, 1, 2)
    coords, table, params, targets = make_field(
        spec, torch.float32, dim, features, count=333, grid=grid
    )
    # A large eps makes the update nearly linear in the gradient: it can be compared closely.
    settings = {"lr_table": 1e-2, "lr_params": 5e-3, "eps": 1e-3}
    fused = Fused(table, params, spec, grid, dim)
    trainer = reference.Trainer(
        table.double(), params.double(), grid, spec, betas=BETAS, **settings
    )
    for _ in range(3):
        fused.step(coords, targets, **settings)
        trainer.step(coords.double(), targets.double())
    assert change_error(fused.table, trainer.table, table) < 1e-4
    assert change_error(fused.params, trainer.params, params) < 1e-4


@pytest.mark.kernel
@pytest.mark.parametrize("count", [1, 7, 63, 65, 1000, 5000])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_fused_step_takes_any_number_of_samples(count, depth):
    spec = ops.MlpSpec(32, depth, 3, True, "sine")
    coords, table, params, targets = make_field(spec, torch.float32, count=count)
    settings = {"lr_table": 1e-2, "lr_params": 5e-3, "eps": 1e-3}
    fused = Fused(table, params, spec)
    trainer = reference.Trainer(
        table.double(), params.double(), GRID, spec, betas=BETAS, **settings
    )
    for _ in range(2):
        value = fused.step(coords, targets, **settings)
        expected = trainer.step(coords.double(), targets.double())
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert change_error(fused.table, trainer.table, table) < 1e-4
    assert change_error(fused.params, trainer.params, params) < 1e-4


@pytest.mark.kernel
@pytest.mark.parametrize("features", [1, 2, 8])
def test_touched_only_leaves_numbers_without_gradient_alone(features):
    grid = ops.GridSpec(4, 8, 1.9, 10, False)
    spec = ops.MlpSpec(32, 1, 3)
    coords, table, params, targets = make_field(
        spec, torch.float32, 2, features, count=40, grid=grid
    )
    twin_grads = []
    fused = Fused(table, params, spec, grid)
    for batch in range(4):  # other samples each time: moments of some rows must wait
        chosen = slice(10 * batch, 10 * batch + 10)
        before = [t.clone() for t in fused.table_state]
        leaves = [t.clone().requires_grad_() for t in (fused.table, fused.params)]
        values = ops.grid_mlp(coords[chosen], *leaves, grid, spec)
        torch.nn.functional.mse_loss(values, targets[chosen]).backward()
        grad = leaves[0].grad
        assert grad is not None
        fused.step(coords[chosen], targets[chosen], touched_only=True)
        still = grad == 0
        rows = reference.touched_rows(coords[chosen], grid)
        assert still[~rows].all() and still.any() and not still.all()
        for now, then in zip(fused.table_state, before, strict=True):
            assert torch.equal(now[still], then[still])
        assert (fused.table != before[0])[~still].all()
        twin_grads.append(grad)
    # Moments of a number: Adam's over the steps that touched it.
    m = torch.zeros_like(table)
    for grad in twin_grads:
        m = torch.where(grad == 0, m, BETAS[0] * m + (1 - BETAS[0]) * grad)
    torch.testing.assert_close(fused.table_state[1], m, rtol=1e-3, atol=1e-6)


def test_touched_only_equals_dense_where_every_number_is_touched():
    grid = ops.GridSpec(2, 4, 1.5, 6, False)
    spec = ops.MlpSpec(32, 1, 3)
    coords, table, params, targets = make_field(spec, torch.float32, count=3000, grid=grid)
    table = table[:, :2]
    a, b = Fused(table, params, spec, grid), Fused(table, params, spec, grid)
    for _ in range(3):
        a.step(coords, targets)
        b.step(coords, targets, touched_only=True)
    rows = reference.touched_rows(coords, grid)
    torch.testing.assert_close(a.table[rows], b.table[rows], rtol=0, atol=1e-6)
    assert torch.equal(a.params, b.params)


def test_the_workspace_is_zero_between_steps():
    spec = ops.MlpSpec(32, 1, 3)
    coords, table, params, targets = make_field(spec, torch.float32, count=500)
    fused = Fused(table, params, spec)
    for touched_only in (False, True, False, True):
        fused.step(coords, targets, touched_only=touched_only)
        assert not fused.workspace.any()


def test_the_bits_do_not_depend_on_the_number_of_threads():
    spec = ops.MlpSpec(64, 2, 3)
    coords, table, params, targets = make_field(spec, torch.float32, count=5000)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            fused = Fused(table, params, spec)
            losses = [fused.step(coords, targets) for _ in range(3)]
            results.append([*fused.table_state, *fused.params_state, *losses])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_nan_in_the_targets_reaches_the_loss():
    spec = ops.MlpSpec(32, 1, 3)
    coords, table, params, targets = make_field(spec, torch.float32)
    targets[3, 1] = float("nan")
    assert Fused(table, params, spec).step(coords, targets).isnan().all()
    assert Fused(table, params, spec).step(coords, targets, loss="l1").isnan().all()


@pytest.mark.skipif(not ops.ACTIVE.bf16, reason="these kernels have no bf16 arithmetic")
def test_a_bf16_step_goes_the_same_way():
    exact, spec = ops.MlpSpec(64, 2, 3), ops.MlpSpec(64, 2, 3, precision="bf16")
    coords, table, params, targets = make_field(spec, torch.float32, count=2000)
    a, b = Fused(table, params, exact), Fused(table, params, spec)
    for _ in range(20):
        loss_a, loss_b = a.step(coords, targets), b.step(coords, targets)
    assert loss_b.item() == pytest.approx(loss_a.item(), rel=0.05)
    assert b.table.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coords": torch.zeros(65)}, "coords must be"),
        ({"targets": torch.zeros(64, 3)}, "targets must be"),
        ({"targets": torch.zeros(65, 3, dtype=torch.float64)}, "targets"),
        ({"table_m": torch.zeros(3)}, "table"),
        ({"params_m": torch.zeros(3)}, "params"),
        ({"table_v": "double"}, "table"),
        ({"params": "double"}, "params"),
        ({"workspace": torch.zeros(1, 8)}, "workspace"),
        ({"workspace": "double"}, "workspace must be float32"),
        ({"step": 0}, "step"),
        ({"loss": "huber"}, "loss"),
    ],
)
def test_wrong_inputs_of_a_step_are_refused(change, message):
    spec = ops.MlpSpec(32, 1, 3)
    coords, table, params, targets = make_field(spec, torch.float32)
    fused = Fused(table, params, spec)
    state = {
        "coords": coords,
        "targets": targets,
        "table": fused.table_state[0],
        "table_m": fused.table_state[1],
        "table_v": fused.table_state[2],
        "params": fused.params_state[0],
        "params_m": fused.params_state[1],
        "params_v": fused.params_state[2],
        "workspace": fused.workspace,
        "step": 1,
        "loss": "l2",
    }
    for name, value in change.items():
        state[name] = state[name].double() if value == "double" else value
    with pytest.raises(ValueError, match=message):
        ops.grid_mlp_step(
            state["coords"],
            state["targets"],
            (state["table"], state["table_m"], state["table_v"]),
            (state["params"], state["params_m"], state["params_v"]),
            state["workspace"],
            GRID,
            spec,
            step=state["step"],
            loss=state["loss"],
            lr_table=1e-2,
            lr_params=1e-2,
        )


@pytest.mark.kernel
@pytest.mark.parametrize("count", [0, 1, 7, 16, 63, 65, 1000, 100_000])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
@pytest.mark.parametrize("eps", [1e-8, 1e-15])
def test_adam_equals_torchs(count, weight_decay, eps):
    generator = torch.Generator().manual_seed(count)
    start = torch.randn(count, generator=generator)
    param, m, v = start.clone(), torch.zeros(count), torch.zeros(count)
    expected = start.clone().requires_grad_()
    adam = torch.optim.Adam([expected], 1e-2, BETAS, eps, weight_decay=weight_decay)
    for step in range(1, 6):
        grad = torch.randn(count, generator=generator)
        ops.adam_step(param, grad, m, v, step=step, lr=1e-2, eps=eps, weight_decay=weight_decay)
        expected.grad = grad.clone()
        adam.step()
    torch.testing.assert_close(param, expected.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.kernel
def test_adam_on_touched_numbers_alone_leaves_the_others():
    param, m, v = torch.ones(77), torch.full((77,), 0.1), torch.full((77,), 0.2)
    grad = torch.arange(77.0) % 3
    before = param.clone(), m.clone(), v.clone()
    ops.adam_step(param, grad, m, v, step=3, lr=1e-2, touched_only=True)
    for now, then in zip((param, m, v), before, strict=True):
        assert torch.equal(now[grad == 0], then[grad == 0])
        assert (now != then)[grad != 0].all()


def test_opcheck():
    namespace = torch.ops.fields
    values = [torch.rand(20) for _ in range(4)]
    torch.library.opcheck(
        namespace.adam_step.default, (*values, 1, 1e-2, 0.9, 0.99, 1e-15, 0.0, False)
    )
    spec = ops.MlpSpec(32, 1, 3)
    coords, table, params, targets = make_field(spec, torch.float32)
    fused = Fused(table, params, spec)
    state = (*fused.table_state, *fused.params_state, fused.workspace)
    grid_args, mlp_args = (4, 4, 1.7, 8, True), (32, 1, 3, False, 1, 0, 0, 1.0, 1.0)
    adam_args = (0, 1, 1e-2, 1e-2, 0.9, 0.99, 1e-15, 0.0, False)
    torch.library.opcheck(
        namespace.grid_mlp_step.default,
        (coords, targets, *state, *grid_args, *mlp_args, *adam_args),
    )
    torch.library.opcheck(namespace.sample_pixels.default, (torch.rand(5, 6, 3), 17, 1, 2))
