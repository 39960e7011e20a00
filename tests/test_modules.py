"""Modules take any input that torch's do, and copy as they do."""

import copy
import io
import pickle

import pytest
import torch
from modules import each, hash_grid, points, trained

import fields


def by_deepcopy(module, make):
    return copy.deepcopy(module)


def by_pickle(module, make):
    return pickle.loads(pickle.dumps(module))


def by_state_dict(module, make):
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = make(seed=5)
    other.load_state_dict(torch.load(file, weights_only=True))
    return other


@each
@pytest.mark.parametrize("duplicate", [by_deepcopy, by_pickle, by_state_dict])
def test_a_copy_gives_the_same_bits_and_has_parameters_of_its_own(make, duplicate):
    module, x = trained(make), points(100)
    before = module(x)
    other = duplicate(module, make)
    assert torch.equal(other(x), before)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    assert not torch.equal(other(x), before)
    assert torch.equal(module(x), before)


@each
def test_leading_dimensions_are_kept(make):
    module, x = trained(make), points(3, 4, 5)
    rows = module(x.reshape(-1, 2))
    assert module(x).shape == (3, 4, 5, rows.shape[-1])
    assert torch.equal(module(x), rows.reshape(3, 4, 5, -1))
    assert module(x[0, 0, 0]).shape == rows.shape[-1:]
    assert torch.equal(module(x[0, 0, 0]), rows[0])


@each
@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_no_points_give_no_values_and_zero_gradients(make, shape):
    module = trained(make)
    x = points(*shape).requires_grad_()
    values = module(x)
    assert values.shape == (*shape, module(points(1)).shape[-1])
    values.sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape
    for parameter in module.parameters():
        assert parameter.grad is not None and not parameter.grad.any()


@each
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.flip(-1),
        lambda x: x[::3],
        lambda x: x.t().contiguous().t(),
        lambda x: x[:1].expand(40, 2),
        lambda x: x[:, :1].expand(-1, 2),
        lambda x: x.reshape(4, -1, 2).transpose(0, 1),
    ],
    ids=["flipped", "every third", "columns first", "one row", "one column", "transposed"],
)
def test_strides_of_the_input_do_not_matter(make, view):
    module, x = trained(make), points(60)
    results = []
    for lay in (view, lambda x: view(x).clone(memory_format=torch.contiguous_format)):
        leaf = x.clone().requires_grad_()
        values = module(lay(leaf))
        (grad,) = torch.autograd.grad(values.square().sum(), leaf)
        results.append((values, grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@each
def test_an_expanded_gradient_is_taken_as_its_copy(make):
    module, x = trained(make), points(60)
    values = module(x)
    ones = torch.ones(()).expand_as(values)
    expanded = torch.autograd.grad(values, list(module.parameters()), ones, retain_graph=True)
    copied = torch.autograd.grad(values, list(module.parameters()), ones.contiguous())
    for a, b in zip(expanded, copied, strict=True):
        assert torch.equal(a, b)


def test_a_set_flag_cancels_the_forward():
    model, x = trained(hash_grid), points(1000)
    flag = torch.zeros(1, dtype=torch.uint8)
    assert torch.equal(model(x, cancel=flag), model(x))
    flag.fill_(1)
    with pytest.raises(RuntimeError, match="cancelled"):
        model(x, cancel=flag)
    assert model(x).isfinite().all()


@pytest.mark.parametrize(
    "module",
    [fields.HashGrid(3), fields.HashGridEncoding(2), fields.TriPlaneEncoding(2), fields.MLP(2, 3)],
    ids=["field", "encoding", "planes", "mlp"],
)
def test_a_wrong_last_dimension_is_refused_in_one_line(module):
    for wrong in (torch.rand(2, 3), torch.tensor(1.0)):
        with pytest.raises(ValueError, match=r"must be \[\.\.\., 2\], got"):
            module(wrong)
