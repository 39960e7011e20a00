"""HashGrid, the encodings and MLP behave as torch modules do: copied, cast, compiled, forked."""

import copy
import io
import math
import os
import pickle
import signal
import time
import warnings

import pytest
import torch
from torch import nn

import fields

GRID = {"num_levels": 4, "log2_table_size": 8, "base_resolution": 4, "growth": 1.6}


def hash_grid(seed=0, **settings):
    return fields.HashGrid(3, **GRID, width=32, seed=seed, **settings)


def encoding(seed=0):
    return fields.HashGridEncoding(**GRID, seed=seed)


def planes(seed=0):
    return fields.TriPlaneEncoding(2, resolution=8, channels=4, seed=seed)


def mlp(seed=0):
    return fields.MLP(2, 3, width=32, bias=True, seed=seed)


MAKERS = [hash_grid, encoding, planes, mlp]
each = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def trained(make, seed=0):
    """A module whose table is of order one, as after a fit: outputs are of order one too."""
    module = make(seed)
    if hasattr(module, "table"):
        module.table.data.mul_(1e4)
    return module


def points(*shape, seed=1):
    return torch.rand(*shape, 2, generator=torch.Generator().manual_seed(seed))


def squared_grads(module, output):
    """Gradients of the mean square of an output by the parameters."""
    return torch.autograd.grad(output.square().mean(), list(module.parameters()))


# ---- copies


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


# ---- inputs


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


# ---- number types


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


# ---- training


@pytest.mark.parametrize(
    "make",
    [hash_grid, mlp, lambda: nn.Sequential(encoding(), fields.MLP(8, 3, width=32))],
    ids=["hash_grid", "mlp", "encoding"],
)
def test_a_loop_with_fused_adam_lowers_the_loss(make):
    model, x = make(), points(500)
    target = torch.stack([x[:, 0], x[:, 1], x[:, 0] * x[:, 1]], -1)
    adam = torch.optim.Adam(model.parameters(), lr=1e-2, fused=True)
    losses = []
    for _ in range(60):
        adam.zero_grad()
        loss = nn.functional.mse_loss(model(x), target)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10


def test_hash_grid_overfits_eight_pixels():
    model, x = hash_grid(), points(8)
    target = torch.rand(8, 3, generator=torch.Generator().manual_seed(2))
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(300):
        adam.zero_grad()
        loss = nn.functional.mse_loss(model(x), target)
        loss.backward()
        adam.step()
    assert nn.functional.mse_loss(model(x), target) < 1e-4


@each
def test_a_step_under_ddp_is_the_plain_step(make, tmp_path, monkeypatch):
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    plain, x = trained(make), points(100)
    module = copy.deepcopy(plain)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        for model in (plain, nn.parallel.DistributedDataParallel(module)):
            sgd = torch.optim.SGD(model.parameters(), lr=0.1)
            model(x).square().mean().backward()
            sgd.step()
    finally:
        torch.distributed.destroy_process_group()
    for stepped, expected, start in zip(
        module.parameters(), plain.parameters(), trained(make).parameters(), strict=True
    ):
        assert torch.equal(stepped, expected)
        assert not torch.equal(stepped, start)


# ---- initial values


@pytest.mark.parametrize("make", [hash_grid, encoding], ids=lambda make: make.__name__)
def test_tables_start_within_a_ten_thousandth(make):
    table = make().table
    assert 0.9e-4 < table.abs().max() <= 1e-4
    assert abs(table.mean()) < 1e-5


@pytest.mark.parametrize("activation", ["relu", "sine"])
def test_weights_start_with_the_variance_of_their_source(activation):
    inputs, width = 64, 128
    model = fields.MLP(inputs, 64, width=width, bias=True, activation=activation)
    # A uniform distribution within b has variance b^2 / 3.
    expected = {
        "relu": [2 / inputs, 2 / width, 1 / width],
        "sine": [1 / inputs**2 / 3, 2 / width, 2 / width],
    }[activation]
    for (weight, bias), variance in zip(model.layers(), expected, strict=True):
        assert weight.var().item() == pytest.approx(variance, rel=0.1)
        assert weight.abs().max().item() <= math.sqrt(3 * variance) * (1 + 1e-6)
        assert bias is not None and not bias.any()


@each
def test_the_seed_determines_the_weights_and_nothing_else_does(make):
    torch.manual_seed(0)
    first = torch.cat([p.flatten() for p in make(seed=3).parameters()])
    torch.manual_seed(1)
    state = torch.get_rng_state()
    again = torch.cat([p.flatten() for p in make(seed=3).parameters()])
    assert torch.equal(torch.get_rng_state(), state)
    other = torch.cat([p.flatten() for p in make(seed=4).parameters()])
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# ---- cancelling


def test_a_set_flag_cancels_the_forward():
    model, x = trained(hash_grid), points(1000)
    flag = torch.zeros(1, dtype=torch.uint8)
    assert torch.equal(model(x, cancel=flag), model(x))
    flag.fill_(1)
    with pytest.raises(RuntimeError, match="cancelled"):
        model(x, cancel=flag)
    assert model(x).isfinite().all()


# ---- other processes

MANY = 20_000  # points, enough for every thread to get some
LIMIT = 30.0  # seconds; far more than a child needs, so passing it means a hang


def use_all_threads(module):
    """Values at MANY points after a forward and a backward that started the pool of threads."""
    values = module(points(MANY))
    squared_grads(module, values)
    return values.detach()


def exit_code(child):
    """Exit code of a child; kills it and fails where it takes longer than LIMIT."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail(f"the child hung for {LIMIT} seconds")


@each
def test_a_forked_child_evaluates_the_same_bits(make):
    module = trained(make)
    expected = use_all_threads(module)
    with warnings.catch_warnings():
        # Python 3.12 warns of every fork of a process with threads: that is what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 2
        try:
            with torch.no_grad():
                code = 0 if torch.equal(module(points(MANY)), expected) else 3
        finally:
            os._exit(code)
    assert exit_code(child) == 0
    assert torch.equal(module(points(MANY)), expected)


class Evaluated(torch.utils.data.Dataset):
    """Values of a module at the points of a seed, computed where the item is asked for."""

    def __init__(self, module):
        self.module = module

    def __len__(self):
        return 8

    def __getitem__(self, index):
        with torch.no_grad():
            return self.module(points(2000, seed=index))


@each
# Python 3.12 warns of forks of a process with threads, torch of more workers than processors.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_four_forked_workers_evaluate_the_same_bits(make):
    module = trained(make)
    use_all_threads(module)
    loader = torch.utils.data.DataLoader(
        Evaluated(module),
        batch_size=None,
        num_workers=4,
        multiprocessing_context="fork",
        timeout=LIMIT,
    )
    values = list(loader)
    assert len(values) == 8
    for index, value in enumerate(values):
        assert torch.equal(value, module(points(2000, seed=index)))


# ---- torch.compile


@each
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's compiler, of itself
def test_compiled_in_one_graph_it_equals_eager(make):
    module, x = trained(make), points(5, 20)
    compiled = torch.compile(module, fullgraph=True)
    values, expected = compiled(x), module(x)
    torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-7)
    pairs = zip(squared_grads(module, values), squared_grads(module, expected), strict=True)
    for grad, expected_grad in pairs:
        assert expected_grad.any()
        torch.testing.assert_close(grad, expected_grad, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    "module",
    [fields.HashGrid(3), fields.HashGridEncoding(2), fields.TriPlaneEncoding(2), fields.MLP(2, 3)],
    ids=["field", "encoding", "planes", "mlp"],
)
def test_a_wrong_last_dimension_is_refused_in_one_line(module):
    for wrong in (torch.rand(2, 3), torch.tensor(1.0)):
        with pytest.raises(ValueError, match=r"must be \[\.\.\., 2\], got"):
            module(wrong)


def test_the_encoding_takes_half_precision_coordinates():
    encoding = fields.HashGridEncoding(2)
    coords = torch.tensor([[0.25, 0.5]])
    assert torch.equal(encoding(coords.bfloat16()), encoding(coords))
