"""The training step of a radiance field in one op, against plain torch at the same samples."""

import pytest
import reference
import reference_march
import torch

from fields import ops
from fields.models.radiance import RadianceField
from fields.ops.marched import STAGES

BETA = 0.9
SMALL = {"num_levels": 3, "base_resolution": 4, "growth": 2.0, "log2_table_size": 9}


def make_field(seed=0, **settings):
    """A field of visible structure: densities from 0.1 to 100."""
    field = RadianceField(**(SMALL | settings), seed=seed)
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
    """The state that a step keeps: of radiance_step, or of another op like it."""

    op = staticmethod(ops.radiance_step)

    def __init__(self, field):
        self.field = field
        self.states = [
            (p.detach().clone(), torch.zeros_like(p), torch.zeros_like(p))
            for p in self.parameters(field)
        ]
        self.workspace = ops.step_workspace(self.states[0][0], field.dim, field.spec.grid)
        self.count = 0

    @staticmethod
    def parameters(field):
        return field.table, field.density_params, field.colour_params

    def step(self, rays, bits, march, **settings):
        self.count += 1
        usual = {"samples": 2**40, "lr_table": 1e-2, "lr_params": 1e-2, "eps": 1e-8}
        return self.op(
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


def twin_step(field, rays, bits, march, loss="l2", seed=0, step=1, times=None, twin=twin):
    """Loss [], its values over rays [R] and gradients, of all samples; `twin` of the field."""
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


def test_weights_multiply_the_losses_of_rays():
    field, rays = make_field(), make_rays(300)
    march, bits = ops.MarchSpec(4, 0.05), torch.full((1, 1), -1)
    exact = {"min_weight": 0, "min_transmittance": 0}
    weights = torch.rand(300, generator=torch.Generator().manual_seed(2)) * 2
    fused, plain = Fused(field), Fused(field)
    value, errors, _ = fused.step(rays, bits, march, weights=weights, **exact)
    _, alike, _ = plain.step(rays, bits, march, **exact)
    assert torch.equal(errors, alike)
    assert value.item() == pytest.approx((weights * errors).mean().item(), rel=1e-5)
    ones, double = Fused(field), Fused(field)
    ones.step(rays, bits, march, weights=torch.ones(300), **exact)
    double.step(rays, bits, march, weights=torch.full((300,), 2.0), **exact)
    for a, b, twice in zip(plain.gradients(), ones.gradients(), double.gradients(), strict=True):
        assert torch.equal(a, b) and error(twice, 2 * a) < 1e-6
    some = Fused(field)  # weights of 0 leave rays out
    some.step(rays, bits, march, weights=(torch.arange(300) < 100).float(), **exact)
    part = Fused(field)
    part.step([x[:100] for x in rays], bits, march, **exact)
    for a, b in zip(some.gradients(), part.gradients(), strict=True):
        assert error(3 * a, b) < 1e-4


def test_a_moving_field_takes_times_as_its_fourth_coordinate():
    field, rays = make_field(dim=4), make_rays(120)
    times = torch.rand(120, generator=torch.Generator().manual_seed(4))
    march, bits = ops.MarchSpec(4, 0.05), torch.full((1, 1), -1)
    fused = Fused(field)
    value, _, _ = fused.step(rays, bits, march, times=times, min_weight=0, min_transmittance=0)
    expected, _, gradients = twin_step(field, rays, bits, march, times=times)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    for actual, twins in zip(fused.gradients(), gradients, strict=True):
        assert error(actual, twins) < 3e-3


@pytest.mark.kernel
def test_empty_cells_and_contraction_are_marched_as_by_march_rays():
    field = make_field()
    origins, directions, *rest = make_rays(200)
    rays = (origins * 0.2 + 0.4, directions, *rest)
    cells = torch.rand(1, 16, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.3
    march = ops.MarchSpec(16, 0.02, near=0.01, far=20, growth=1 / 24, contract=True)
    bits = bits_of(cells)
    fused = Fused(field)
    value, _, counts = fused.step(rays, bits, march, min_weight=0, min_transmittance=0)
    expected, _, gradients = twin_step(field, rays, bits, march)
    assert counts[2] == len(ops.march_rays(*rays[:2], bits, march, seed=0, step=1)[0])
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    for actual, twins in zip(fused.gradients(), gradients, strict=True):
        assert error(actual, twins) < 3e-3


@pytest.mark.kernel
def test_samples_of_little_weight_count_as_empty():
    """Of the loss: what a walk that leaves them out would see."""
    field, rays = make_field(), make_rays(200)
    march, bits = ops.MarchSpec(4, 0.05), torch.full((1, 1), -1)
    limit, end = 3e-2, 0.2
    value, _, counts = Fused(field).step(rays, bits, march, min_weight=limit, min_transmittance=end)
    origins, directions, colours, backgrounds = rays
    coords, _, dt, index, offsets = ops.march_rays(origins, directions, bits, march, seed=0, step=1)
    with torch.no_grad():
        sigma, rgb = field(coords, directions[index.long()])
    passed = torch.exp(-sigma * dt)
    total, kept = 0.0, 0
    for ray in range(200):
        left, seen = 1.0, torch.zeros(3)
        for i in range(int(offsets[ray]), int(offsets[ray + 1])):
            weight = left * (1 - passed[i])
            if weight < limit:
                continue
            kept += 1
            seen += weight * rgb[i]
            left *= passed[i]
            if left < end:
                break
        error = (seen + left * backgrounds[ray] - colours[ray]).square().mean().item()
        total += error / 200
    assert value.item() == pytest.approx(total, rel=1e-4)
    assert counts[2] == pytest.approx(kept, abs=3) and 0 < kept < counts[1] < len(coords)


def test_rays_are_used_until_there_are_samples_enough():
    field, rays = make_field(), make_rays(3000)
    march, bits = ops.MarchSpec(4, 0.05), torch.full((1, 1), -1)
    _, errors, counts = Fused(field).step(rays, bits, march, samples=10_000)
    used, run = int(counts[0]), 128  # a run is at most a sixteenth of the batch
    assert used % run == 0 and 0 < used < 3000 and counts[2] >= 10_000
    assert (errors[:used] > 0).all() and not errors[used:].any()
    _, _, fewer = Fused(field).step(rays, bits, march, samples=int(counts[2]) - 1)
    assert fewer.tolist() == counts.tolist()
    some = Fused(field).step([x[: used - run] for x in rays], bits, march, samples=10_000)
    assert some[2][0] == used - run and some[2][2] < 10_000


@pytest.mark.parametrize("given", [24, 100, 1000, 5000])
def test_a_batch_is_cut_within_a_run_of_the_samples_wanted(given):
    """In fog, where every ray has hundreds of samples, runs are of a few rays."""
    field = make_field()
    with torch.no_grad():
        field.density_params.zero_()  # a density of 1 everywhere
    march, bits = ops.MarchSpec(4, 0.005), torch.full((1, 1), -1)
    wanted = {"samples": 2000, "min_weight": 1e-4, "min_transmittance": 0}
    _, _, counts = Fused(field).step(make_rays(given), bits, march, **wanted)
    run = {24: 2, 100: 4, 1000: 32, 5000: 256}[given]
    used = int(counts[0])
    assert used % run == 0 and counts[2] >= 2000
    assert counts[2] * (used - run) < 2000 * used * 1.1  # without its last run it has too few
    assert counts[2] > 150 * used


def test_the_bits_do_not_depend_on_the_number_of_threads():
    field, rays = make_field(), make_rays(2500)
    march, bits = ops.MarchSpec(4, 0.05), torch.full((1, 1), -1)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            fused = Fused(field)
            steps = [fused.step(rays, bits, march, samples=12_000) for _ in range(3)]
            assert not fused.workspace.any()
            results.append([*(t for s in steps for t in s), *(t for s in fused.states for t in s)])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_field_learns_what_eight_rays_see():
    field, rays = make_field(), make_rays(8)
    fused = Fused(field)
    march, bits = ops.MarchSpec(4, 0.02), torch.full((1, 1), -1)
    losses = [fused.step(rays, bits, march, seed=None)[0].item() for _ in range(150)]
    assert losses[0] > 0.02 and losses[-1] < 1e-5


def test_no_samples_change_nothing_but_moments():
    field = make_field()
    origins, directions, colours, backgrounds = make_rays(40)
    fused = Fused(field)
    value, errors, counts = fused.step(
        (origins, -directions, colours, backgrounds), torch.zeros(1, 1).long(), ops.MarchSpec(4)
    )
    assert counts.tolist() == [40, 0, 0]
    expected = (backgrounds - colours).square().mean(1)
    torch.testing.assert_close(errors, expected)
    assert value.item() == pytest.approx(expected.mean().item(), rel=1e-5)
    assert torch.equal(fused.states[0][0], field.table)


def test_a_nan_reaches_the_loss():
    field, rays = make_field(), make_rays(64)
    march, bits = ops.MarchSpec(4, 0.05), torch.full((1, 1), -1)
    rays[2][5, 1] = float("nan")
    assert Fused(field).step(rays, bits, march)[0].isnan()
    with torch.no_grad():
        field.density_params[3] = float("nan")
    assert Fused(field).step(make_rays(64), bits, march)[0].isnan()


@pytest.mark.skipif(not ops.ACTIVE.bf16, reason="these kernels have no bf16 arithmetic")
def test_a_bf16_step_goes_the_same_way():
    rays, march, bits = make_rays(500), ops.MarchSpec(4, 0.05), torch.full((1, 1), -1)
    exact, rough = Fused(make_field()), Fused(make_field(precision="bf16"))
    for _ in range(20):
        a, b = (fused.step(rays, bits, march)[0].item() for fused in (exact, rough))
    assert b == pytest.approx(a, rel=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"origins": torch.zeros(9, 2)}, "origins must be"),
        ({"colours": torch.zeros(8, 3)}, "colours must be"),
        ({"backgrounds": torch.zeros(9, 4)}, "backgrounds must be"),
        ({"bits": torch.zeros(1, 2).long()}, "bits must be"),
        ({"times": torch.zeros(9)}, "table must have"),
        ({"weights": torch.zeros(8)}, "weights must be"),
        ({"table": "double"}, "table"),
        ({"density": "short"}, "density must be"),
        ({"colour": "short"}, "colour must be"),
        ({"workspace": torch.zeros(1, 8)}, "workspace must be"),
        ({"samples": 0}, "samples must be"),
        ({"step": 0}, "step must be"),
        ({"loss": "huber"}, "loss must be"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    field = make_field()
    fused = Fused(field)
    origins, directions, colours, backgrounds = make_rays(9)
    given = {
        "origins": origins,
        "directions": directions,
        "colours": colours,
        "backgrounds": backgrounds,
        "bits": torch.full((1, 1), -1),
        "march": ops.MarchSpec(4),
        "table": fused.states[0],
        "density": fused.states[1],
        "colour": fused.states[2],
        "workspace": fused.workspace,
        "step": 1,
        "samples": 100,
    }
    for name, value in change.items():
        if value == "double":
            value = tuple(t.double() for t in given[name])
        elif value == "short":
            value = tuple(t[:-1] for t in given[name])
        given[name] = value
    with pytest.raises(ValueError, match=message):
        ops.radiance_step(**given, spec=field.spec, lr_table=1e-2, lr_params=1e-2)


def test_opcheck():
    fused, march = Fused(make_field()), ops.MarchSpec(4, 0.2)
    origins, directions, colours, backgrounds = make_rays(9)
    spec = fused.field.spec
    torch.library.opcheck(
        torch.ops.fields.radiance_step.default,
        (
            *(origins, directions, None, colours, backgrounds, None, torch.full((1, 1), -1)),
            *march.args(),
            *(t for state in fused.states for t in state),
            fused.workspace,
            *spec.grid.args(),
            *spec.args(),
            *(100, 1e-4, 1e-3, 0, True, 0, 1, 1e-2, 1e-2, 0.9, 0.99, 1e-15, 0.0, True, None),
        ),
    )


def test_stages_are_timed_and_change_nothing():
    rays, march = make_rays(300), ops.MarchSpec(4, 0.2)
    bits = torch.full((1, 1), -1)
    plain, timed = Fused(make_field()), Fused(make_field())
    stages = torch.zeros(len(STAGES), dtype=torch.int64)
    plain.step(rays, bits, march)
    timed.step(rays, bits, march, stages=stages)
    assert (stages > 0).all()
    once = stages.clone()
    for ours, theirs in zip(plain.states, timed.states, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    timed.step(rays, bits, march, stages=stages)
    assert (stages > once).all()  # they are added to


@pytest.mark.parametrize("stages", [torch.zeros(6), torch.zeros(5, dtype=torch.int64)])
def test_stages_are_counted(stages):
    with pytest.raises(ValueError, match="stages"):
        Fused(make_field()).step(
            make_rays(9), torch.full((1, 1), -1), ops.MarchSpec(4, 0.2), stages=stages
        )
