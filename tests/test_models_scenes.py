"""Radiance fields of every model: what they say of themselves, and what rays see of them."""

import pytest
import torch

from fields import catalogue
from fields.configs import CamRadianceConfig, RadianceConfig, RbfRadianceConfig
from fields.configs.base import TooSmall
from fields.configs.marched import MarchedConfig
from fields.models.radiance import Radiance, RadianceField

SMALL = {
    "hashgrid": {"num_levels": 3, "base_resolution": 4, "growth": 2.0, "log2_table_size": 9},
    "rbf": {"num_levels": 3, "base_resolution": 4, "growth": 2.0, "log2_table_size": 9},
    "triplane": {"resolution": 12, "features": 4, "width": 16, "depth": 1},
    "fourier": {"frequencies": 12, "width": 16, "depth": 2},
    "cam": {"frequencies": 12, "width": 16, "depth": 2, "grid_size": 4},
}


@pytest.fixture(params=[(name, dim) for name in catalogue.SCENE_MODELS for dim in (3, 4)],
                ids=lambda p: f"{p[0]}-{p[1]}d")  # fmt: skip
def field(request) -> Radiance:
    name, dim = request.param
    config = catalogue.SCENE_MODELS[name].config(3, dim, occupancy=32, **SMALL[name])
    return catalogue.build(config)


def rays(count=64):
    generator = torch.Generator().manual_seed(0)
    origins = 0.5 + 1.5 * torch.nn.functional.normalize(
        torch.randn(count, 3, generator=generator), dim=1
    )
    aim = 0.2 + 0.6 * torch.rand(count, 3, generator=generator)
    return origins, torch.nn.functional.normalize(aim - origins, dim=1)


def moments(field, count):
    return torch.linspace(0, 1, count) if field.dim == 4 else None


def test_the_configuration_counts_what_the_module_holds(field):
    assert field.config.parameters == sum(p.numel() for p in field.parameters())
    assert field.config.stored == sum(t.numel() for t in field.state_dict().values())
    assert catalogue.config_of(field) == field.config
    assert type(field.config).from_dict(field.config.as_dict()) == field.config


def test_densities_are_positive_and_colours_lie_between_0_and_1(field):
    coords, (_, directions) = torch.rand(64, 3), rays()
    sigma, rgb = field(coords, directions, moments(field, 64))
    assert sigma.shape == (64,) and (sigma > 0).all()
    assert rgb.shape == (64, 3) and (0 < rgb).all() and (rgb < 1).all()
    assert [t.shape[0] for t in field(coords[:0], directions[:0], moments(field, 0))] == [0, 0]


def test_a_time_is_given_where_there_is_one(field):
    wrong = None if field.dim == 4 else torch.zeros(2)
    with pytest.raises(ValueError, match="takes times if"):
        field.density(torch.rand(2, 3), wrong)


def test_gradients_reach_every_parameter(field):
    sigma, rgb = field(torch.rand(256, 3), rays(256)[1], moments(field, 256))
    (sigma.sum() + rgb.sum()).backward()
    for name, parameter in field.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_kernels_stand_on_the_grid_of_hashgrid():
    """So that the two are compared at equal parameters."""
    shape, usual = (400, 400, 400), ("scene", 0, False, 60.0)
    grid = RadianceConfig.for_signal(3, shape, **RadianceConfig.defaults(*usual))
    rbf = RbfRadianceConfig.for_signal(3, shape, **RbfRadianceConfig.defaults(*usual))
    for name in ("num_levels", "features_per_level", "base_resolution", "growth"):
        assert getattr(grid, name) == getattr(rbf, name)
    assert abs(grid.parameters / rbf.parameters - 1) < 0.01
    assert rbf.affine and rbf.inner.as_dict()["affine"]


def test_what_is_seen_is_the_sum_of_dense_samples(field):
    origins, directions = rays()
    times = moments(field, 64)
    colours, opacity, depth = field.trace(origins, directions, times)
    # All cells are set, so samples lie at the middles of even steps through the cube.
    step = field.march.step
    inverse = 1 / directions
    near = torch.minimum(-origins * inverse, (1 - origins) * inverse).amax(1)
    far = torch.maximum(-origins * inverse, (1 - origins) * inverse).amin(1)
    t = near[:, None] + (torch.arange(512) + 0.5) * step
    places = origins[:, None] + t[..., None] * directions[:, None]
    when = None if times is None else times[:, None].expand(t.shape)
    with torch.no_grad():
        sigma, rgb = field(places.clamp(0, 1), directions[:, None].expand_as(places), when)
    optical = sigma * step * (t < far[:, None])
    before = torch.exp(optical - optical.cumsum(1))
    weights = before * -torch.expm1(-optical)
    torch.testing.assert_close(opacity, weights.sum(1), atol=6e-3, rtol=0)
    torch.testing.assert_close(colours, (weights[..., None] * rgb).sum(1), atol=6e-3, rtol=0)
    torch.testing.assert_close(depth, (weights * t).sum(1), atol=2e-2, rtol=0)


def test_one_op_draws_what_marching_draws():
    field = RadianceField(occupancy=32, **SMALL["hashgrid"])
    with torch.no_grad():
        field.density_params.mul_(3)
        field.table.normal_(generator=torch.Generator().manual_seed(0))
    origins, directions = rays(256)
    for ours, theirs in zip(
        field.trace(origins, directions), Radiance.trace(field, origins, directions), strict=True
    ):
        torch.testing.assert_close(ours, theirs.float(), atol=3e-3, rtol=0)


def test_drawing_can_be_cancelled(field):
    origins, directions = rays()
    flag = torch.ones(1, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="cancelled"):
        field.trace(origins, directions, moments(field, 64), cancel=flag)


@pytest.mark.parametrize("name", list(catalogue.SCENE_MODELS))
def test_a_size_is_kept_and_used(name):
    kind = catalogue.SCENE_MODELS[name].config
    for most in (60_000, 400_000):
        config = kind.for_signal(3, (400, 400, 400), max_parameters=most)
        assert isinstance(config, MarchedConfig)
        assert config.parameters + 2 * config.bits <= most
        assert config.parameters > most / 4
    with pytest.raises(TooSmall):
        kind.for_signal(3, (400, 400, 400), max_parameters=100)


def test_without_frequencies_of_time_the_grids_alone_know_it():
    kind = CamRadianceConfig
    options = {"width": 16, "depth": 2, "frequencies": 12}
    coords, (_, directions) = torch.rand(64, 3), rays()
    for sigma, table, same in [(0.0, 1.0, True), (0.5, 1.0, False), (0.0, None, False)]:
        field = catalogue.build(kind.for_signal(3, (9, 9, 9, 9), time_sigma=sigma, **options))
        with torch.no_grad():
            values = field.inner.table
            values.copy_(
                torch.rand_like(values) if table is None else torch.full_like(values, table)
            )
            early, late = (field(coords, directions, torch.full((64,), t))[1] for t in (0.0, 0.7))
        assert torch.allclose(early, late) == same


def test_more_time_gets_larger_tables():
    kind = catalogue.SCENE_MODELS["hashgrid"].config
    sizes = [kind.defaults("scene", 400, False, s)["log2_table_size"] for s in (20, 60, 180, 900)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    assert kind.defaults("scene", 400, True, 60) == {}


@pytest.mark.parametrize("size", [60_000, 230_000, 470_000, 930_000])
def test_a_hash_grid_fills_the_size_it_is_given(size):
    config = RadianceConfig.for_signal(3, (400, 400, 400), max_parameters=size)
    assert 0.85 * size < config.parameters + 2 * config.bits <= size


def test_a_modulated_network_of_any_size_can_be_trained():
    """Grids take what a wider network would take far longer for."""
    kind = CamRadianceConfig
    small, large = (
        kind.for_signal(3, (400, 400, 400), max_parameters=size) for size in (200_000, 900_000)
    )
    assert small.width == large.width == 64 and large.grid_size > small.grid_size
    assert small.multiply_adds == large.multiply_adds
    assert 0.85 * 900_000 < large.stored + large.bits <= 900_000
    assert kind.for_signal(3, (400, 400, 400), max_parameters=900_000, grid_size=8).width > 64


@pytest.mark.parametrize("kind", [RadianceConfig, RbfRadianceConfig])
def test_grids_are_coarser_along_time_than_along_space(kind):
    """As many cells as half the views, unless something else is asked for."""
    shape = (64, 64, 64, 40)
    config = kind.for_signal(3, shape)
    assert config.time_cells == 20
    for asked, scale in ((None, 20 / config.finest), (8, 8 / config.finest), (0, 1.0)):
        options = {} if asked is None else {"time_cells": asked}
        field = catalogue.build(kind.for_signal(3, shape, log2_table_size=8, **options))
        assert field.time_scale == pytest.approx(scale)
        places = field.places(torch.rand(5, 3), torch.ones(5))
        assert torch.allclose(places[:, 3], torch.full((5,), scale))
    assert catalogue.build(kind.for_signal(3, shape[:3], log2_table_size=8)).time_scale == 1


def test_planes_behind_kernels_have_no_cells_along_time():
    config = RbfRadianceConfig.for_signal(3, (32, 32, 32, 40), encoder="triplane")
    assert config.time_cells == 0 and catalogue.build(config).time_scale == 1
