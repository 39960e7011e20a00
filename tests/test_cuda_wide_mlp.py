"""Layers of sines with a frequency, the MLP's training step and Fourier features on a GPU, against
the CPU's."""

import pytest
import torch
from test_ops_mlp import make_case

from fields import ops

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        not (torch.cuda.is_available() and ops.ACTIVE.cuda), reason="no GPU, or no CUDA kernels"
    ),
]
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])


def with_gradients(function, inputs, device):
    """The values, then the gradients of their weighted sum by every input."""
    leaves = [t.detach().to(device).clone().requires_grad_() for t in inputs]
    values = function(*leaves)
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(5)).to(values)
    return [values, *torch.autograd.grad(values, leaves, weights)]


def assert_near(actual, expected, tolerance):
    for a, b in zip(actual, expected, strict=True):
        assert a.device.type == "cuda"
        a, b = a.detach().cpu().double(), b.detach().double()
        assert (a - b).norm() <= tolerance * b.norm()


@pytest.mark.parametrize("activation", ["sine", "finer"])
@pytest.mark.parametrize("width", [32, 256])
@dtypes
def test_sines_with_a_frequency_equal_the_cpus(activation, width, dtype):
    spec = ops.MlpSpec(width, 2, 3, True, activation, first_omega=7.0, omega=3.0)
    x, params, _ = make_case(spec, dtype, inputs=2, count=200)
    actual, expected = (
        with_gradients(lambda x, p: ops.mlp(x, p, spec), (x, params / 4), device)
        for device in ("cuda", "cpu")
    )
    assert_near(actual, expected, 1e-4 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("loss", list(ops.LOSSES))
@pytest.mark.parametrize(
    "spec",
    [
        ops.MlpSpec(256, 3, 3, True, "sine", first_omega=30.0, omega=3.0),
        ops.MlpSpec(64, 2, 3, True),
    ],
    ids=["layered", "fused"],
)
def test_the_training_step_equals_the_cpus(spec, loss):
    x, params, targets = make_case(spec, torch.float32, inputs=4, count=1000)
    start, results = params / 4, {}
    for device in ("cpu", "cuda"):
        state = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
        state = tuple(t.to(device) for t in state)
        batch = x.to(device), targets.to(device)
        losses = [
            ops.mlp_step(*batch, state, spec, step=step, lr=1e-3, loss=loss) for step in (1, 2, 3)
        ]
        results[device] = [torch.cat(losses), state[0] - start.to(device)]
    assert_near(results["cuda"], results["cpu"], 1e-2)


@dtypes
def test_fourier_features_and_their_gradient_equal_the_cpus(dtype):
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(300, 3, generator=generator).to(dtype) * 2 - 1
    frequencies = 10 * torch.randn(33, 3, generator=generator).to(dtype)
    actual, expected = (
        with_gradients(lambda x: ops.fourier(x, frequencies.to(x)), (coords,), device)
        for device in ("cuda", "cpu")
    )
    assert_near(actual, expected, 1e-5 if dtype == torch.float32 else 1e-12)
