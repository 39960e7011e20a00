"""The MLP on a GPU against the CPU's, in every arithmetic."""

import pytest
import torch
from devices import MLP_TOLERANCE, NEEDS_CUDA, assert_near, precisions, with_gradients
from test_ops_mlp import make_case

from fields import ops

pytestmark = NEEDS_CUDA


def check_mlp(spec, tolerance, **case):
    x, params, _ = make_case(spec, **case)
    actual, expected = (
        with_gradients(lambda x, p: ops.mlp(x, p, spec), (x, params), *place)
        for place in (("cuda", torch.float32), ("cpu", torch.float64))
    )
    assert_near(actual, expected, tolerance)


@pytest.mark.parametrize("width", [5, 32, 48, 64, 100, 128, 200])
@pytest.mark.parametrize("depth", [0, 1, 2, 4])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("activation", ["relu", "sine"])
def test_the_mlp_and_its_gradients_equal_the_cpus(width, depth, bias, activation):
    spec = ops.MlpSpec(width, depth, 3, bias, activation)
    check_mlp(spec, MLP_TOLERANCE["float32"], inputs=32, count=300)


@pytest.mark.parametrize("width", [32, 64, 128])
@pytest.mark.parametrize("depth", [0, 2, 5])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_near(width, depth, precision):
    """Smooth activations: a relu that flips near zero is no error of the arithmetic."""
    spec = ops.MlpSpec(width, depth, 3, True, "sine", precision=precision)
    check_mlp(spec, MLP_TOLERANCE[precision], inputs=32, count=1000)


@pytest.mark.parametrize("inputs", [1, 3, 16, 17, 31, 100, 256])
@pytest.mark.parametrize("channels", [1, 3, 8, 17, 40])
@precisions
def test_any_number_of_inputs_and_channels(inputs, channels, precision):
    spec = ops.MlpSpec(64, 2, channels, True, "sine", precision=precision)
    check_mlp(spec, MLP_TOLERANCE[precision], inputs=inputs, count=130)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 127, 128, 129, 1000, 70_001])
@precisions
def test_any_number_of_samples(count, precision):
    spec = ops.MlpSpec(32, 2, 3, False, "sine", precision=precision)
    check_mlp(spec, MLP_TOLERANCE[precision], inputs=20, count=count)


@pytest.mark.parametrize("output", list(ops.ACTIVATIONS))
@precisions
def test_output_activations(output, precision):
    spec = ops.MlpSpec(64, 1, 4, True, "sine", output, precision)
    check_mlp(spec, MLP_TOLERANCE[precision], inputs=16, count=200)


@pytest.mark.parametrize("activation", ["none", "sigmoid", "softplus", "exp"])
def test_every_activation_serves_in_hidden_layers(activation):
    depth = 1 if activation == "exp" else 2  # twice is more than a float holds
    check_mlp(ops.MlpSpec(48, depth, 3, True, activation), MLP_TOLERANCE["float32"], count=200)


@precisions
def test_networks_too_deep_for_shared_memory(precision):
    spec = ops.MlpSpec(128, 24, 3, False, "sine", precision=precision)
    check_mlp(spec, 3 * MLP_TOLERANCE[precision], inputs=32, count=200)


def test_the_mlps_gradients_pass_gradcheck():
    spec = ops.MlpSpec(32, 2, 3, True, "sine")
    x, params, _ = make_case(spec, torch.float64, inputs=6, count=7)
    leaves = [t.cuda().requires_grad_() for t in (x, params)]
    assert torch.autograd.gradcheck(lambda x, p: ops.mlp(x, p, spec), leaves, fast_mode=True)


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_fp16_gradients_neither_vanish_nor_overflow(size):
    spec = ops.MlpSpec(64, 2, 3, False, "sine", precision="fp16")
    x, params, grad = (t.float().cuda() for t in make_case(spec, count=500))
    call = (x, params, *spec.args())
    plain = torch.ops.fields.mlp_backward(grad, *call)
    scaled = torch.ops.fields.mlp_backward(grad * size, *call)
    assert_near([s / size for s in scaled], [p.cpu() for p in plain], 2e-3)


@precisions
def test_gradients_of_the_mlp_have_the_same_bits_every_time(precision):
    spec = ops.MlpSpec(64, 2, 3, True, precision=precision)
    x, params, grad = (t.float().cuda() for t in make_case(spec, inputs=32, count=40_000))
    first, again = (torch.ops.fields.mlp_backward(grad, x, params, *spec.args()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
