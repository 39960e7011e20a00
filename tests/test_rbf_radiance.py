"""Radiance fields of Gaussian kernels, step and picture in one op, against plain torch."""

from typing import Any

import pytest
import reference
import reference_march
import torch
from test_ops_rbf import direct
from test_radiance_render import assert_same_picture
from test_radiance_step import SMALL, Fused, bits_of, error, make_rays, twin_step

from fields import ops
from fields.march import march as march_field
from fields.models.composed import RbfRadiance
from fields.ops.marched import STAGES

FULL = torch.full((1, 1), -1)
EXACT = {"min_weight": 0, "min_transmittance": 0}


def make_field(seed=0, **settings):
    """A field of visible structure: densities from 0.1 to 100."""
    field = RbfRadiance(**(SMALL | {"kernels": 20, "degree": 2} | settings), seed=seed)
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor):
        return torch.randn(tensor.shape, generator=generator)

    with torch.no_grad():
        field.inner.table.copy_(normal(field.inner.table))
        inputs = field.inner.config.features
        mu, log_beta, weight, *_ = field.inner.rbf.split(field.inner.params, inputs)
        mu.copy_(0.5 * normal(mu))
        log_beta.copy_(0.3 * normal(log_beta) - 1)
        weight.copy_(2 * normal(weight))
    return field


class FusedRbf(Fused):
    op = staticmethod(ops.rbf_radiance_step)

    @staticmethod
    def parameters(field):
        return field.inner.table, field.inner.params


def twin(field):
    """Parameters, and the field as a function of them in plain torch, from the formulas."""
    leaves = [p.detach().double().requires_grad_() for p in FusedRbf.parameters(field)]
    spec = field.spec

    def evaluate(coords, directions, times=None):
        table, params = leaves
        if times is not None:
            coords = torch.cat([coords, times[:, None]], 1)
        values = direct(reference.hash_grid(coords, table, spec.grid), params, spec.rbf)
        harmonics = reference_march.harmonics(directions)[:, : spec.degree**2].double()
        coefficients = values[:, 1:].unflatten(1, (3, spec.degree**2))
        rgb = (coefficients * harmonics[:, None]).sum(2).sigmoid()
        return values[:, 0].clamp(max=15).exp(), rgb

    return leaves, evaluate


def assert_same_step(field, rays, bits, march, **settings):
    fused = FusedRbf(field)
    value, errors, counts = fused.step(rays, bits, march, **EXACT, **settings)
    expected, each, gradients = twin_step(field, rays, bits, march, twin=twin, **settings)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(errors.double(), each, rtol=1e-4, atol=1e-6)
    for actual, twins in zip(fused.gradients(), gradients, strict=True):
        assert error(actual, twins) < 1e-4
    return counts


@pytest.mark.kernel
@pytest.mark.parametrize("loss", ["l2", "l1"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"features_per_level": 2, "degree": 4, "kernels": 64, "affine": False},
        {"interpolation": "smoothstep", "factor": 1.0},
        {"kernels": 3, "degree": 1, "output_activation": "tanh"},
    ],
    ids=["usual", "published", "smooth", "odd"],
)
def test_loss_and_gradients_equal_plain_torch(loss, settings):
    bits = bits_of(torch.ones(1, 4, 4, 4, dtype=torch.bool))
    march = ops.MarchSpec(4, 0.05)
    counts = assert_same_step(make_field(**settings), make_rays(300), bits, march, loss=loss)
    assert counts[0] == 300 and counts[1] == counts[2] > 3000


def test_a_moving_field_takes_times_as_its_fourth_coordinate():
    times = torch.rand(120, generator=torch.Generator().manual_seed(4))
    rays, march = make_rays(120), ops.MarchSpec(4, 0.05)
    assert_same_step(make_field(dim=4), rays, FULL, march, times=times)


@pytest.mark.kernel
def test_empty_cells_and_contraction_are_marched_as_by_march_rays():
    origins, directions, *rest = make_rays(200)
    rays = (origins * 0.2 + 0.4, directions, *rest)
    cells = torch.rand(1, 16, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.3
    march = ops.MarchSpec(16, 0.02, near=0.01, far=20, growth=1 / 24, contract=True)
    assert_same_step(make_field(), rays, bits_of(cells), march)


@pytest.mark.kernel
@pytest.mark.parametrize("count", [1, 255, 1000])
def test_a_picture_is_what_a_march_through_the_field_sees(count):
    field, spec = make_field(), ops.MarchSpec(4, 0.02)
    origins, directions, *_ = make_rays(count)
    with torch.no_grad():
        seen = march_field(field, origins, directions, FULL, spec)
    found = render(field, origins, directions, spec, **EXACT)
    assert_same_picture(found, seen)


def render(field, origins, directions, spec, bits=FULL, **options):
    parameters = FusedRbf.parameters(field)
    return ops.rbf_radiance_render(
        origins, directions, bits, spec, *parameters, field.spec, **options
    )


def test_a_field_draws_itself_by_the_op_where_it_is_one_and_by_marching_elsewhere():
    origins, directions, *_ = make_rays(64)
    field = make_field(march_steps=64)
    other = RbfRadiance(**(SMALL | {"kernels": 20, "kernel": "inverse_multiquadric"}))
    assert field.spec is not None and other.spec is None
    expected = render(field, origins, directions, field.march, field.occupancy.bits)
    for actual, wanted in zip(field.trace(origins, directions), expected, strict=True):
        assert torch.equal(actual, wanted)
    assert all(torch.isfinite(values).all() for values in other.trace(origins, directions))


def test_the_bits_do_not_depend_on_the_number_of_threads():
    field, rays = make_field(), make_rays(2500)
    march = ops.MarchSpec(4, 0.05)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            fused = FusedRbf(field)
            steps = [fused.step(rays, FULL, march, samples=12_000) for _ in range(2)]
            assert not fused.workspace.any()
            drawn = render(field, *rays[:2], march, width=50)
            results.append([*(t for s in (*steps, *fused.states) for t in s), *drawn])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_field_learns_what_eight_rays_see():
    fused, rays = FusedRbf(make_field()), make_rays(8)
    march = ops.MarchSpec(4, 0.02)
    losses = [fused.step(rays, FULL, march, seed=None)[0].item() for _ in range(200)]
    assert losses[0] > 0.02 and losses[-1] < 1e-4


def test_a_nan_reaches_the_loss():
    field, rays = make_field(), make_rays(64)
    with torch.no_grad():
        field.inner.params[3] = float("nan")
    assert FusedRbf(field).step(rays, FULL, ops.MarchSpec(4, 0.05))[0].isnan()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colours": torch.zeros(8, 3)}, "colours must be"),
        ({"times": torch.zeros(9)}, "table must have"),
        ({"params": "short"}, "params must be"),
        ({"workspace": torch.zeros(1, 8)}, "workspace must be"),
        ({"loss": "huber"}, "loss must be"),
        ({"stages": torch.zeros(len(STAGES))}, "stages must be int64"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    fused = FusedRbf(make_field())
    names = ("origins", "directions", "colours", "backgrounds")
    given: dict[str, Any] = dict(zip(names, make_rays(9), strict=True))
    given |= {"bits": FULL, "march": ops.MarchSpec(4), "workspace": fused.workspace}
    given |= {"table": fused.states[0], "params": fused.states[1], "step": 1, "samples": 100}
    for name, value in change.items():
        given[name] = tuple(t[:-1] for t in given[name]) if value == "short" else value
    with pytest.raises(ValueError, match=message):
        ops.rbf_radiance_step(**given, spec=fused.field.spec, lr_table=1e-2, lr_params=1e-2)


def test_channels_follow_from_the_degree():
    with pytest.raises(ValueError, match="rbf must have 13 channels for harmonics of degree 2"):
        ops.RbfRadianceSpec(ops.GridSpec(2, 4, 2.0, 9), ops.RbfSpec(8, 28), 2)


def test_opcheck():
    fused, march = FusedRbf(make_field()), ops.MarchSpec(4, 0.2)
    origins, directions, colours, backgrounds = make_rays(9)
    spec, rates = fused.field.spec, (1e-2, 1e-2, 0.9, 0.99, 1e-15, 0.0, True, None)
    torch.library.opcheck(
        torch.ops.fields.rbf_radiance_step.default,
        (
            *(origins, directions, None, colours, backgrounds, None, FULL, *march.args()),
            *(t for state in fused.states for t in state),
            *(fused.workspace, *spec.grid.args(), *spec.args()),
            *(100, 1e-4, 1e-3, 0, True, 0, 1, *rates),
        ),
    )
    parameters = [p.data for p in FusedRbf.parameters(fused.field)]
    torch.library.opcheck(
        torch.ops.fields.rbf_radiance_render.default,
        (
            *(origins, directions, None, FULL, *march.args(), *parameters),
            *(*spec.grid.args(), *spec.args(), 1e-4, 1e-3, 3, None),
        ),
    )
