"""Marching, compositing, occupancy and rays on a GPU against the CPU's: the same numbers."""

import pytest
import torch
from devices import NEEDS_CUDA, assert_near, dtypes
from test_ops_composite import make_case, unit_vectors
from test_ops_composite import with_gradients as composited
from test_ops_march import SPECS, bits_of, clouds, make_rays
from test_ops_sample_rays import make_scene, make_tiles

from fields import ops
from fields.occupancy import Occupancy

pytestmark = NEEDS_CUDA


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_samples_are_the_cpus(spec, count):
    """But for places within rounding of a face, which may be on its other side."""
    bits = bits_of(torch.from_numpy(clouds(spec.resolution)))
    rays = make_rays(count)
    expected = ops.march_rays(*rays, bits, spec, seed=1, step=2)
    actual = ops.march_rays(*(r.cuda() for r in rays), bits.cuda(), spec, seed=1, step=2)
    counts = [x[4].cpu().diff() for x in (actual, expected)]
    same = counts[0] == counts[1]
    assert same.float().mean() > 0.98 or count < 100
    kept = [same[x[3].cpu().long()] for x in (actual, expected)]
    for a, b in zip(actual[:3], expected[:3], strict=True):
        a, b = a.cpu()[kept[0]], b[kept[1]]
        assert ((a - b).abs().flatten(1 if a.dim() > 1 else 0) < 1e-4).float().mean() > 0.999


@pytest.mark.parametrize(("n", "cascades"), [(4, 1), (16, 3), (128, 1)])
def test_occupancy_is_the_cpus(n, cascades):
    generator = torch.Generator().manual_seed(n)
    density = torch.rand(cascades, n, n, n, generator=generator) ** 8
    density[density < 1e-4] = -1
    cells = torch.randperm(density.numel(), generator=generator)[:50]
    values = torch.rand(50, generator=generator)
    on_gpu = density.cuda()
    for threshold in (0.3, 1e9):
        arguments = {"decay": 0.5, "threshold": threshold}
        expected = ops.occupancy_update(density, cells, values, **arguments)
        actual = ops.occupancy_update(on_gpu, cells.cuda(), values.cuda(), **arguments)
        assert torch.equal(on_gpu.cpu(), density) and torch.equal(actual.cpu(), expected)


def test_occupancy_follows_a_field_on_the_gpu():
    occupancy = Occupancy(16).cuda()
    for step in range(3):
        occupancy.update(lambda c: 20 * ((c - 0.5).norm(dim=1) < 0.3).float(), seed=0, step=step)
    assert occupancy.bits.device.type == "cuda" and 0 < occupancy.occupied < 0.3


@dtypes
@pytest.mark.parametrize("rays", [0, 1, 300])
def test_sums_and_gradients_are_the_cpus(rays, dtype):
    case = make_case(rays, dtype=dtype) if rays else (*torch.zeros(4, 0, dtype=dtype),)
    if not rays:
        case = (case[0], torch.zeros(0, 3, dtype=dtype), *case[2:], torch.zeros(1).long())
    tolerance = 2e-6 if dtype == torch.float32 else 1e-13
    assert_near(
        composited(ops.composite, *(x.cuda() for x in case)),
        composited(ops.composite, *case),
        tolerance,
    )


@dtypes
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_harmonics_are_the_cpus(degree, dtype):
    def both(device):
        directions = unit_vectors(1000, dtype).to(device).requires_grad_()
        values = ops.spherical_harmonics(directions, degree)
        weights = torch.linspace(-1, 1, values.numel()).view_as(values).to(values)
        return values, torch.autograd.grad((values * weights).sum(), directions)[0]

    assert_near(both("cuda"), both("cpu"), 1e-6 if dtype == torch.float32 else 1e-14)


@pytest.mark.parametrize("background", [None, (1.0, 0.0, 0.5)])
def test_rays_are_the_cpus(background):
    scene = make_scene(10, 50, 60)
    expected = ops.sample_rays(*scene, 5000, 1, 2, background=background)
    actual = ops.sample_rays(*(x.cuda() for x in scene), 5000, 1, 2, background=background)
    assert torch.equal(actual[4].cpu(), expected[4])
    assert_near(actual[:4], expected[:4], 1e-6)


def test_rays_of_tiles_are_the_cpus():
    scene, tiles = make_scene(), make_tiles()
    expected = ops.sample_rays(*scene, 5000, 1, 2, tiles=tiles)
    there = ops.Tiles(tiles.side, tiles.upto.cuda())
    actual = ops.sample_rays(*(x.cuda() for x in scene), 5000, 1, 2, tiles=there)
    assert torch.equal(actual[4].cpu(), expected[4])
    assert_near(actual[:4], expected[:4], 1e-6)
