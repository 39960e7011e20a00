"""A field marched by ops.march_rays and composited; its occupancy, learned from densities."""

import math

import pytest
import reference_march
import torch
from test_radiance_step import make_field, make_rays, twin

from fields import ops
from fields.march import march
from fields.occupancy import Occupancy

FULL = torch.full((1, 1), -1)
SPEC = ops.MarchSpec(4, 0.05)


def test_what_is_seen_and_its_gradients_equal_plain_torch():
    field = make_field().double()
    origins, directions, *_ = make_rays(60)
    coords, t, dt, rays, offsets = ops.march_rays(origins, directions, FULL, SPEC, seed=3, step=2)
    leaves, evaluate = twin(field)
    along = torch.nn.functional.normalize(directions.double(), dim=1)[rays.long()]
    sigma, rgb = evaluate(coords.double(), along)
    expected = reference_march.composite(sigma, rgb, t.double(), dt.double(), offsets)

    def both(values):
        generator = torch.Generator().manual_seed(1)
        weights = [torch.randn(v.shape, generator=generator).to(v) for v in values]
        return sum((v * w).sum() for v, w in zip(values, weights, strict=True))

    found = ops.composite(*field(coords.double(), along), t.double(), dt.double(), offsets)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    actual = torch.autograd.grad(both(found), list(field.parameters()))
    twins = torch.autograd.grad(both(expected), leaves)
    for a, b in zip(actual, twins, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


def test_march_takes_any_function():
    def ball(coords, directions):
        inside = (coords - 0.5).norm(dim=1) < 0.25
        return 1e4 * inside.float(), (directions * 0.5 + 0.5)

    origins = torch.tensor([[0.5, 0.5, -1.0], [0.9, 0.5, -1.0]])
    directions = torch.tensor([[0.0, 0.0, 1.0]]).repeat(2, 1)
    seen = march(ball, origins, directions, FULL, ops.MarchSpec(4, 1e-3))
    assert seen.opacity.tolist() == pytest.approx([1, 0])
    assert seen.depth[0].item() == pytest.approx(1.25, abs=2e-3)
    white = seen.over(torch.ones(3))
    assert white.flatten().tolist() == pytest.approx([0.5, 0.5, 1, 1, 1, 1])
    assert seen.weights.sum().item() == pytest.approx(1)
    assert seen.offsets.tolist() == [0, 1000, 2000] and seen.rays.bincount().tolist() == [1000] * 2


def test_samples_of_little_weight_are_left_out_and_get_no_gradient():
    field = make_field()
    origins, directions, *_ = make_rays(100)
    density = lambda coords: field.density(coords)[0]  # noqa: E731
    whole = march(field, origins, directions, FULL, SPEC)
    few = march(field, origins, directions, FULL, SPEC, density=density, min_weight=1e-2)
    same = march(field, origins, directions, FULL, SPEC, density=density)
    assert torch.equal(whole.colour, same.colour)
    assert len(few.t) == (whole.weights >= 1e-2).sum() < len(whole.t)
    assert (few.colour - whole.colour).abs().max() < 0.2
    with pytest.raises(ValueError, match="min_weight needs density"):
        march(field, origins, directions, FULL, SPEC, min_weight=0.1)


def test_the_modules_shapes_and_its_state():
    field = make_field()
    density, features = field.density(torch.rand(4, 5, 3))
    assert density.shape == (4, 5) and features.shape == (4, 5, 16) and (density > 0).all()
    rgb = field.colour(features, torch.nn.functional.normalize(torch.randn(4, 5, 3), dim=-1))
    assert rgb.shape == (4, 5, 3) and rgb.min() > 0 and rgb.max() < 1
    other = make_field(seed=1)
    other.load_state_dict(field.state_dict())
    assert torch.equal(other.density(torch.ones(3) / 3)[0], field.density(torch.ones(3) / 3)[0])
    assert sum(p.numel() for p in field.parameters()) == field.config.parameters
    with pytest.raises(ValueError, match="takes times"):
        field.density(torch.rand(5, 3), torch.rand(5))
    with torch.no_grad():
        field.density_params.mul_(1e4)
    assert field.density(torch.rand(100, 3))[0].max() <= math.e**15 * 1.001


# ---- occupancy


def ball(coords):
    return 20 * ((coords - 0.5).norm(dim=1) < 0.3).float()


def wrong_cells(occupancy, shell=1.0):
    """Cells whose bit is not that of the ball, those that its surface passes left out."""
    distance = (occupancy.centres() - 0.5).norm(dim=-1) - 0.3
    sides = torch.exp2(torch.arange(occupancy.cascades) + 1.0 - occupancy.cascades)
    margin = shell * math.sqrt(3) / 2 * sides.view(-1, 1, 1, 1) / occupancy.resolution
    sure = distance.abs() > margin
    return ((occupancy.density > 5) != (distance < 0))[sure].sum().item()


@pytest.mark.parametrize("cascades", [1, 3])
def test_a_whole_look_finds_the_ball(cascades):
    occupancy = Occupancy(16, cascades)
    assert (occupancy.bits == -1).all()
    occupancy.update(ball, seed=0, step=1)
    assert wrong_cells(occupancy) == 0
    assert 0 < occupancy.occupied < 0.7


def test_some_cells_at_a_time_find_it_too_and_forget_what_goes_away():
    occupancy = Occupancy(16)
    for step in range(150):
        occupancy.update(ball, seed=0, step=step, samples=512)
    assert wrong_cells(occupancy) == 0
    for step in range(400):
        occupancy.update(lambda c: 0 * ball(c), seed=0, step=step, samples=512, decay=0.8)
    assert occupancy.occupied == 0 or occupancy.density.max() < 0.1


def test_the_cells_depend_on_seed_and_step_alone():
    def looked_at(seed, step):
        seen = []
        occupancy = Occupancy(8)
        occupancy.update(lambda c: seen.append(c) or ball(c), seed=seed, step=step, samples=100)
        return torch.cat(seen)

    assert torch.equal(looked_at(1, 2), looked_at(1, 2))
    assert not torch.equal(looked_at(1, 2), looked_at(1, 3))
    assert not torch.equal(looked_at(1, 2), looked_at(2, 2))


def test_hidden_cells_stay_empty_and_are_not_looked_at():
    occupancy = Occupancy(8)
    hidden = occupancy.centres()[..., 0] < 0.5
    occupancy.hide(hidden)
    spec = ops.MarchSpec(8, 0.01)
    origins, directions, *_ = make_rays(100)
    coords = ops.march_rays(origins, directions, occupancy.bits, spec)[0]
    assert len(coords) and (coords[:, 0] >= 0.5).all()
    lowest = []
    for step in range(5):
        occupancy.update(
            lambda c: lowest.append(c[:, 0].min()) or 9 + 0 * c[:, 0],
            seed=0,
            step=step,
            samples=None if step == 2 else 64,
        )
    assert min(lowest) >= 0.5
    assert (occupancy.density[hidden] < 0).all() and occupancy.occupied == pytest.approx(0.5)
    with pytest.raises(ValueError, match="hidden must be"):
        occupancy.hide(torch.ones(8, 8, 8, dtype=torch.bool))


def test_its_bits_are_kept_with_the_weights_and_its_density_is_not():
    occupancy, other = Occupancy(8), Occupancy(8)
    occupancy.update(ball, seed=0, step=1)
    assert set(occupancy.state_dict()) == {"bits"}
    other.load_state_dict(occupancy.state_dict())
    assert torch.equal(other.bits, occupancy.bits)


@pytest.mark.parametrize("arguments", [(48,), (64, 0), (64, 17)])
def test_sizes_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError):
        Occupancy(*arguments)
