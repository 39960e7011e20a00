"""The models that are one network: siren, finer and fourier."""

import math

import pytest
import torch
from small import picture
from torch import nn

import fields
from fields import catalogue, steps
from fields.configs import FinerConfig, FourierConfig, SirenConfig, TooSmall
from fields.mlp import split_params
from fields.pictures import Picture
from fields.plan import Plan, Stop, Training
from fields.schedule import CONSTANT
from fields.signals.picture import PictureSignal

MODELS = ("siren", "finer", "fourier")
each = pytest.mark.parametrize("name", MODELS)


def build(name, channels=3, dim=2, *, signed=False, **settings):
    return catalogue.build(catalogue.find(name).config(channels, dim, signed=signed, **settings))


def layers(field, inputs=2):
    """[(weight, bias), ...] without a tape."""
    return split_params(field.params.detach(), inputs, field.mlp)


def points(*shape, dim=2, dtype=torch.float32):
    return torch.rand(*shape, dim, dtype=dtype, generator=torch.Generator().manual_seed(1))


# ---- initial values


def bound(tensor):
    """The bound that numbers drawn uniformly around 0 suggest."""
    return tensor.abs().max().item()


def is_uniform(tensor, within):
    largest, deviation = bound(tensor), tensor.std().item()
    return 0.9 * within < largest <= within and abs(deviation / within - 3**-0.5) < 0.1


def test_siren_starts_with_the_published_distributions():
    first, second, third, last = layers(build("siren", 64, hidden_omega=20.0, signed=True))
    assert is_uniform(first[0], 1 / 2) and is_uniform(first[1], 2**-0.5)
    for weight, bias in (second, third, last):
        assert is_uniform(weight, math.sqrt(6 / 256) / 20) and is_uniform(bias, 1 / 16)


def test_a_siren_whose_values_are_no_pictures_begins_near_0():
    signed, plain = (build("siren", hidden_omega=20.0, signed=signed) for signed in (True, False))
    *same, (weight, bias) = layers(plain)
    *others, (large, shift) = layers(signed)
    for ours, theirs in zip(same, others, strict=True):
        assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    assert shift is not None
    torch.testing.assert_close(weight, large / 20)
    torch.testing.assert_close(bias, shift / 20)


def test_siren_keeps_the_spread_of_its_layers():
    # Sitzmann et al. 2020, theorem 1.8: angles are normal with deviation 1, sines have 0.7.
    field = build("siren", width=512, depth=3, signed=True)
    x = points(2000) * 2 - 1
    for i, (weight, bias) in enumerate(layers(field)):
        angle = nn.functional.linear(x, 30 * weight, bias)
        if i > 0:
            assert angle.std().item() == pytest.approx(1, abs=0.15)
        x = angle.sin()
    assert field(points(2000)).std() > 0.3  # outputs of order one, half as large in [0, 1]


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_finers_first_biases_have_the_scale_asked_for(scale):
    first, second, third, last = layers(build("finer", 64, bias_scale=scale))
    assert is_uniform(first[0], 1 / 2)
    assert first[1] is not None
    assert is_uniform(first[1], scale) if scale else bound(first[1]) == 0
    for weight, bias in (second, third, last):
        assert is_uniform(weight, math.sqrt(6 / 256) / 30) and is_uniform(bias, 1 / 16)


def test_finers_usual_first_biases_are_those_of_torchs_linear():
    for dim in (1, 2, 3):
        config = FinerConfig.for_signal(3, (8,) * dim)
        assert config.bias_scale == pytest.approx(dim**-0.5)
    assert FinerConfig.for_signal(3, (8, 8, 8), bias_scale=2.0).bias_scale == 2


def test_gaussian_frequencies_have_the_deviation_sigma():
    for sigma in (1.0, 7.0):
        frequencies = build("fourier", frequencies=4096, sigma=sigma).frequencies
        assert frequencies.shape == (4096, 2)
        assert frequencies.std().item() == pytest.approx(sigma, rel=0.05)
        assert abs(frequencies.mean().item()) < 0.05 * sigma


def test_positional_frequencies_double_along_each_axis():
    frequencies = build("fourier", encoding="positional", octaves=3).frequencies
    expected = [[0.5, 0], [0, 0.5], [1, 0], [0, 1], [2, 0], [0, 2]]
    assert frequencies.tolist() == expected


# ---- values and gradients


class Twin(nn.Module):
    """The three models in plain torch, in float64, with the weights of ours."""

    def __init__(self, name, field):
        super().__init__()
        self.name, self.config = name, field.config
        self.params = nn.Parameter(field.params.detach().double())
        self.field = field
        self.frequencies = field.frequencies.double() if name == "fourier" else None

    def forward(self, coords):
        x = coords * 2 - 1
        if self.frequencies is not None:
            angles = 2 * math.pi * x @ self.frequencies.T
            x = torch.cat([angles.cos(), angles.sin()], -1)
        weights = split_params(self.params, x.shape[-1], self.field.mlp)
        for i, (weight, bias) in enumerate(weights):
            last = i == len(weights) - 1
            if self.name == "fourier":
                x = nn.functional.linear(x, weight, bias)
                x = x if last else x.relu()
                continue
            omega = self.config.hidden_omega if i else self.config.omega
            if self.name == "siren":
                x = (omega * x) @ weight.T + bias
                x = x if last else x.sin()
            else:
                x = nn.functional.linear(x, weight, bias)
                x = x if last else torch.sin(omega * (x.abs() + 1).detach() * x)
        return x


@each
@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_values_and_gradients_equal_plain_torchs(name, dim):
    settings = {"omega": 11.0, "hidden_omega": 5.0} if name != "fourier" else {"sigma": 2.0}
    field = build(name, 2, dim, width=48, depth=2, **settings)
    twin = Twin(name, field)
    coords = points(200, dim=dim)
    grad = torch.randn(200, 2, generator=torch.Generator().manual_seed(2))
    found, expected = field(coords), twin(coords.double())
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-4)
    (actual,) = torch.autograd.grad(found, field.params, grad)
    (wanted,) = torch.autograd.grad(expected, twin.params, grad.double())
    assert (actual - wanted).norm() < 1e-3 * wanted.norm()


def test_finers_gradient_takes_the_stretch_for_a_constant():
    field = build("finer", 1, 1, width=1, depth=1, omega=1.0, hidden_omega=1.0).double()
    field.params.data = torch.tensor([2.0, 0.5, 1.0, 0.0], dtype=torch.float64)  # w, b, w, b
    coords = torch.tensor([[0.8]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(field(coords).sum(), coords)
    a = 2 * 0.6 + 0.5
    # d/dx sin((|a| + 1) a) with |a| + 1 held: (|a| + 1) cos((|a| + 1) a) da/dx; da/dcoord = 2 * 2
    assert slope.item() == pytest.approx((a + 1) * math.cos((a + 1) * a) * 4)


# ---- configurations


@each
def test_a_size_gives_the_widest_network_that_fits(name):
    kind = catalogue.find(name).config
    for most in (2_000, 50_000, 133_123, 10**9):
        config = kind.for_signal(3, (64, 48), max_parameters=most)
        assert config.parameters <= config.stored <= most
        assert config.stored > 0.75 * most or config.as_dict()["width"] == 1024
    with pytest.raises(TooSmall) as small:
        kind.for_signal(3, (64, 48), max_parameters=10)
    least = small.value.least
    assert kind.for_signal(3, (64, 48), max_parameters=least).stored == least


@each
@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_the_number_of_parameters_is_known_beforehand(name, dim):
    config = catalogue.find(name).config.for_signal(2, (7,) * dim, width=20)
    field = catalogue.build(config)
    assert config.parameters == sum(p.numel() for p in field.parameters())
    assert config.stored == sum(t.numel() for t in field.state_dict().values())
    assert field(points(5, dim=dim)).shape == (5, 2)


def test_frequencies_worth_trying():
    assert (SirenConfig.frequency, SirenConfig.candidates[0]) == ("omega", 10)
    assert SirenConfig.candidates[-1] == 200 and len(SirenConfig.candidates) == 20
    assert (FinerConfig.frequency, len(FinerConfig.candidates)) == ("bias_scale", 31)
    assert (FourierConfig.frequency, FourierConfig.candidates) == (
        "sigma", tuple(range(1, 21))
    )  # fmt: skip
    for config in (SirenConfig, FinerConfig, FourierConfig):
        for value in config.candidates:
            config(3, **{config.frequency: value})


# ---- training


@each
@pytest.mark.parametrize("loss", ["l2", "l1"])
def test_the_fused_step_is_the_step_of_autograd(name, loss):
    signal = PictureSignal(Picture(picture(), "waves", "png"), torch.device("cpu"))
    training = Training(batch=500, rate=1e-3, beta2=0.999, eps=1e-8, weight_decay=1e-3)
    ends = []
    for kind in (steps.MlpStep, steps.AutogradStep):
        field = build(name, width=40, depth=2, signed=True)
        step = kind(field, signal, Plan(training, CONSTANT, Stop(steps=9)), loss)
        losses = [step(number, 0.5).reshape(()) for number in range(1, 10)]
        ends.append((torch.stack(losses), field.params.detach()))
    start = build(name, width=40, depth=2, signed=True).params.detach()
    torch.testing.assert_close(ends[0][0], ends[1][0], rtol=1e-4, atol=1e-6)
    assert (ends[0][1] - ends[1][1]).norm() < 1e-2 * (ends[1][1] - start).norm()


@each
def test_signed_values_stand_for_those_between_0_and_1(name):
    plain, signed = (build(name, width=16, signed=signed) for signed in (False, True))
    plain.load_state_dict(signed.state_dict())
    x = points(50)
    torch.testing.assert_close(signed(x), (plain(x) + 1) / 2)


@each
def test_a_network_is_trained_by_its_own_step(name):
    signal = PictureSignal(Picture(picture(), "waves", "png"), torch.device("cpu"))
    plan = Plan(Training(batch=64), CONSTANT, Stop(steps=9))
    field = build(name, width=8)
    assert type(steps.choose(field, signal, plan, "l2")) is steps.MlpStep
    assert type(steps.choose(field, signal, plan, steps.l2)) is steps.AutogradStep
    field.params.requires_grad_(False)
    with pytest.raises(fields.FieldsError, match="no parameters to train"):
        steps.choose(field, signal, plan, "l2")


def test_a_parameter_that_a_subclass_adds_is_trained():
    class Shifted(fields.Siren):
        def __init__(self):
            super().__init__(3, width=8)
            self.shift = torch.nn.Parameter(torch.zeros(2))

        def inputs(self, coords):
            return super().inputs(coords) + self.shift

    signal = PictureSignal(Picture(picture(), "waves", "png"), torch.device("cpu"))
    field = Shifted()
    step = steps.choose(field, signal, Plan(Training(batch=64), CONSTANT, Stop(steps=9)), "l2")
    step(1, 1.0)
    assert type(step) is steps.AutogradStep and field.shift.abs().min() > 0


@each
def test_a_fit_improves_and_is_saved_loaded_and_resumed(name, tmp_path):
    options = {"width": 48, "depth": 2, "batch": 512, "rate": 2e-3, "model": name}
    options["out"] = tmp_path / "run"
    short = fields.fit(picture(), steps=5, **options)
    run = fields.fit(picture(), steps=300, resume=True, **options)
    assert run.metrics["psnr"] > max(short.metrics["psnr"] + 2, 18)
    coords = points(50)
    loaded = fields.load(tmp_path / "run")
    assert torch.equal(loaded.field(coords), run.field(coords))
    assert run.metrics["steps"] == 300


@each
def test_a_file_has_the_size_that_was_asked_for(name, tmp_path):
    run = fields.fit(picture(), steps=1, size_kb=40, model=name, out=tmp_path / "run")
    assert run.metrics["bytes"] <= 40_000
