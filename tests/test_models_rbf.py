"""Radial kernels on a grid: every encoder and kernel, the fused step, files."""

import copy

import numpy as np
import pytest
import torch
from small import picture

import fields
from fields import plan, steps
from fields.configs import RbfConfig, TooSmall
from fields.configs.rbf import KERNELS
from fields.models.rbf import Rbf
from fields.pictures import Picture
from fields.plan import Stop
from fields.signals.picture import PictureSignal

TINY = {"num_levels": 4, "log2_table_size": 8, "base_resolution": 4, "kernels": 16}
ENCODERS = ("grid", "dif", "triplane")

encoders = pytest.mark.parametrize("encoder", ENCODERS)
kernels = pytest.mark.parametrize("kernel", KERNELS)


def fitted(path, **options):
    return fields.fit(picture(), "rbf", out=path, batch=1000, **options)


def make_step(make, field, loss="l2"):
    signal = PictureSignal(Picture(picture(), "waves", "png"), torch.device("cpu"))
    return make(field, signal, plan.make(Stop(steps=20), model="rbf", batch=300), loss)


@encoders
@kernels
def test_a_few_steps_lower_the_loss(encoder, kernel):
    field = Rbf(3, encoder=encoder, kernel=kernel, **TINY)
    step = make_step(steps.AutogradStep, field)
    losses = [step(i, 1.0).item() for i in range(1, 31)]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.7 * losses[0]


@encoders
@pytest.mark.parametrize("centres", ["flat", "spread"])
@pytest.mark.parametrize("affine", [False, True], ids=["", "affine"])
def test_a_fit_improves_a_small_picture(tmp_path, encoder, centres, affine):
    run = fitted(tmp_path / "run", steps=250, encoder=encoder, centres=centres, affine=affine)
    # Flat centres lie far from the features of planes, which begin around 1.
    assert run.metrics["psnr"] > (12 if (encoder, centres) == ("triplane", "flat") else 18)


@encoders
def test_a_run_is_loaded_and_goes_on(tmp_path, encoder):
    run = fitted(tmp_path / "run", encoder=encoder, steps=20)
    again = fields.load(run.path)
    coords = torch.rand(50, 2)
    assert torch.equal(run.field(coords), again.field(coords))
    on = fitted(tmp_path / "run", encoder=encoder, steps=40, resume=True)
    assert on.steps == 40


@pytest.mark.parametrize("loss", ["l2", "l1"])
@pytest.mark.parametrize("centres", ["flat", "spread"])
def test_the_fused_step_equals_autograds(loss, centres):
    field = Rbf(3, centres=centres, **TINY)
    twin = copy.deepcopy(field)
    fused = make_step(steps.choose, field, loss)
    assert isinstance(fused, steps.HashGridStep)
    plain = make_step(steps.AutogradStep, twin, loss)
    for i in range(1, 6):
        assert fused(i, 0.5).item() == pytest.approx(plain(i, 0.5).item(), rel=1e-5)
    for (name, a), b in zip(field.named_parameters(), twin.parameters(), strict=True):
        assert (a - b).norm() <= 1e-3 * (b - getattr(Rbf(3, centres=centres, **TINY), name)).norm()


@encoders
def test_modules_are_compiled_copied_and_take_any_leading_shape(encoder):
    field = Rbf(3, encoder=encoder, **TINY)
    coords = torch.rand(4, 5, 2)
    values = field(coords)
    assert values.shape == (4, 5, 3) and field(torch.rand(0, 2)).shape == (0, 3)
    assert torch.equal(field(coords.transpose(0, 1)), values.transpose(0, 1))
    twin = Rbf(3, encoder=encoder, **TINY, seed=7)
    twin.load_state_dict(copy.deepcopy(field).state_dict())
    assert torch.equal(twin(coords), values)
    compiled = torch.compile(field, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(coords), values)


def test_only_gaussians_on_a_grid_are_fused():
    for settings in ({"encoder": "dif"}, {"kernel": "cubic"}, {"encoder": "triplane"}):
        field = Rbf(3, **{**TINY, **settings})
        assert not field.is_fused
        assert isinstance(make_step(steps.choose, field), steps.AutogradStep)


@encoders
@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_the_jacobian_is_that_of_autograd(encoder, dim):
    if encoder == "triplane" and dim == 1:
        pytest.skip("planes span two axes")
    field = Rbf(2, dim, encoder=encoder, centres="spread", affine=True, **TINY).double()
    for parameter in field.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    coords = torch.rand(40, dim, dtype=torch.float64, requires_grad=True)
    values, jacobian = field.with_grad(coords)
    assert torch.allclose(values, field(coords))
    rows = [torch.autograd.grad(field(coords)[:, c].sum(), coords)[0] for c in range(2)]
    torch.testing.assert_close(jacobian, torch.stack(rows, 1))
    jacobian.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in field.parameters())


@pytest.mark.parametrize("kernel", [k for k in KERNELS if k != "gaussian"])
def test_the_other_kernels_are_those_of_their_names(kernel):
    formulas = {
        "inverse_multiquadric": lambda r: 1 / np.sqrt(1 + r**2),
        "multiquadric": lambda r: np.sqrt(1 + r**2),
        "cubic": lambda r: r**3,
        "thin_plate": lambda r: r**2 * np.log(r),
        "wendland": lambda r: np.maximum(1 - r, 0) ** 4 * (4 * r + 1),
    }
    field = Rbf(1, 1, kernel=kernel, num_levels=1, features_per_level=1, kernels=1)
    field.params.data = torch.tensor([0.5, np.log(4.0), 2.0, 0.25])
    features = torch.linspace(-1, 2, 31)[:, None] + 0.01
    distance = 2 * np.abs(features[:, 0].numpy() - 0.5)
    expected = 2 * formulas[kernel](distance) + 0.25
    assert np.allclose(field._radial(features)[:, 0].detach(), expected, atol=1e-4)
    with pytest.raises(ValueError, match="with_grad needs kernel gaussian"):
        field.with_grad(torch.rand(3, 1))


@encoders
@pytest.mark.parametrize("shape", [(7, 5), (256, 256), (4608, 3072), (30,), (24, 20, 16)], ids=str)
def test_a_configuration_is_found_for_every_signal_and_size(encoder, shape):
    if encoder == "triplane" and len(shape) == 1:
        pytest.skip("planes span two axes")
    config = RbfConfig.for_signal(3, shape, encoder=encoder)
    assert config.parameters < 2 * 3 * np.prod(shape) + 20_000
    for most in (2_000, 30_000, 1_000_000):
        sized = RbfConfig.for_signal(3, shape, max_parameters=most, encoder=encoder)
        assert sized.parameters <= most
        if most == 30_000 and np.prod(shape) > 10_000:
            assert sized.parameters > most / 3
    with pytest.raises(TooSmall):
        RbfConfig.for_signal(3, shape, max_parameters=5, encoder=encoder)


@encoders
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("affine", [False, True], ids=["", "affine"])
def test_parameters_are_counted_without_the_module(encoder, dim, affine):
    field = Rbf(3, dim, encoder=encoder, affine=affine, **TINY)
    assert field.config.parameters == sum(p.numel() for p in field.parameters())


def test_the_published_dif_grid_has_its_published_size():
    settings = {"encoder": "dif", "num_levels": 6, "features_per_level": 4, "base_resolution": 32}
    config = RbfConfig(3, **settings, coefficients=False, log2_table_size=22)
    assert config.levels == [(32, 4), (51, 4), (70, 4), (89, 2), (108, 2), (128, 2)]
    assert config.frequencies == pytest.approx([2, 3.2, 4.4, 5.6, 6.8, 8])


def test_planes_need_two_coordinates():
    with pytest.raises(fields.FieldsError, match="triplane needs 2 to 4 coordinates"):
        RbfConfig(1, 1, encoder="triplane")
