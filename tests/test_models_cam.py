"""Coordinate-aware modulation: the network, its ablations, its training step."""

import copy

import numpy as np
import pytest
import reference
import torch
from small import one_line, picture
from test_ops_mlp import assert_near

import fields
from fields import ops, plan, steps
from fields.configs import CamConfig, TooSmall
from fields.errors import FieldsError
from fields.models.cam import Cam

TINY = {"width": 24, "depth": 2, "grid_size": 5}
SMALL = {**TINY, "frequencies": 12, "octaves": 4}
TRUNKS = ("fourier", "positional", "siren", "finer")
trunks = pytest.mark.parametrize("trunk", TRUNKS)


def make(trunk="fourier", dim=2, channels=3, **settings):
    """A network whose grids are not at their initial values."""
    model = Cam(channels, dim, trunk=trunk, **{**SMALL, **settings})
    generator = torch.Generator().manual_seed(3)
    model.table.data += 0.3 * torch.randn(model.table.shape, generator=generator)
    return model


def points(count=150, dim=2):
    return torch.rand(count, dim, generator=torch.Generator().manual_seed(4))


def gradients(model, function, x):
    """Values, and the gradients of a weighted sum by coordinates, params and table."""
    x = x.clone().requires_grad_()
    values = function(x)
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(5)).to(values)
    leaves = [x, *model.parameters()]
    return [values.detach(), *torch.autograd.grad(values, leaves, weights)]


# ---- one kernel against a layer at a time, and against plain torch


@pytest.mark.kernel
@trunks
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("normalise", ["features", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
def test_the_whole_network_in_one_kernel_equals_its_layers(trunk, dim, normalise, dtype):
    model = make(trunk, dim, normalise=normalise, width=25).to(dtype)
    x = points(dim=dim).to(dtype)
    assert model.is_fused(x)
    actual, expected = (gradients(model, f, x) for f in (model, model.layer_by_layer))
    # A sine of frequency 30 passes on thirty times the rounding of what it takes.
    assert_near(actual, expected, {torch.float32: 2e-4, torch.float64: 1e-11}[dtype])


@pytest.mark.kernel
@pytest.mark.parametrize("over", ["0", "1", "2", "0,2", "1,3", "0,1,3"])
def test_grids_span_any_of_the_coordinates(over):
    model = make(dim=4, over=over).double()
    x = points(dim=4).double()
    actual, expected = (gradients(model, f, x) for f in (model, model.layer_by_layer))
    assert_near(actual, expected, 1e-11)


@pytest.mark.kernel
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 3000])
def test_any_number_of_samples(count):
    model = make()
    actual, expected = (gradients(model, f, points(count)) for f in (model, model.layer_by_layer))
    assert_near(actual, expected, 1e-4)


def plain(model, x):
    """The published network, written in torch alone."""
    angles = 2 * torch.pi * x @ model.frequencies.T
    e = torch.cat([angles.cos(), angles.sin()], 1)
    layers = reference.mlp_layers(model.params, e.shape[1], model.mlp)
    for (weight, bias), (gamma, beta) in zip(layers, model.table, strict=False):
        h = torch.nn.functional.linear(e, weight, bias)
        h = torch.nn.functional.layer_norm(h, h.shape[1:])
        e = torch.relu(reference.knots(gamma, x) * h + reference.knots(beta, x))
    return torch.sigmoid(torch.nn.functional.linear(e, *layers[-1]))


def test_the_network_is_the_published_one():
    model = make().double()
    x = points().double()
    actual, expected = (gradients(model, f, x) for f in (model, lambda x: plain(model, x)))
    assert_near(actual, expected, 1e-11)


@trunks
def test_gradcheck(trunk):
    model = make(trunk, width=6, frequencies=3, hidden_omega=2.0, omega=3.0).double()
    if trunk == "finer":
        pytest.skip("its gradient takes a factor for a constant, as published")
    inputs = [points(4).double().requires_grad_(), model.table, model.params]

    def function(x, table, params):
        return ops.cam_mlp(x, model.frequencies, table, params, model.mlp, (0, 1))

    assert torch.autograd.gradcheck(function, inputs)


def test_opcheck():
    model = make()
    x = points().requires_grad_()
    frequencies = model.frequencies
    args = (*model.mlp.args(), 3, True)
    call = (x, frequencies, model.table, model.params)
    torch.library.opcheck(torch.ops.fields.cam_mlp.default, (*call, *args))
    call = [t.detach() for t in call]
    for need_coords in (False, True):
        torch.library.opcheck(
            torch.ops.fields.cam_mlp_backward.default,
            (torch.rand(150, 3), *call, *args, need_coords),
        )
    states = [torch.rand_like(t) for t in (call[2],) * 3 + (call[3],) * 3]
    torch.library.opcheck(
        torch.ops.fields.cam_step.default,
        (call[0], torch.rand(150, 3), frequencies, *states, *args, 0, 1, 1e-2, 1e-3, 0.9, 0.999,
         1e-8, 0.0),
        rtol=1e-3, atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coords": torch.rand(3, 5)}, "coords must have 1 to 4 dimensions"),
        ({"frequencies": torch.rand(4, 3)}, r"frequencies must be \[M, 2\]"),
        ({"axes": (1, 0)}, "axes must be up to three of 0 to 1, ascending"),
        ({"table": torch.rand(2, 2, 5, 1)}, "table must have 5 axes"),
        ({"table": torch.rand(3, 2, 5, 5, 1)}, r"table must be \[2, 2, 5, 5, 1\]"),
        ({"params": torch.rand(7)}, "params must be"),
        ({"coords": torch.rand(3, 2).double()}, "coords is torch.float64 but frequencies is"),
    ],
)
def test_wrong_inputs_are_refused_with_one_line(change, message):
    model = make()
    call = {
        "coords": points(),
        "frequencies": model.frequencies,
        "table": model.table,
        "params": model.params,
        "mlp": model.mlp,
        "axes": (0, 1),
    }
    with pytest.raises(ValueError, match=message) as error:
        ops.cam_mlp(**{**call, **change})
    one_line(error.value)


# ---- the model


@trunks
@pytest.mark.parametrize(
    "settings",
    [{}, {"grids": False}, {"normalise": "none"}, {"modulation": "feature"}, {"over": "1"}],
    ids=str,
)
def test_the_configuration_knows_the_number_of_parameters(trunk, settings):
    model = Cam(3, trunk=trunk, **{**SMALL, **settings})
    assert sum(p.numel() for p in model.parameters()) == model.config.parameters
    kept = sum(t.numel() for t in model.state_dict().values())
    assert kept == model.config.stored


def test_the_published_sizes():
    """263,683 numbers of the network and 6,144 of grids; the project page says 266K."""
    config = CamConfig.for_signal(3, (512, 512))
    assert config.parameters == 263_683 + 6_144
    assert (config.width, config.depth, config.grid_size, config.sigma) == (256, 3, 32, 10.0)
    assert CamConfig(3, grids=False).parameters == 263_683


def test_without_grids_the_network_is_normalised_alone():
    with_grids, without = Cam(3, **SMALL), Cam(3, **SMALL, grids=False)
    assert dict(without.named_parameters()).keys() == {"params"}
    assert without.table.numel() < with_grids.table.numel() / 2
    torch.testing.assert_close(with_grids(points()), without(points()), rtol=0, atol=1e-5)
    torch.testing.assert_close(without(points()), plain(without, points()), rtol=0, atol=1e-4)


@pytest.mark.parametrize("limit", [2_000, 20_000, 200_000, 2_000_000])
def test_a_size_is_kept_by_narrowing_and_coarser_grids(limit):
    config = CamConfig.for_signal(3, (768, 512), max_parameters=limit, frequencies=16)
    assert config.stored <= limit
    assert config.stored > 0.7 * limit or config.width == 1024
    with pytest.raises(TooSmall) as error:
        CamConfig.for_signal(3, (768, 512), max_parameters=100)
    assert error.value.least > 100


@pytest.mark.parametrize("over", ["", "x", "2", "0,0", "0,", "0,1,2", "all,0"])
def test_coordinates_that_are_not_there_are_refused(over):
    with pytest.raises(FieldsError, match=r"over must be all or up to three of 0,1"):
        CamConfig(3, 2, over=over)


def test_features_may_have_scales_of_their_own():
    model = make(modulation="feature")
    assert model.table.shape == (2, 2, 5, 5, 24) and not model.is_fused(points())
    assert gradients(model, model, points())[3].any()


# ---- training


class Batches:
    """A picture's batches, smooth enough to be fitted."""

    def batch(self, count, seed, step):
        generator = torch.Generator().manual_seed(seed * 1000 + step)
        coords = torch.rand(count, 2, generator=generator)
        waves = torch.sin(9 * coords[:, :1] + torch.arange(3) * coords[:, 1:]) / 2 + 0.5
        return coords, waves


def training(**values):
    return plan.Training(
        batch=300, rate=1e-3, table_rate=1e-2, beta2=0.999, eps=1e-8, touched_only=False, **values
    )


@trunks
@pytest.mark.parametrize("loss", ["l2", "l1"])
def test_the_step_in_one_op_is_the_step_of_autograd(trunk, loss):
    how = plan.Plan(training(weight_decay=1e-3), plan.CONSTANT, plan.Stop(steps=5))
    fused_field = make(trunk)
    plain_field = copy.deepcopy(fused_field)
    fused = steps.choose(fused_field, Batches(), how, loss)
    assert isinstance(fused, steps.CamStep)
    plain_step = steps.AutogradStep(plain_field, Batches(), how, loss)
    for step in range(1, 6):
        a, b = fused(step, 0.5), plain_step(step, 0.5)
        torch.testing.assert_close(a.reshape(()), b.reshape(()), rtol=1e-4, atol=1e-6)
    for name, tensor in plain_step.tensors().items():
        torch.testing.assert_close(
            fused.tensors()[name], tensor, rtol=2e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("settings", [{"grids": False}, {"modulation": "feature"}], ids=str)
def test_what_the_one_op_has_not_is_trained_by_autograd(settings):
    how = plan.Plan(training(), plan.CONSTANT, plan.Stop(steps=5))
    field = Cam(3, **SMALL, **settings)
    assert isinstance(steps.choose(field, Batches(), how, "l2"), steps.AutogradStep)


def test_the_bits_of_a_step_do_not_depend_on_the_number_of_threads():
    threads, results = torch.get_num_threads(), []
    how = plan.Plan(training(), plan.CONSTANT, plan.Stop(steps=3))
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            step = steps.choose(make(), Batches(), how, "l2")
            for i in range(1, 4):
                step(i, 1.0)
            results.append(step.tensors())
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(results[0][name], other[name]) for name in other)


@pytest.mark.parametrize(
    "settings",
    [{}, {"grids": False}, {"normalise": "none"}, {"modulation": "feature"}, {"trunk": "siren"}],
    ids=str,
)
def test_a_fit_improves_and_its_field_loads(settings, tmp_path):
    def fit(steps):
        own = {} if "trunk" in settings else {"frequencies": 12, "sigma": 2.0}
        options = {**TINY, **own, **settings}
        out = tmp_path / str(steps)
        return fields.fit(picture(), model="cam", steps=steps, batch=512, out=out, fresh=False,
                          **options)  # fmt: skip

    run = fit(60)
    assert run.metrics["psnr"] > fit(1).metrics["psnr"] + 1
    again = fields.load(tmp_path / "60")
    assert torch.equal(again.field(points()), run.field(points()))


def test_tables_are_trained_at_ten_times_the_rate_of_the_network():
    made = plan.make(plan.Stop(steps=1), model="cam").training
    assert (made.rate, made.table_rate, made.touched_only) == (1e-3, 1e-2, False)
    made = plan.make(plan.Stop(steps=1), model="cam", rate=5e-4).training
    assert made.table_rate == pytest.approx(5e-3)


def test_a_picture_of_seven_by_five_grey_pixels(tmp_path):
    run = fields.fit(np.random.default_rng(0).integers(0, 255, (5, 7), dtype=np.uint8),
                     model="cam", steps=20, batch=64, out=tmp_path / "run", **TINY)  # fmt: skip
    assert np.isfinite(run.metrics["psnr"])
