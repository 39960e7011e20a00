"""Modules in double, half and under autocast."""

import copy

import pytest
import torch
from modules import each, hash_grid, mlp, points, squared_grads, trained
from torch import nn

import fields


@each
def test_double_agrees_with_float32(make):
    module, x = trained(make), points(200)
    double = copy.deepcopy(module).double()
    values, exact = module(x), double(x.double())
    assert exact.dtype == torch.float64
    torch.testing.assert_close(values.double(), exact, rtol=1e-4, atol=1e-5)
    pairs = zip(squared_grads(module, values), squared_grads(double, exact), strict=True)
    for grad, exact_grad in pairs:
        torch.testing.assert_close(grad.double(), exact_grad, rtol=1e-3, atol=1e-5)


@each
def test_double_input_to_a_float32_module_is_refused(make):
    with pytest.raises(ValueError, match=r"is torch.float64 but .* is torch.float32; convert one"):
        make()(points(4).double())


@each
def test_autocast_leaves_float32_arithmetic_as_it_is(make):
    module, x = trained(make), points(100)
    plain = module(x)
    with torch.autocast("cpu", torch.bfloat16):
        values = module(x)
    assert values.dtype == torch.float32
    assert torch.equal(values, plain)
    for a, b in zip(squared_grads(module, values), squared_grads(module, plain), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("make", [hash_grid, mlp], ids=lambda make: make.__name__)
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_half_input_is_cast_up(make, half):
    module, x = trained(make), points(100).to(half).requires_grad_()
    values = module(x)
    assert values.dtype == torch.float32
    assert torch.equal(values, module(x.float()))
    values.sum().backward()
    assert x.grad is not None and x.grad.dtype == half and x.grad.isfinite().all()


@pytest.mark.parametrize("make", [hash_grid, mlp], ids=lambda make: make.__name__)
def test_under_autocast_a_module_stands_behind_a_linear_layer(make):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), trained(make))
    with torch.autocast("cpu", torch.bfloat16):
        assert model[0](points(4)).dtype == torch.bfloat16
        values = model(points(100))
        loss = values.square().mean()
    assert values.dtype == torch.float32
    loss.backward()
    for parameter in model.parameters():
        assert parameter.grad is not None and parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()


def test_the_encoding_takes_half_precision_coordinates():
    encoding = fields.HashGridEncoding(2)
    coords = torch.tensor([[0.25, 0.5]])
    assert torch.equal(encoding(coords.bfloat16()), encoding(coords))
