"""What tests of CUDA kernels share: cases on both devices, and how near their numbers must be."""

import pytest
import torch

from fields import ops

NEEDS_CUDA = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        not (torch.cuda.is_available() and ops.ACTIVE.cuda), reason="no GPU, or no CUDA kernels"
    ),
]


# Norm of the difference over the norm. Float32 is the CPU's float32 but for the order of its sums;
# the MLP's is three TF32 products on tensor cores.
GRID_TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-13}


MLP_TOLERANCE = {"float32": 1e-5, "bf16": 3e-2, "fp16": 4e-3}


dims = pytest.mark.parametrize("dim", [1, 2, 3, 4])


feature_counts = pytest.mark.parametrize("features", [1, 2, 4, 8])


dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])


precisions = pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])


def error(actual, expected):
    """Norm of the difference, relative."""
    assert actual.shape == expected.shape and actual.device.type == "cuda"
    actual, expected = actual.detach().cpu().double(), expected.detach().double()
    if not expected.numel():
        return 0.0
    return ((actual - expected).norm() / (expected.norm() + 1e-300)).item()


def assert_near(actual, expected, tolerance):
    errors = [error(a, b) for a, b in zip(actual, expected, strict=True)]
    assert max(errors) <= tolerance, errors


def with_gradients(function, inputs, device, dtype=None):
    """All outputs, then the gradients of their sum with fixed weights by every input."""
    leaves = [t.detach().to(device, dtype).clone().requires_grad_() for t in inputs]
    outputs = function(*leaves)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(5)
    weights = [torch.randn(o.shape, generator=generator).to(o) for o in outputs]
    return [*outputs, *torch.autograd.grad(outputs, leaves, weights)]
