"""Batches of points around a mesh: where they lie, and that their distances are true."""

import meshes
import pytest
import torch

from fields import ops

ONLY = {
    "surface": {"surface": 1, "near": 0, "uniform": 0},
    "near": {"surface": 0, "near": 1, "uniform": 0},
    "uniform": {"surface": 0, "near": 0, "uniform": 1},
}


@pytest.fixture(scope="module")
def bvh():
    return ops.build_bvh(*meshes.torus())


@pytest.mark.kernel
@pytest.mark.parametrize("share", ONLY)
@pytest.mark.parametrize("count", [1, 3, 1000])
def test_distances_are_those_of_the_coords(bvh, share, count):
    for step in range(3):
        coords, distances = ops.sample_shape(bvh, count, 5, step, **ONLY[share])
        assert coords.shape == (count, 3) and distances.shape == (count, 1)
        assert coords.amin() >= 0 and coords.amax() <= 1
        expected = ops.closest_point(bvh, coords)[0]
        torch.testing.assert_close(distances[:, 0], expected, rtol=0, atol=3e-7)


def test_signs_are_what_is_asked_for(bvh):
    coords, signed = ops.sample_shape(bvh, 4000, 0, 0)
    same, unsigned = ops.sample_shape(bvh, 4000, 0, 0, sign="none")
    assert torch.equal(coords, same) and torch.equal(signed.abs(), unsigned)
    assert 0.3 < (signed < 0).float().mean() < 0.6
    wound = ops.sample_shape(bvh, 4000, 0, 0, sign="winding")[1]
    clear = unsigned > 1e-6
    assert torch.equal(wound[clear], signed[clear])
    # An open mesh: what the winding number says.
    sheet = ops.build_bvh(*meshes.bumpy_sheet())
    coords, distances = ops.sample_shape(sheet, 2000, 0, 0, sign="winding")
    inside = ops.winding_number(sheet, coords) > 0.5
    assert torch.equal(distances[:, 0] < 0, inside)


def test_truncation_clamps(bvh):
    free = ops.sample_shape(bvh, 1000, 0, 0)[1]
    clamped = ops.sample_shape(bvh, 1000, 0, 0, truncation=0.01)[1]
    assert torch.equal(clamped, free.clamp(-0.01, 0.01)) and (free.abs() > 0.01).any()


def test_surface_samples_lie_on_the_surface_and_jitter_moves_them_off(bvh):
    on = ops.sample_shape(bvh, 5000, 0, 0, jitter=0, **ONLY["surface"])[1]
    assert on.abs().max() < 1e-7
    for setting, share in (("jitter", "surface"), ("sigma", "near")):
        off = ops.sample_shape(bvh, 5000, 0, 0, **{setting: 0.001}, **ONLY[share])[1]
        # Of that deviation along the normal of a surface that is nearly flat.
        assert off.std().item() == pytest.approx(0.001, rel=0.05)
        assert off.mean().abs() < 0.0001 and (off == 0).float().mean() < 0.01
        within = (off.abs() < 0.001).float().mean().item()
        assert within == pytest.approx(0.68, abs=0.03) and off.abs().max() < 0.005


def test_faces_are_drawn_by_area_and_points_evenly_within_them():
    # Two triangles, one of three times the other's area, and one without any.
    vertices = torch.tensor([[0, 0, 0], [0.3, 0, 0], [0, 0.4, 0], [0, 0, 1], [0.9, 0, 1],
                             [0, 0.4, 1]])  # fmt: skip
    mesh = ops.build_bvh(vertices, torch.tensor([[0, 1, 2], [3, 4, 5], [0, 0, 1]]))
    points = torch.cat([
        ops.sample_shape(mesh, 100, 3, step, jitter=0, **ONLY["surface"], sign="none")[0]
        for step in range(200)
    ])  # fmt: skip
    large = points[points[:, 2] == 1]
    assert len(large) / len(points) == pytest.approx(0.75, abs=0.002)
    torch.testing.assert_close(large.mean(0), vertices[3:].mean(0), rtol=0, atol=0.01)
    # Half of a triangle's area lies within 1 - 1 / sqrt(2) of its height from each side.
    low = large[:, 0] < 0.9 * (1 - 0.5**0.5)
    assert low.float().mean().item() == pytest.approx(0.5, abs=0.02)


def test_uniform_samples_fill_the_cube_evenly(bvh):
    coords = torch.cat([ops.sample_shape(bvh, 512, 1, s, **ONLY["uniform"])[0] for s in range(40)])
    cell = (coords * 8).floor().long()
    counts = torch.bincount((cell[:, 2] * 8 + cell[:, 1]) * 8 + cell[:, 0], minlength=512)
    assert torch.equal(counts, torch.full_like(counts, 40))  # one in each stratum, each time
    within = (coords * 8).frac()
    assert within.mean(0).sub(0.5).abs().max() < 0.01
    assert torch.corrcoef(within.T).sub(torch.eye(3)).abs().max() < 0.03


def test_shares_are_in_proportion_and_in_order(bvh):
    shares = {"surface": 2, "near": 1, "uniform": 1}
    distances = ops.sample_shape(bvh, 4000, 0, 0, **shares, jitter=0, sigma=1e-3)[1][:, 0].abs()
    close, anywhere = distances.split([3000, 1000])
    assert (close < 1e-7).sum() == 2000 and close.max() < 0.01 < anywhere.median()
    # In turn: of any nine that follow one another six lie on the surface.
    turns = (close < 1e-7).unfold(0, 9, 1).sum(1)
    assert turns.min() == turns.max() == 6


def test_neighbouring_samples_are_near_one_another(bvh):
    for share in ONLY.values():
        coords = ops.sample_shape(bvh, 4096, 0, 0, **share)[0]
        steps = coords.diff(dim=0).norm(dim=1).median()
        assert steps < 0.3 * coords.sub(coords[torch.randperm(4096)]).norm(dim=1).median()


def test_seed_and_step_decide(bvh):
    first = ops.sample_shape(bvh, 100, 1, 1)[0]
    assert torch.equal(first, ops.sample_shape(bvh, 100, 1, 1)[0])
    for seed, step in ((2, 1), (1, 2), (1 + 2**32, 1)):
        other = ops.sample_shape(bvh, 100, seed, step)[0]
        assert not (first == other).all(1).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "count"),
        ({"surface": -1}, "surface must be from 0"),
        ({"surface": 0, "near": 0, "uniform": 0}, "must not all be 0"),
        ({"jitter": float("nan")}, "jitter"),
        ({"sigma": -0.1}, "sigma"),
        ({"truncation": 0.0}, "truncation must be more than 0"),
        ({"sign": "up"}, "sign must be one of none, pseudonormal, winding, got 'up'"),
    ],
)
def test_wrong_settings_are_refused(bvh, settings, message):
    with pytest.raises(ValueError, match=message):
        ops.sample_shape(bvh, **({"count": 10, "seed": 0, "step": 0} | settings))


def test_a_mesh_without_area_gives_uniform_samples_alone():
    line = ops.build_bvh(torch.tensor([[0.1] * 3, [0.9] * 3]), torch.tensor([[0, 1, 1]]))
    with pytest.raises(ValueError, match="no area"):
        ops.sample_shape(line, 10, 0, 0)
    coords, distances = ops.sample_shape(line, 100, 0, 0, **ONLY["uniform"], sign="none")
    assert coords.isfinite().all() and distances.isfinite().all()
