"""Many small fields on a GPU against the CPU: values, and the first step of a fit."""

import pytest
import torch
from devices import NEEDS_CUDA, assert_near
from test_ops_plane_fields import SETTINGS, make_fields, make_pool, spec_of

from fields import ops

pytestmark = NEEDS_CUDA


def fitted(device, samples, keys, planes, params, spec, **settings):
    states = [
        tuple(
            t.clone().to(device) for t in (start, torch.zeros_like(start), torch.zeros_like(start))
        )
        for start in (planes, params)
    ]
    losses = ops.fit_plane_fields(
        samples.to(device), keys.to(device), *states, spec, **{**SETTINGS, **settings}
    )
    return [*states[0], *states[1], losses]


@pytest.mark.parametrize("activation", ["sine", "relu"])
@pytest.mark.parametrize(("features", "octaves"), [(1, 0), (5, 3), (16, 2)])
@pytest.mark.parametrize("count", [0, 1, 32, 130, 5000])
def test_values_equal_the_cpus(activation, features, octaves, count):
    spec = spec_of(24, 2, 2, activation, octaves)
    planes, params = make_fields(spec, features=features)
    coords = torch.rand(3, count, 3, generator=torch.Generator().manual_seed(2))
    actual = ops.plane_fields(coords.cuda(), planes.cuda(), params.cuda(), spec)
    assert_near([actual], [ops.plane_fields(coords, planes, params, spec)], 1e-5)


@pytest.mark.parametrize("loss", list(ops.PLANE_FIELD_LOSSES))
@pytest.mark.parametrize("batch", [1, 33, 200])
def test_steps_equal_the_cpus(loss, batch):
    spec = spec_of()
    planes, params = make_fields(spec)
    samples, keys = make_pool(spec)
    if loss == "binary":
        samples[..., 3:] = (samples[..., 3:] > 0).float()
    # A large eps makes the update nearly linear in the gradient: it can be compared closely.
    settings = {"steps": 2, "batch": batch, "loss": loss, "eps": 1e-3}
    actual, expected = (
        fitted(device, samples, keys, planes, params, spec, **settings)
        for device in ("cuda", "cpu")
    )
    assert_near(actual, expected, 1e-3)


def test_a_fit_learns():
    spec = spec_of()
    planes, params = make_fields(spec, fields=50)
    samples, keys = make_pool(spec, fields=50)
    samples[..., 3] = (samples[..., :3] - 0.5).norm(dim=-1) - 0.3
    losses = fitted("cuda", samples, keys, planes, params, spec, steps=100, batch=256)[-1]
    assert losses.shape == (50, 100) and losses.isfinite().all()
    assert (losses[:, -10:].mean(1) < 0.5 * losses[:, :10].mean(1)).all()
