"""Training steps, Adam and samples on a GPU against the CPU's."""

import pytest
import torch
from devices import NEEDS_CUDA, assert_near, dims, error, feature_counts
from test_ops_mlp import GRID, make_field
from test_ops_step import Fused

from fields import ops

pytestmark = NEEDS_CUDA


def both_devices(spec, grid=GRID, dim=2, features=2, count=1000):
    coords, table, params, targets = make_field(
        spec, torch.float32, dim, features, count=count, grid=grid
    )
    return [
        (Fused(table.to(device), params.to(device), spec, grid, dim), coords.to(device),
         targets.to(device))
        for device in ("cuda", "cpu")
    ]  # fmt: skip


def assert_steps_agree(pair, tolerance, steps=5, **settings):
    (a, *batch_a), (b, *batch_b) = pair
    before = [t.clone() for t in (*b.table_state, *b.params_state)]
    for _ in range(steps):
        loss, expected = a.step(*batch_a, **settings), b.step(*batch_b, **settings)
        assert loss.device.type == "cuda" and loss.shape == (1,)
        assert loss.item() == pytest.approx(expected.item(), rel=max(1e-4, tolerance))
    assert not a.workspace.any()
    states = (*a.table_state, *a.params_state), (*b.table_state, *b.params_state)
    for actual, wanted, start in zip(*states, before, strict=True):
        assert error(actual - start.cuda(), wanted - start) < tolerance


@pytest.mark.parametrize("loss", list(ops.LOSSES))
@pytest.mark.parametrize("touched_only", [False, True], ids=["dense", "touched"])
@pytest.mark.parametrize(("width", "bias"), [(32, True), (64, False), (128, False), (160, True)])
def test_a_training_step_equals_the_cpus(loss, touched_only, width, bias):
    spec = ops.MlpSpec(width, 2, 3, bias)
    # A large eps makes the update nearly linear in the gradient: it can be compared closely.
    settings = {"loss": loss, "touched_only": touched_only, "weight_decay": 1e-2, "eps": 1e-3}
    assert_steps_agree(both_devices(spec), 2e-2 if loss in ("l1", "relative") else 1e-3, **settings)


@dims
@feature_counts
def test_a_training_step_on_every_grid(dim, features):
    grid = ops.GridSpec(4, 4, 1.7, 8, True)
    pair = both_devices(ops.MlpSpec(32, 1, 2), grid, dim, features, 333)
    assert_steps_agree(pair, 1e-3, eps=1e-3)


@pytest.mark.parametrize("count", [1, 127, 129, 20_001])
@pytest.mark.parametrize("depth", [0, 3])
def test_a_training_step_takes_any_number_of_samples(count, depth):
    pair = both_devices(ops.MlpSpec(64, depth, 3, True, "sine"), count=count)
    assert_steps_agree(pair, 1e-3, eps=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_step_in_half_precision_goes_the_same_way(precision):
    exact, spec = ops.MlpSpec(64, 2, 3), ops.MlpSpec(64, 2, 3, precision=precision)
    coords, table, params, targets = (t.cuda() for t in make_field(spec, torch.float32, count=2000))
    a, b = Fused(table, params, exact), Fused(table, params, spec)
    for _ in range(20):
        loss_a, loss_b = a.step(coords, targets), b.step(coords, targets)
    assert loss_b.item() == pytest.approx(loss_a.item(), rel=0.05)


def test_a_nan_in_the_targets_reaches_the_loss():
    spec = ops.MlpSpec(32, 1, 3)
    coords, table, params, targets = (t.cuda() for t in make_field(spec, torch.float32))
    targets[3, 1] = float("nan")
    for loss in ("l2", "l1"):
        assert Fused(table, params, spec).step(coords, targets, loss=loss).isnan().all()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 77, 100_001])
@pytest.mark.parametrize("touched_only", [False, True])
@pytest.mark.parametrize("offset", [0, 1])
def test_adam_equals_the_cpus(count, touched_only, offset):
    generator = torch.Generator().manual_seed(count)
    cpu = [torch.randn(count + offset, generator=generator).abs() for _ in range(4)]
    cpu[1] *= (torch.arange(count + offset) % 3 != 0).float()
    gpu = [t.cuda()[offset:] for t in cpu]
    cpu = [t[offset:] for t in cpu]
    for step in range(1, 4):
        for tensors in (cpu, gpu):
            ops.adam_step(
                *tensors, step=step, lr=1e-2, weight_decay=1e-2, touched_only=touched_only
            )
    assert_near(gpu, cpu, 1e-6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("shape", [(512, 300, 3), (1, 4096, 1), (1, 1, 4), (3000, 2000, 3)])
def test_sampled_pixels_are_the_cpus_bit_by_bit(dtype, shape):
    generator = torch.Generator().manual_seed(0)
    if dtype == torch.float32:
        pixels = torch.randn(shape, generator=generator)
    else:
        pixels = torch.randint(0, 255, shape, generator=generator).to(dtype)
    for seed, step, count in ((0, 1, 1000), (7, 12345, 70_001)):
        actual = ops.sample_pixels(pixels.cuda(), count, seed, step)
        expected = ops.sample_pixels(pixels, count, seed, step)
        assert all(torch.equal(a.cpu(), b) for a, b in zip(actual, expected, strict=True))
