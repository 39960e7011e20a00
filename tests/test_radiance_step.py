"""The training step of a radiance field in one op, against plain torch at the same samples."""

import pytest
import reference
import reference_march
import torch

from fields import ops
from fields.configs.radiance import RadianceConfig
from fields.models.radiance import RadianceField

BETA = 0.9
SMALL = {"num_levels": 3, "base_resolution": 4, "growth": 2.0, "log2_table_size": 9}


def make_field(seed=0, **settings):
    """A field of visible structure: densities from 0.1 to 100."""
    field = RadianceField(RadianceConfig(**(SMALL | settings), seed=seed))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        field.table.copy_(torch.randn(field.table.shape, generator=generator))
        field.density_params.mul_(1.5)
    return field


def make_rays(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn(count, 3, generator=generator) * 0.4 + torch.tensor([0.5, 0.5, -1.5])
    targets = torch.rand(count, 3, generator=generator) * 0.8 + 0.1
    directions = torch.nn.functional.normalize(targets - origins, dim=1)
    colours, backgrounds = torch.rand(2, count, 3, generator=generator)
    return origins, directions, colours, backgrounds


def bits_of(cells):
    """Occupancy of a bool [C, n, n, n]."""
    none = torch.zeros(0, dtype=torch.int64)
    return ops.occupancy_update(cells.float(), none, torch.zeros(0), decay=1.0, threshold=0.5)


class Fused:
    """The state that radiance_step keeps."""

    def __init__(self, field):
        self.field = field
        self.states = [
            (p.detach().clone(), torch.zeros_like(p), torch.zeros_like(p))
            for p in (field.table, field.density_params, field.colour_params)
        ]
        self.workspace = ops.step_workspace(self.states[0][0], field.dim, field.spec.grid)
        self.count = 0

    def step(self, rays, bits, march, **settings):
        self.count += 1
        usual = {"samples": 2**40, "lr_table": 1e-2, "lr_params": 1e-2, "eps": 1e-8}
        return ops.radiance_step(
            *rays,
            bits,
            march,
            *self.states,
            self.workspace,
            self.field.spec,
            step=self.count,
            **(usual | settings),
        )

    def gradients(self):
        """Those of the first step, from Adam's first moment."""
        assert self.count == 1
        return [m.double() / (1 - BETA) for _, m, _ in self.states]


def twin(field, dtype=torch.float64):
    """Parameters, and the field as a function of them in plain torch."""
    leaves = [p.detach().to(dtype).requires_grad_() for p in field.parameters()]

    def evaluate(coords, directions, times=None):
        table, density, colour = leaves
        if times is not None:
            coords = torch.cat([coords, times[:, None]], 1)
        raw = reference.grid_mlp(coords, table, density, field.spec.grid, field.spec.density)
        harmonics = reference_march.harmonics(directions)[:, : field.spec.degree**2].to(dtype)
        rgb = reference.mlp(torch.cat([raw, harmonics], 1), colour, field.spec.colour)
        return raw[:, 0].clamp(max=15).exp(), rgb

    return leaves, evaluate


def twin_step(field, rays, bits, march, loss="l2", seed=0, step=1, times=None):
    """Loss [], its values over rays [R] and gradients, of all samples."""
    origins, directions, colours, backgrounds = rays
    coords, t, dt, index, offsets = ops.march_rays(
        origins, directions, bits, march, seed=seed, step=step
    )
    leaves, evaluate = twin(field)
    own = None if times is None else times.double()[index.long()]
    sigma, rgb = evaluate(coords.double(), directions.double()[index.long()], own)
    seen, opacity, _, _ = reference_march.composite(sigma, rgb, t.double(), dt.double(), offsets)
    values = seen + (1 - opacity)[:, None] * backgrounds
    errors = torch.stack(
        [reference.LOSSES[loss](v, c.double()) for v, c in zip(values, colours, strict=True)]
    )
    return errors.mean(), errors, torch.autograd.grad(errors.mean(), leaves)


def error(actual, expected):
    return ((actual - expected).norm() / expected.norm()).item()


@pytest.mark.kernel
@pytest.mark.parametrize("loss", ["l2", "l1"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"features_per_level": 2, "density_width": 32, "colour_width": 32, "degree": 2},
        {"density_depth": 2, "colour_depth": 2, "interpolation": "smoothstep"},
        {"density_depth": 0, "colour_width": 20, "degree": 1},
    ],
    ids=["usual", "small", "deep", "odd"],
)
def test_loss_and_gradients_equal_plain_torch(loss, settings):
    field, rays = make_field(**settings), make_rays(300)
    march = ops.MarchSpec(4, 0.05)
    bits = bits_of(torch.ones(1, 4, 4, 4, dtype=torch.bool))
    fused = Fused(field)
    value, errors, counts = fused.step(
        rays, bits, march, loss=loss, min_weight=0, min_transmittance=0
    )
    expected, each, gradients = twin_step(field, rays, bits, march, loss)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(errors.double(), each, rtol=1e-4, atol=1e-6)
    assert counts[0] == 300 and counts[1] == counts[2] > 3000
    for actual, twins in zip(fused.gradients(), gradients, strict=True):
        # A unit within rounding of zero may be on in one and off in the other.
        assert error(actual, twins) < 3e-3
