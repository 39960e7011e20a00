"""The tri-plane's CUDA kernels against the CPU's: the same ops, the same numbers, on a GPU."""

import itertools

import pytest
import torch
from test_ops_triplane import combines, dims, dtypes, layouts, make_case

from fields import ops

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        not (torch.cuda.is_available() and ops.ACTIVE.cuda), reason="no GPU, or no CUDA kernels"
    ),
]

# Norm of the difference over the norm: float32 is the CPU's but for the order of its sums.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-13}


def assert_near(actual, expected, tolerance):
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape and a.device.type == "cuda"
        error = (a.detach().cpu().double() - b.detach().double()).norm()
        assert error <= tolerance * (b.detach().double().norm() + 1e-300)


def with_gradients(function, inputs, device):
    """All outputs, then the gradients of their sum with fixed weights by every input."""
    leaves = [t.detach().to(device).clone().requires_grad_() for t in inputs]
    outputs = function(*leaves)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(5)
    weights = [torch.randn(o.shape, generator=generator).to(o) for o in outputs]
    return [*outputs, *torch.autograd.grad(outputs, leaves, weights)]


@dims
@pytest.mark.parametrize("channels", [1, 5, 16, 33])
@combines
@layouts
@dtypes
@pytest.mark.parametrize("function", [ops.triplane, ops.triplane_with_grad])
def test_planes_and_their_gradients_equal_the_cpus(function, dim, channels, combine, layout, dtype):
    spec = ops.PlaneSpec(combine, *layout)
    inputs = make_case(dim, spec, channels, dtype, count=333)
    actual, expected = (
        with_gradients(lambda c, t: function(c, t, spec), inputs, device)
        for device in ("cuda", "cpu")
    )
    assert_near(actual, expected, TOLERANCE[dtype])


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 100_003])
def test_any_number_of_samples(count):
    spec = ops.PlaneSpec()
    _, planes = make_case(3, spec, 16, torch.float32)
    coords = torch.rand(count, 3, generator=torch.Generator().manual_seed(count))
    actual = ops.triplane(coords.cuda(), planes.cuda(), spec)
    assert_near([actual], [ops.triplane(coords, planes, spec)], TOLERANCE[torch.float32])


@layouts
def test_coordinates_outside_and_nan_are_clamped_as_on_the_cpu(layout):
    spec = ops.PlaneSpec("sum", *layout)
    _, planes = make_case(2, spec, dtype=torch.float32)
    nan, inf = float("nan"), float("inf")
    edges = torch.tensor(list(itertools.product([0.0, 1.0, -3.0, 7.0, nan, inf, -inf], repeat=2)))
    actual = ops.triplane(edges.cuda(), planes.cuda(), spec)
    assert_near([actual], [ops.triplane(edges, planes, spec)], TOLERANCE[torch.float32])


@dims
@combines
def test_second_derivatives(dim, combine):
    spec = ops.PlaneSpec(combine)
    inputs = make_case(dim, spec, channels=1, count=2, resolution=3)
    leaves = [t.cuda().requires_grad_() for t in inputs]
    for check, function in (
        (torch.autograd.gradcheck, ops.triplane),
        (torch.autograd.gradgradcheck, ops.triplane),
        (torch.autograd.gradcheck, ops.triplane_with_grad),
    ):
        assert check(lambda c, t, f=function: f(c, t, spec), leaves, nondet_tol=1e-9)
