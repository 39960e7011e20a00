"""Marching through occupancy: the same samples as a walk that looks at every place."""

import math

import numpy as np
import pytest
import reference_march as reference
import torch

from fields import ops

NO_CELLS = torch.zeros(0, dtype=torch.int64)
NO_VALUES = torch.zeros(0)


def bits_of(density, threshold=0.5):
    return ops.occupancy_update(density, NO_CELLS, NO_VALUES, decay=1.0, threshold=threshold)


def full(spec, cascades=1):
    return torch.full((cascades, spec.words()), -1)


def clouds(n, cascades=1, *, seed=0, share=0.45):
    """Densities of 0 and 1: a few balls, and scattered cells."""
    rng = np.random.default_rng(seed)
    density = np.zeros((cascades, n, n, n), np.float32)
    for cascade in range(cascades):
        z, y, x = np.meshgrid(*[(np.arange(n) + 0.5) / n] * 3, indexing="ij")
        for _ in range(3):
            centre, radius = rng.random(3), 0.05 + share * rng.random()
            inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
            density[cascade][inside < radius**2] = 1
        density[cascade][rng.random((n, n, n)) < 0.002] = 1
    return density


def make_rays(count, seed=0):
    """Rays from outside and from within the cube; the first run along axes."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.rand(count, 3, generator=generator) * 4 - 1.5
    targets = torch.rand(count, 3, generator=generator)
    directions = torch.nn.functional.normalize(targets - origins, dim=1)
    for axis in range(min(3, count)):
        origins[axis] = torch.tensor([0.3, 0.4, 0.6])
        origins[axis, axis] = -1.0
        directions[axis] = torch.eye(3)[axis]
    return origins, directions


SPECS = {
    "small": ops.MarchSpec(8, 0.03),
    "usual": ops.MarchSpec(),
    "fine": ops.MarchSpec(128, 0.011),
    "ends": ops.MarchSpec(32, 0.02, near=0.4, far=2.0),
    "growing": ops.MarchSpec(32, 0.004, growth=1 / 64),
    "growing to a limit": ops.MarchSpec(16, 0.004, growth=1 / 64, largest_step=0.015),
    "contracted": ops.MarchSpec(64, 0.01, near=0.1, far=50, growth=1 / 32, contract=True),
}


def assert_same_samples(found, origins, directions, cells, spec, **start):
    coords, t, dt, rays, offsets = found
    taken, close = reference.march(
        origins.double().numpy(), directions.double().numpy(), cells, spec, **start
    )
    counts = np.bincount(rays.numpy(), minlength=len(origins))
    assert (offsets.diff().numpy() == counts).all() and offsets[0] == 0
    expected = {(ray, round(t / 1e-3)): (t, dt, x) for ray, t, dt, x, _ in taken}
    unsure = {(p[0], round(p[1] / 1e-3)) for p in close} | {
        (p[0], round(p[1] / 1e-3)) for p in taken if p[-1] < 1e-4
    }
    nearly = lambda key: {(key[0], key[1] + i) for i in (-1, 0, 1)}  # noqa: E731
    missing = set(expected)
    for i, ray in enumerate(rays.tolist()):
        key = (ray, round(t[i].item() / 1e-3))
        match = nearly(key) & set(expected)
        if not match:
            assert nearly(key) & unsure, f"sample at {t[i]} of ray {ray} should not be there"
            continue
        at, width, x = min((expected[k] for k in match), key=lambda e: abs(e[0] - t[i].item()))
        missing -= match
        assert t[i].item() == pytest.approx(at, rel=2e-5, abs=2e-5)
        assert dt[i].item() == pytest.approx(width, rel=2e-5, abs=1e-6)
        assert coords[i].numpy() == pytest.approx(x, abs=2e-5)
    assert not {key for key in missing if not nearly(key) & unsure}


@pytest.mark.kernel
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("seed", [None, 7])
def test_samples_are_those_of_a_walk_that_skips_nothing(spec, seed):
    density = clouds(spec.resolution)
    origins, directions = make_rays(24)
    found = ops.march_rays(
        origins, directions, bits_of(torch.from_numpy(density)), spec, seed=seed, step=3
    )
    assert len(found[0]) > 30
    assert_same_samples(found, origins, directions, density > 0.5, spec, seed=seed, step=3)


@pytest.mark.kernel
@pytest.mark.parametrize("growth", [0.0, 1 / 40])
def test_cascades_serve_where_they_are_fine_enough(growth):
    density = clouds(16, 4)
    spec = ops.MarchSpec(16, 0.003, growth=growth)
    origins, directions = make_rays(16)
    found = ops.march_rays(origins, directions, bits_of(torch.from_numpy(density)), spec)
    cells = reference.with_finer(density > 0.5)
    assert_same_samples(found, origins, directions, cells, spec)


@pytest.mark.kernel
@pytest.mark.parametrize("cascades", [1, 3])
def test_a_full_grid_is_dense_sampling(cascades):
    spec = ops.MarchSpec(32)
    origins, directions = make_rays(200)
    coords, t, dt, rays, offsets = ops.march_rays(origins, directions, full(spec, cascades), spec)
    low, high = ((side - origins) / directions for side in (0.0, 1.0))
    near = torch.minimum(low, high).nan_to_num(-1e9).amax(1).clamp(min=0)
    far = torch.maximum(low, high).nan_to_num(1e9).amin(1)
    crossed = (far - near).clamp(min=0)
    assert ((offsets.diff() * spec.step - crossed).abs() <= spec.step * 0.51).all()
    index = torch.arange(len(t)) - offsets[rays.long()]
    assert torch.allclose(t, near[rays.long()] + (index + 0.5) * spec.step, atol=3e-6)
    place = origins[rays.long()] + t[:, None] * directions[rays.long()]
    assert torch.allclose(coords, place, atol=1e-6)
    assert (dt == torch.tensor(spec.step)).all()


@pytest.mark.kernel
def test_an_empty_grid_and_rays_that_miss_give_no_samples():
    spec = ops.MarchSpec(16)
    origins, directions = make_rays(50)
    *_, rays, offsets = ops.march_rays(origins, directions, full(spec) * 0, spec)
    assert len(rays) == 0 and not offsets.any() and len(offsets) == 51
    away = ops.march_rays(origins + 9, directions.abs(), full(spec), spec)
    assert len(away[0]) == 0
    none = ops.march_rays(torch.zeros(0, 3), torch.zeros(0, 3), full(spec), spec)
    assert len(none[0]) == 0 and none[4].tolist() == [0]


@pytest.mark.kernel
def test_the_start_of_a_ray_is_even_and_depends_on_seed_step_and_ray_alone():
    spec = ops.MarchSpec(16, 0.1)
    origins = torch.tensor([[-1.0, 0.5, 0.5]]).repeat(4000, 1)
    directions = torch.tensor([[1.0, 0.0, 0.0]]).repeat(4000, 1)

    def starts(count=4000, **start):
        found = ops.march_rays(origins[:count], directions[:count], full(spec), spec, **start)
        return found[1][found[4][:-1]] - 1

    first = starts(seed=1, step=5)
    assert torch.equal(first[:100], starts(100, seed=1, step=5))
    assert not torch.equal(first, starts(seed=2, step=5))
    assert not torch.equal(first, starts(seed=1, step=6))
    assert first.min() >= 0 and first.max() < spec.step + 1e-6
    spread = first.sort().values - torch.linspace(0, spec.step, 4000)
    assert spread.abs().max() < 0.03 * spec.step
    assert torch.allclose(starts(), torch.tensor(0.05), atol=1e-6)


@pytest.mark.kernel
@pytest.mark.parametrize(("n", "cascades"), [(4, 1), (8, 2), (16, 1), (32, 3), (64, 1)])
def test_bits_are_the_cells_above_the_threshold(n, cascades):
    density = torch.rand(cascades, n, n, n, generator=torch.Generator().manual_seed(n)) ** 8
    density[density < 1e-4] = -1
    for threshold in (0.3, 1e9):
        _, rows = reference.bits(density.numpy(), threshold)
        found = bits_of(density.clone(), threshold).numpy().view(np.uint64)
        assert found.tolist() == rows


@pytest.mark.kernel
def test_densities_fade_and_grow_but_unseen_cells_stay_empty():
    density = torch.full((1, 8, 8, 8), 2.0)
    density[0, 0] = -1
    cells = torch.tensor([0, 100, 101, 511])
    values = torch.tensor([9.0, 0.5, 7.0, 1.9])
    bits = ops.occupancy_update(density, cells, values, decay=0.5, threshold=1.5)
    expected = torch.full((512,), 2.0)
    expected[:64] = -1
    expected[100:102] = torch.tensor([1.0, 7.0])
    expected[511] = 1.9
    assert torch.equal(density.flatten(), expected)
    assert torch.equal(bits, bits_of(density, 1.5))
    assert bin(int(bits[0, 0]) & 0xFFFF).count("1") == 0


def test_the_bits_do_not_depend_on_the_number_of_threads():
    spec = ops.MarchSpec(32)
    density = torch.from_numpy(clouds(32))
    origins, directions = make_rays(1000)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            bits = bits_of(density, 1e9)
            results.append([bits, *ops.march_rays(origins, directions, bits, spec, seed=1)])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 48}, "resolution must be one of"),
        ({"step": 0.0}, "step must be"),
        ({"step": math.nan}, "step must be"),
        ({"near": -1.0}, "near must be"),
        ({"near": 2.0, "far": 1.0}, "must be less than far"),
        ({"growth": 2.0}, "growth must be"),
        ({"largest_step": 1e-4}, "largest_step must be"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ops.MarchSpec(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"origins": torch.zeros(5)}, r"origins must be \[5, 3\]"),
        ({"origins": torch.zeros(5, 2)}, "origins must be"),
        ({"directions": torch.zeros(4, 3)}, "directions must be"),
        ({"directions": torch.zeros(5, 3).double()}, "directions must be float32"),
        ({"bits": torch.zeros(1, 7, dtype=torch.int64)}, "bits must be"),
        ({"bits": torch.zeros(1, 8)}, "bits must be"),
        ({"bits": torch.zeros(0, 8, dtype=torch.int64)}, "number of cascades"),
    ],
)
def test_rays_that_do_not_fit_are_refused(change, message):
    spec = ops.MarchSpec(8)
    given = {"origins": torch.zeros(5, 3), "directions": torch.ones(5, 3), "bits": full(spec)}
    given |= change
    with pytest.raises(ValueError, match=message):
        ops.march_rays(**given, spec=spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": torch.zeros(8, 8, 8)}, "density must be"),
        ({"density": torch.zeros(1, 6, 6, 6)}, "power of two"),
        ({"density": torch.zeros(1, 8, 8, 4)}, "density must be"),
        ({"density": torch.zeros(1, 8, 8, 8).double()}, "density"),
        ({"cells": torch.zeros(2)}, "cells must be"),
        ({"values": torch.zeros(3)}, "values must be"),
        ({"decay": 1.5}, "decay must be"),
        ({"threshold": -1.0}, "threshold must be"),
    ],
)
def test_an_update_that_does_not_fit_is_refused(change, message):
    given = {
        "density": torch.zeros(1, 8, 8, 8),
        "cells": torch.zeros(2, dtype=torch.int64),
        "values": torch.zeros(2),
        "decay": 0.9,
        "threshold": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        ops.occupancy_update(**given | change)


def test_a_cell_out_of_range_is_refused():
    with pytest.raises(RuntimeError, match="out of range"):
        ops.occupancy_update(
            torch.zeros(1, 8, 8, 8), torch.tensor([512]), torch.ones(1), decay=1.0, threshold=1.0
        )


def test_opcheck():
    namespace = torch.ops.fields
    spec = ops.MarchSpec(8)
    origins, directions = make_rays(9)
    torch.library.opcheck(
        namespace.march_rays.default, (origins, directions, full(spec), *spec.args(), True, 1, 2)
    )
    density, cells = torch.rand(1, 8, 8, 8), torch.arange(5)
    torch.library.opcheck(
        namespace.occupancy_update.default, (density, cells, torch.rand(5), 0.9, 0.5)
    )
