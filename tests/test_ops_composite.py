"""Compositing along rays, and the spherical harmonics of their directions."""

import math

import pytest
import reference_march as reference
import torch

from fields import ops

dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])


def make_case(rays=40, channels=3, dtype=torch.float64, seed=0, most=30):
    """Packed samples of rays of very different lengths, some without any."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, most, (rays,), generator=generator)
    counts[:: max(rays // 5, 1)] = 0
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    count = int(offsets[-1])
    rand = lambda *shape: torch.rand(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    sigma, colour = 20 * rand(count) ** 3, rand(count, channels)
    dt = 0.01 + 0.1 * rand(count)
    t = dt.cumsum(0)
    return *(x.to(dtype) for x in (sigma, colour, t, dt)), offsets


def with_gradients(function, sigma, colour, *rest):
    """All outputs, then the gradients of their sum with fixed weights by sigma and colour."""
    leaves = [sigma.clone().requires_grad_(), colour.clone().requires_grad_()]
    outputs = function(*leaves, *rest)
    generator = torch.Generator().manual_seed(5)
    weights = [torch.randn(o.shape, generator=generator).to(o) for o in outputs]
    return [*outputs, *torch.autograd.grad(outputs, leaves, weights)]


@pytest.mark.kernel
@dtypes
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_sums_and_gradients_equal_the_twins(dtype, channels):
    case = make_case(channels=channels, dtype=dtype)
    expected = with_gradients(reference.composite, *make_case(channels=channels))
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    for a, b in zip(with_gradients(ops.composite, *case), expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=tolerance * 10, atol=tolerance)


@pytest.mark.kernel
@dtypes
def test_weights_and_transmittance_make_one(dtype):
    sigma, colour, t, dt, offsets = make_case(300, dtype=dtype, most=100)
    _, opacity, _, weights = ops.composite(sigma, colour, t, dt, offsets)
    for ray in range(300):
        own = slice(offsets[ray], offsets[ray + 1])
        left = torch.exp(-(sigma[own] * dt[own]).double().sum()).item()
        assert weights[own].double().sum().item() + left == pytest.approx(1, abs=2e-6)
        assert opacity[ray].item() + left == pytest.approx(1, abs=2e-6)
    assert (weights >= 0).all()


def test_gradcheck():
    sigma, colour, t, dt, offsets = make_case(6, 2, most=7)
    assert torch.autograd.gradcheck(
        lambda s, c: ops.composite(s, c, t, dt, offsets),
        (sigma.requires_grad_(), colour.requires_grad_()),
    )


@pytest.mark.kernel
@dtypes
def test_splitting_a_step_changes_nothing(dtype):
    sigma, colour, t, dt, offsets = make_case(dtype=dtype)
    whole = ops.composite(sigma, colour, t, dt, offsets)
    share = torch.rand(len(dt), generator=torch.Generator().manual_seed(3)).to(dtype)
    parts = torch.stack([share * dt, (1 - share) * dt], 1).flatten()
    twice = [x.repeat_interleave(2, 0) for x in (sigma, colour, t)]
    split = ops.composite(*twice, parts, 2 * offsets)
    for a, b in zip(whole[:3], split[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(whole[3], split[3].view(-1, 2).sum(1), rtol=1e-5, atol=2e-6)


@pytest.mark.kernel
@pytest.mark.parametrize("sigma", [0.0, 0.3, 4.0, 1e4])
def test_a_box_of_constant_density_has_its_closed_form(sigma):
    """Opacity 1 - exp(-sigma L), depth the integral of t sigma exp(-sigma (t - near))."""
    spec = ops.MarchSpec(4, 1e-3)
    origins = torch.tensor([[-0.5, 0.25, 0.5], [0.5, 0.5, 3.0]])
    directions = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    _, t, dt, _, offsets = ops.march_rays(origins, directions, torch.full((1, 1), -1), spec)
    colour = torch.tensor([0.2, 0.5, 1.0]).expand(len(t), 3)
    rgb, opacity, depth, _ = ops.composite(torch.full((len(t),), sigma), colour, t, dt, offsets)
    near, length = torch.tensor([0.5, 2.0]), 1.0
    expected = 1 - math.exp(-sigma * length)
    torch.testing.assert_close(opacity, torch.full((2,), expected), rtol=0, atol=2e-5)
    torch.testing.assert_close(rgb, expected * colour[:2], rtol=0, atol=2e-5)
    if sigma:
        mean = near * expected + (1 - math.exp(-sigma) * (1 + sigma)) / sigma
        torch.testing.assert_close(depth, mean, rtol=0, atol=1e-3)


@pytest.mark.kernel
@dtypes
def test_an_opaque_sample_hides_what_is_behind_it(dtype):
    sigma = torch.tensor([0.0, 1e9, 3.0, 2.0], dtype=dtype)
    colour = torch.eye(4, dtype=dtype)
    t, dt = torch.arange(4.0, dtype=dtype), torch.ones(4, dtype=dtype)
    offsets = torch.tensor([0, 4])
    rgb, opacity, depth, weights, grad_sigma, grad_colour = with_gradients(
        ops.composite, sigma, colour, t, dt, offsets
    )
    nearly = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=dtype)  # e^-87 is the least that packs give
    torch.testing.assert_close(rgb[0], nearly, rtol=0, atol=1e-37)
    torch.testing.assert_close(weights, nearly, rtol=0, atol=1e-37)
    assert opacity.tolist() == [1] and depth.tolist() == [1]
    assert grad_sigma[0] != 0
    assert grad_sigma[1:].abs().max() < 1e-36 and grad_colour[2:].abs().max() < 1e-36


@pytest.mark.kernel
def test_rays_without_samples_are_transparent():
    none = torch.zeros(0)
    rgb, opacity, depth, weights = ops.composite(
        none, torch.zeros(0, 3), none, none, torch.zeros(6, dtype=torch.int64)
    )
    assert rgb.shape == (5, 3) and len(weights) == 0
    assert not rgb.any() and not opacity.any() and not depth.any()
    empty = ops.composite(none, torch.zeros(0, 3), none, none, torch.zeros(1, dtype=torch.int64))
    assert empty[0].shape == (0, 3)


def test_there_is_no_second_derivative_and_it_is_said():
    sigma, colour, *rest = make_case(3)
    rgb = ops.composite(sigma.requires_grad_(), colour, *rest)[0]
    (grad,) = torch.autograd.grad(rgb.sum(), sigma, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        grad.sum().backward()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": torch.zeros(4, 1)}, "sigma must be"),
        ({"sigma": torch.zeros(4, dtype=torch.int64)}, "sigma"),
        ({"colour": torch.zeros(3, 3)}, "colour must be"),
        ({"colour": torch.zeros(4, 3).double()}, "colour is"),
        ({"t": torch.zeros(3)}, "t must be"),
        ({"dt": torch.zeros(4).double()}, "dt is"),
        ({"offsets": torch.zeros(3)}, "offsets must be"),
    ],
)
def test_samples_that_do_not_fit_are_refused(change, message):
    given = {
        "sigma": torch.zeros(4),
        "colour": torch.zeros(4, 3),
        "t": torch.zeros(4),
        "dt": torch.zeros(4),
        "offsets": torch.tensor([0, 1, 4]),
    }
    with pytest.raises(ValueError, match=message):
        ops.composite(**given | change)


@pytest.mark.parametrize("offsets", [[0, 5, 4], [1, 4], [0, 3], [0, 3, 2, 4]])
def test_offsets_that_do_not_rise_to_the_end_are_refused(offsets):
    values = torch.zeros(4)
    with pytest.raises(RuntimeError, match="offsets must rise"):
        ops.composite(values, torch.zeros(4, 3), values, values, torch.tensor(offsets))


# ---- spherical harmonics


def unit_vectors(count, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=1).to(dtype)


@pytest.mark.kernel
@dtypes
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_harmonics_are_those_of_legendre_polynomials(dtype, degree):
    directions = unit_vectors(333, dtype)
    expected = reference.harmonics(unit_vectors(333))[:, : degree**2]
    actual = ops.spherical_harmonics(directions, degree)
    torch.testing.assert_close(
        actual.double(), expected, rtol=0, atol=1e-12 if dtype == torch.float64 else 2e-6
    )


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_gradcheck_of_harmonics(degree):
    directions = unit_vectors(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda d: ops.spherical_harmonics(d, degree), directions)


@pytest.mark.kernel
def test_gradients_of_harmonics_in_float32():
    def gradient(dtype):
        directions = unit_vectors(100, dtype).requires_grad_()
        weights = torch.randn(100, 16, generator=torch.Generator().manual_seed(2)).to(dtype)
        values = ops.spherical_harmonics(directions, 4)
        return torch.autograd.grad((values * weights).sum(), directions)[0]

    torch.testing.assert_close(
        gradient(torch.float32).double(), gradient(torch.float64), rtol=1e-5, atol=1e-5
    )


def test_directions_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="directions must be"):
        ops.spherical_harmonics(torch.zeros(5, 2), 2)
    with pytest.raises(ValueError, match="degree must be"):
        ops.spherical_harmonics(torch.zeros(5, 3), 5)


def test_opcheck():
    namespace = torch.ops.fields
    sigma, colour, t, dt, offsets = make_case(4)
    torch.library.opcheck(
        namespace.composite.default,
        (sigma.requires_grad_(), colour.requires_grad_(), t, dt, offsets),
    )
    torch.library.opcheck(
        namespace.spherical_harmonics.default, (unit_vectors(7).requires_grad_(), 3)
    )
