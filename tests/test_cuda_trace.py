"""Rays walked to a surface on a GPU against the CPU's: the same places, but for rays along it."""

import copy

import pytest
import torch
from devices import NEEDS_CUDA
from traced import fitted, picture, ring

from fields import ops

pytestmark = NEEDS_CUDA


@pytest.mark.parametrize("model", ["hashgrid", "rbf"])
@pytest.mark.parametrize("offset", [0.0, 0.01])
def test_rays_meet_the_surface_where_the_cpus_do(model, offset):
    field, spec = fitted(ring, model), ops.TraceSpec(offset=offset)
    origins, directions = picture()
    t, normals = field.trace(origins, directions, spec)
    there = copy.deepcopy(field).cuda().trace(origins.cuda(), directions.cuda(), spec, width=48)
    found, facing = (tensor.cpu() for tensor in there)
    both = t.isfinite() & found.isfinite()
    assert (t.isfinite() == found.isfinite()).float().mean() > 0.99
    assert ((t - found)[both].abs() < 2e-3).float().mean() > 0.99
    assert facing.shape == normals.shape
    if offset:
        assert ((facing - normals)[both].norm(dim=1) < 0.02).float().mean() > 0.99
        assert not facing[found.isinf()].any()


def test_no_rays_and_a_cancelled_walk():
    field, spec = fitted(ring, steps=1).cuda(), ops.TraceSpec()
    origins, directions = (rays.cuda() for rays in picture())
    t, normals = field.trace(origins, directions[:0], spec)
    assert t.shape == (0,) and normals.shape == (0, 3)
    cancel = torch.ones(1, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="cancelled"):
        field.trace(origins, directions, spec, cancel=cancel)
