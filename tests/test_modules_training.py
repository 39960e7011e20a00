"""Modules start as their sources say, and train in any loop."""

import copy
import math
import time

import pytest
import torch
from modules import each, encoding, hash_grid, mlp, points, trained
from torch import nn

import fields


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
        # The group joins its threads while it holds Python's lock, which one of them may still need
        # to let go of the last reduction: they are given the time for it first.
        time.sleep(0.5)
        torch.distributed.destroy_process_group()
    for stepped, expected, start in zip(
        module.parameters(), plain.parameters(), trained(make).parameters(), strict=True
    ):
        assert torch.equal(stepped, expected)
        assert not torch.equal(stepped, start)


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
