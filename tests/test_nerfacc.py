"""Fields march through nerfacc's estimator and renderer as through our own.

`OccGrid` and `rendering` are stand-ins with the documented signatures of nerfacc 0.5, in plain
torch; nerfacc itself is asked where it is installed, on a GPU.
"""

import math
from dataclasses import replace

import pytest
import torch
from test_radiance_step import make_field, make_rays

from fields import FieldsError
from fields.march import march
from fields.models.radiance import RadianceField
from fields.nerfacc import Along, fill_estimator, fill_occupancy, roi_of

# Steps are shorter than any cell, so that cells of the finest level are looked at.
SHAPE = {"num_levels": 3, "occupancy": 32}
STEP = math.sqrt(3) / 256


class OccGrid:
    """Levels of cells, each twice as large as the last; samples in those that are not empty."""

    def __init__(self, roi_aabb, resolution=128, levels=1):
        self.low, self.high = torch.tensor(roi_aabb[:3]), torch.tensor(roi_aabb[3:])
        self.binaries = torch.zeros(levels, *[resolution] * 3, dtype=torch.bool)
        self.occs = torch.zeros(levels * resolution**3)

    def sampling(self, rays_o, rays_d, sigma_fn=None, render_step_size=1e-3):
        """The steps of rays from where they enter the largest cube to where they leave it."""
        levels, n = self.binaries.shape[:2]
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2 * 2 ** (levels - 1)
        ends = torch.stack([middle - half - rays_o, middle + half - rays_o]) / rays_d
        near = ends.amin(0).amax(1).clamp(min=0)
        far = ends.amax(0).amin(1)
        steps = torch.arange(int(2 * 3**0.5 * half.max() / render_step_size) + 1)
        t = near[:, None] + steps * render_step_size
        rays, at = torch.nonzero(t + render_step_size / 2 < far[:, None], as_tuple=True)
        starts = t[rays, at]
        points = rays_o[rays] + (starts + render_step_size / 2)[:, None] * rays_d[rays]
        local = (points - middle) / (self.high - self.low)  # in the smallest cube within a half
        level = (2 * local.abs().amax(1)).log2().ceil().clamp(0, levels - 1).long()
        cell = ((local / 2.0 ** level[:, None] + 0.5) * n).long().clamp(0, n - 1)
        kept = self.binaries[level, cell[:, 0], cell[:, 1], cell[:, 2]]
        rays, starts = rays[kept], starts[kept]
        if sigma_fn is not None:
            assert sigma_fn(starts, starts + render_step_size, rays).shape == rays.shape
        return rays, starts, starts + render_step_size


def rendering(t_starts, t_ends, ray_indices, n_rays, rgb_sigma_fn):
    rgbs, sigmas = rgb_sigma_fn(t_starts, t_ends, ray_indices)
    assert rgbs.shape == (*sigmas.shape, 3)
    optical = sigmas * (t_ends - t_starts)
    before = optical.cumsum(0) - optical
    first = torch.searchsorted(ray_indices, ray_indices)
    weights = torch.exp(before[first] - before) * (1 - torch.exp(-optical))

    def total(values):
        shape = (n_rays, *values.shape[1:])
        return values.new_zeros(shape).index_add(0, ray_indices, values)

    middle = (t_starts + t_ends) / 2
    return total(weights[:, None] * rgbs), total(weights), total(weights * middle), {}


def field_with_holes(cascades=1):
    field = RadianceField(**SHAPE, cascades=cascades, seed=0)
    field.march = replace(field.march, step=STEP, growth=0.0)  # as the estimator here walks
    with torch.no_grad():
        field.table.copy_(make_table(field))
        field.density_params.mul_(1.5)
    occupancy = field.occupancy
    generator = torch.Generator().manual_seed(1)
    occupancy.threshold = 0.5
    occupancy.density.copy_(torch.rand(occupancy.density.shape, generator=generator))
    occupancy.hide(torch.zeros_like(occupancy.density, dtype=torch.bool))
    return field


def make_table(field):
    return torch.randn(field.table.shape, generator=torch.Generator().manual_seed(0))


def seen_by(estimator, render, field, origins, directions):
    fill_estimator(estimator, field.occupancy)
    see = Along(field, origins, directions)
    with torch.no_grad():
        rays, starts, ends = estimator.sampling(
            origins, directions, sigma_fn=see.sigma_fn, render_step_size=field.march.step
        )
        return render(starts, ends, rays, len(origins), rgb_sigma_fn=see.rgb_sigma_fn)


@pytest.mark.parametrize("cascades", [1, 3])
def test_cells_go_there_and_back(cascades):
    field = field_with_holes(cascades)
    cells, bits = field.occupancy.cells(), field.occupancy.bits.clone()
    assert 0.3 < cells.float().mean() < 0.7
    estimator = OccGrid(roi_of(field), 32, cascades)
    fill_estimator(estimator, field.occupancy)
    level, z, y, x = torch.nonzero(cells)[7].tolist()
    assert estimator.binaries[level, x, y, z] and torch.equal(estimator.binaries.sum(), cells.sum())
    density = field.occupancy.density.clone()
    field.occupancy.bits.fill_(-1)
    field.occupancy.density.zero_()
    fill_occupancy(field.occupancy, estimator)
    assert torch.equal(field.occupancy.bits, bits)
    assert torch.equal(field.occupancy.density, density)


@pytest.mark.parametrize("cascades", [1, 2])
def test_what_nerfacc_would_see_is_what_we_see(cascades):
    field = field_with_holes(cascades)
    origins, directions, *_ = make_rays(80)
    estimator = OccGrid(roi_of(field), 32, cascades)
    colours, opacity, depth, _ = seen_by(estimator, rendering, field, origins, directions)
    with torch.no_grad():
        ours = march(field, origins, directions, field.occupancy.bits, field.march)
    # Samples at the border of a cell may fall on either side of it.
    for theirs, own in ((colours, ours.colour), (opacity, ours.opacity), (depth, ours.depth)):
        assert (theirs - own).abs().mean() < 0.02 * own.abs().mean()
    assert 0.1 < opacity.mean() < 0.99


def test_gradients_reach_the_field_through_the_callables():
    field = make_field()
    origins, directions, *_ = make_rays(8)
    rgb, sigma = Along(field, origins, directions).rgb_sigma_fn(
        torch.full((8,), 1.5), torch.full((8,), 1.6), torch.arange(8)
    )
    (rgb.sum() + sigma.sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in field.parameters())


def test_a_moving_field_is_asked_at_each_rays_time():
    field = make_field(dim=4)
    origins, directions, *_ = make_rays(4)
    times = torch.tensor([0.0, 0.3, 0.6, 1.0])
    rays, at = torch.tensor([3, 1]), torch.tensor([1.5, 1.7])
    sigma = Along(field, origins, directions, times).sigma_fn(at, at, rays)
    places = (origins[rays] + at[:, None] * directions[rays]).clamp(0, 1)
    assert torch.equal(sigma, field.density(places, times[rays])[0])


def test_what_does_not_fit_is_refused():
    with pytest.raises(FieldsError, match="no contraction"):
        roi_of(RadianceField(**SHAPE, contract=True))
    field = field_with_holes()
    with pytest.raises(FieldsError, match="make it with resolution 32 and 1 levels"):
        fill_estimator(OccGrid(roi_of(field), 16), field.occupancy)


@pytest.mark.cuda
@pytest.mark.parametrize("cascades", [1, 2])
def test_nerfacc_itself_sees_the_same(cascades):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    nerfacc = pytest.importorskip("nerfacc", reason="nerfacc is not installed")
    field = field_with_holes(cascades)
    origins, directions, *_ = (rays.cuda() for rays in make_rays(80))
    with torch.no_grad():
        ours = march(field, *(r.cpu() for r in (origins, directions)),
                     field.occupancy.bits, field.march)  # fmt: skip
    field = field.cuda()
    estimator = nerfacc.OccGridEstimator(roi_of(field), 32, cascades).cuda()
    colours, opacity, *_ = seen_by(estimator, nerfacc.rendering, field, origins, directions)
    assert (colours.cpu() - ours.colour).abs().mean() < 0.05
    assert (opacity.cpu().view(-1) - ours.opacity).abs().mean() < 0.05
