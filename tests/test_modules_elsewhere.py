"""Modules in other processes and compiled: the same values."""

import os
import signal
import time
import warnings

import pytest
import torch
from modules import each, points, squared_grads, trained

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
