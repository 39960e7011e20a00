"""Coordinate-aware modulation by the direction of the view: whole rays, and no places."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from fits import same
from scene_fits import make
from small import one_line
from torch.nn import functional

import fields
from fields import FieldsError, catalogue, nerfacc
from fields.bricks import can_be_baked
from fields.configs import CamRadianceConfig, SceneOptions
from fields.configs.base import TooSmall
from fields.mlp import split_params
from fields.models.cam_radiance import CamRadiance, azimuth_and_elevation
from fields.occupancy import open_at, words_of
from fields.plan import Stop
from fields.plan import make as plan_of
from fields.radiance_steps import WholeRayStep, choose
from fields.runs import SceneRun
from fields.scenes import read_scene
from fields.signals.scene import SceneSignal
from fields.signals.view_score import view_psnr
from fields_viewer.subjects import subject_of

NETWORK = {"frequencies": 12, "width": 16, "depth": 2}
SMALL: dict[str, Any] = {**NETWORK, "view": True, "ray_samples": 32, "occupancy": 32}
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in NETWORK.items()]
GO_ON = torch.zeros(1, dtype=torch.uint8)


def made(**changed) -> CamRadiance:
    """A field whose grids are not at their initial values."""
    field = catalogue.build(CamRadianceConfig(3, 3, **{**SMALL, **changed}))
    generator = torch.Generator().manual_seed(1)
    field.table.data += 0.5 * torch.randn(field.table.shape, generator=generator)
    return field


def rays(count=24):
    """Some miss the cube."""
    generator = torch.Generator().manual_seed(2)
    origins = functional.normalize(torch.randn(count, 3, generator=generator), dim=1) * 1.5 + 0.5
    aim = 0.5 + 0.8 * torch.randn(count, 3, generator=generator)
    return origins, functional.normalize(aim - origins, dim=1)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return make(tmp_path_factory.mktemp("scene") / "demo")


def fit(scene, out, **options) -> SceneRun:
    run = fields.fit(scene, "cam", out=out, fresh=False, batch=4096, **{**SMALL, **options})
    assert isinstance(run, SceneRun)
    return run


@pytest.fixture(scope="module")
def fitted(scene, tmp_path_factory):
    options = {"steps": 300, "sigma": 2.0, "rate": 5e-3}
    return fit(scene, tmp_path_factory.mktemp("fitted") / "run", **options)


# ---- the method


def plainly(field, origin, direction):
    """Colour, opacity and depth of a ray, by the formulas of the papers; 0 where it misses."""
    sides = torch.stack([-origin / direction, (1 - origin) / direction])
    near, far = sides.amin(0).max().clamp(min=0), sides.amax(0).min()
    if far <= near:
        return torch.zeros(5).to(origin)
    samples = field.config.ray_samples
    t = near + (far - near) * (torch.arange(samples).to(origin) + 0.5) / samples
    cycles = 2 * math.pi * (origin + t[:, None] * direction) @ field.inner.frequencies.T
    x = torch.cat([cycles.cos(), cycles.sin()], 1)
    azimuth = math.atan2(direction[1], direction[0]) % (2 * math.pi) / (2 * math.pi) * 10
    elevation = (math.asin(direction[2]) / math.pi + 0.5) * 2
    i, j = int(azimuth), min(int(elevation), 1)
    a, b = azimuth - i, elevation - j
    layers = split_params(field.inner.params, x.shape[1], field.inner.mlp)
    for layer, (weight, bias) in enumerate(layers):
        assert bias is not None
        x = x @ weight.T + bias
        if layer == field.config.depth:
            break
        x = (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()  # of samples and features
        grid = field.table[layer, :, :, :, 0]
        lower = (1 - b) * grid[:, i % 10, j] + b * grid[:, i % 10, j + 1]
        upper = (1 - b) * grid[:, (i + 1) % 10, j] + b * grid[:, (i + 1) % 10, j + 1]
        gamma, beta = (1 - a) * lower + a * upper
        x = (gamma * x + beta).relu()
    rgb = field.colour(x[:, 1:], direction.expand(samples, 3))
    optical = x[:, 0].exp() * (far - near) / samples
    weights = torch.exp(optical - optical.cumsum(0)) * -torch.expm1(-optical)
    return torch.cat([weights @ rgb, weights.sum()[None], (weights @ t)[None]])


def test_a_ray_sees_what_the_formulas_say():
    field = made().double()
    origins, directions = (x.double() for x in rays())
    directions = functional.normalize(directions, dim=1)
    colours, opacity, depth = field.trace(origins, directions)
    actual = torch.cat([colours, opacity[:, None], depth[:, None]], 1)
    with torch.no_grad():
        expected = torch.stack(
            [plainly(field, o, d) for o, d in zip(origins, directions, strict=True)]
        )
    assert 4 < (opacity == 0).sum() < 20  # these miss
    torch.testing.assert_close(actual, expected, atol=1e-9, rtol=0)


def test_gradients_are_those_of_differences():
    field = made(width=6, depth=1, frequencies=3, ray_samples=8, degree=1).double()
    origins, directions = rays(4)
    names = ("inner.params", "table")
    held = {name: field.get_parameter(name).detach().requires_grad_() for name in names}

    def seen(*values):
        values = dict(zip(names, values, strict=True))
        return torch.func.functional_call(_Along(field), _within(values), (origins, directions))

    assert torch.autograd.gradcheck(seen, tuple(held.values()), eps=1e-6, atol=1e-6)


class _Along(torch.nn.Module):
    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, origins, directions):
        return self.field.along(origins, directions)


def _within(values):
    return {f"field.{name}": value for name, value in values.items()}


def test_a_ray_does_not_depend_on_the_others():
    field, (origins, directions) = made(), rays()
    colours = field.trace(origins, directions)[0]
    order = torch.randperm(len(origins))
    turned = field.trace(origins[order], directions[order])[0]
    torch.testing.assert_close(turned, colours[order], atol=1e-6, rtol=0)
    alone = torch.cat([field.trace(o[None], d[None])[0] for o, d in zip(*rays(), strict=True)])
    torch.testing.assert_close(alone, colours, atol=1e-6, rtol=0)


def test_nothing_jumps_where_the_azimuth_begins_again_and_elevation_has_its_whole_span():
    angles = torch.tensor([-1e-4, 1e-4, math.pi - 1e-4, math.pi + 1e-4, 1.0, 1.0 + 2 * math.pi])
    around = torch.stack([angles.cos(), angles.sin(), torch.zeros(6)], 1)
    places = azimuth_and_elevation(around)
    assert places[0, 0] > 0.999 and places[1, 0] < 0.001
    assert torch.allclose(places[:, 1], torch.full((6,), 0.5))
    field, origins = made(), 0.5 - 1.5 * around
    colours = field.trace(origins, around)[0]
    for a, b in ((0, 1), (2, 3), (4, 5)):
        torch.testing.assert_close(colours[a], colours[b], atol=1e-3, rtol=0)
    assert (colours[0] - colours[2]).abs().max() > 0.02
    up = azimuth_and_elevation(torch.tensor([[0.0, 0, 1], [0, 0, -1], [0.6, 0, 0.8]]))
    assert up[:2, 1].tolist() == [1, 0] and 0.5 < up[2, 1] < 1


def test_samples_are_jittered_in_training_alone_and_as_the_seed_says():
    field, (origins, directions) = made(), rays()

    def seen(**how):
        return field.along(origins, directions, **how)[0].detach()

    assert torch.equal(seen(), seen()) and torch.equal(seen(seed=1, step=2), seen(seed=1, step=2))
    assert not torch.equal(seen(seed=1, step=2), seen(seed=1, step=3))
    assert not torch.equal(seen(seed=1, step=2), seen())


def test_the_norm_can_be_left_out_and_so_can_the_grids():
    origins, directions = rays()
    field = made()
    plain = made(normalise="none")
    plain.load_state_dict(field.state_dict())
    assert not torch.allclose(
        field.trace(origins, directions)[0], plain.trace(origins, directions)[0], atol=1e-2
    )
    alone = catalogue.build(CamRadianceConfig(3, 3, **SMALL, grids=False))
    assert "table" not in alone.state_dict()
    assert alone.config.parameters == sum(p.numel() for p in alone.parameters())


# ---- its settings


def test_the_configuration_counts_what_the_module_holds():
    field = made()
    assert field.config.parameters == sum(p.numel() for p in field.parameters())
    assert field.config.stored == sum(t.numel() for t in field.state_dict().values())
    assert type(field.config).from_dict(field.config.as_dict()) == field.config
    small = CamRadianceConfig.for_signal(3, (99, 99, 99), max_parameters=20_000, **SMALL)
    free = {name: value for name, value in SMALL.items() if name != "width"}
    large = CamRadianceConfig.for_signal(3, (99, 99, 99), max_parameters=20_000, **free)
    assert small.width == 16 < large.width and large.stored + large.bits <= 20_000
    with pytest.raises(TooSmall) as error:
        CamRadianceConfig.for_signal(3, (99, 99, 99), max_parameters=100, **free)
    least = error.value.least
    found = CamRadianceConfig.for_signal(3, (99, 99, 99), max_parameters=least, **free)
    assert found.stored + found.bits <= least


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"dim": 4}, "view is for scenes at rest"),
        ({"contract": True}, "view is for scenes with an end"),
        ({"over": "0,1"}, "over means nothing with view, whose grids have 10 x 3 knots"),
        ({"grid_size": 8}, "grid_size means nothing with view"),
        ({"modulation": "feature"}, "modulation means nothing with view"),
        ({"ray_samples": 4}, "ray_samples must be at least 8"),
    ],
)
def test_what_does_not_go_with_it_is_refused(changed, line):
    with pytest.raises(FieldsError, match=line):
        CamRadianceConfig(3, **{**SMALL, **changed})


def test_the_command_refuses_in_one_line_and_writes_nothing(scene, tmp_path, command):
    moving = make(tmp_path / "moving", views=4, size=16, animate=True)
    for arguments, line in [
        ((moving, "--view"), "--view is for scenes at rest"),
        ((scene, "--view", "--over", "0"), "--over means nothing with --view"),
        ((scene, "--view", "--grid-size", "9"), "--grid-size means nothing with --view"),
        ((scene, "--ray-samples", "64"), "--ray-samples is for --view; leave it away"),
    ]:
        status, _, err = command("fit", *arguments, "--model", "cam", "--no-fresh", "-o", "run")
        assert status == 2 and line in one_line(err)
        assert not (tmp_path / "run").exists()


# ---- a fit


def test_a_short_fit_shows_what_no_constant_picture_does(fitted):
    photo = next(fitted.views(fitted.source())).photo
    constant = view_psnr(np.broadcast_to(photo.mean((0, 1)), photo.shape), photo)
    assert constant is not None and fitted.metrics["psnr"] > constant + 1
    assert fitted.field.state_dict()["table"][:, 0].std() > 0.01
    assert (fitted.field.occupancy.bits == -1).all()  # nothing is taken for empty


def test_every_step_has_as_many_samples(scene):
    signal = SceneSignal(read_scene(scene), SceneOptions(), torch.device("cpu"))
    plan = plan_of(Stop(steps=9), kind="scene", model="cam", batch=2048)
    step = choose(made(), signal, plan, "l2")
    assert isinstance(step, WholeRayStep)
    counts = []
    for number in range(1, 4):
        step(number, 1.0)
        counts.append(int(step.count))
    assert counts == [2048 // SMALL["ray_samples"]] * 3


@pytest.mark.parametrize("pixels", ["uniform", "error"])
def test_what_is_gone_on_with_equals_what_was_never_stopped(scene, tmp_path, pixels):
    options = {"pixels": pixels, "target": 60.0}  # never reached; the rate of fits without an end
    whole = fit(scene, tmp_path / "a", steps=20, **options)
    fit(scene, tmp_path / "b", steps=10, **options)
    on = fields.fit(scene, out=tmp_path / "b", steps=20, resume=True, target=60.0)
    assert same(on.field.state_dict(), whole.field.state_dict())


def test_weights_of_8_bits_and_a_size(scene, tmp_path):
    free = {name: value for name, value in SMALL.items() if name != "width"}
    run = fields.fit(
        scene, "cam", out=tmp_path / "run", steps=2, size_kb=40, bits=8, batch=2048, **free
    )
    assert isinstance(run, SceneRun) and run.field.of_rays
    size = (run.path / "field.safetensors").stat().st_size
    assert 20_000 < size <= 40_000
    again = fields.load(run.path)
    assert isinstance(again, SceneRun)
    assert np.array_equal(again.render((16, 16)), run.render((16, 16)))


# ---- without places


def test_what_asks_for_places_is_refused_in_one_line(fitted, command, tmp_path):
    field = fitted.field
    for ask in (
        lambda: field.density(torch.rand(2, 3)),
        lambda: field(torch.rand(2, 3), torch.rand(2, 3)),
        lambda: nerfacc.roi_of(field),
        lambda: fitted.mesh(16),
    ):
        with pytest.raises(FieldsError, match="depends on who looks at it: it has no mesh"):
            ask()
    assert not can_be_baked(field)
    geometry = fitted.source().path / "geometry.ply"
    for line in (("mesh", fitted.path), ("mesh", fitted.path, "--points", 9),
                 ("eval", fitted.path, geometry)):  # fmt: skip
        status, out, err = command(*line)
        assert status == 2 and out == "" and "it has no mesh" in one_line(err)
    assert not list(tmp_path.iterdir()) and not (fitted.path / "mesh.glb").exists()


def test_drawing_can_be_cancelled():
    with pytest.raises(RuntimeError, match="cancelled"):
        made().trace(*rays(), cancel=torch.ones(1, dtype=torch.uint8))


def test_the_viewer_draws_the_field_and_crops_it_without_its_density(fitted):
    subject: Any = subject_of(fitted)
    settings = {setting.name: setting.value for setting in subject.settings()}
    assert "threshold" not in settings
    assert "occupancy" not in next(s.choices for s in subject.settings() if s.name == "output")
    assert not subject.can_bake(True)
    camera = fitted.view((40, 40))
    drawn = subject.draw(camera, settings, GO_ON)[0]
    assert np.abs(drawn.astype(int) - fitted.render(camera=camera)).max() <= 1
    box = np.asarray(subject.box(), float)
    box[0] = box[1] - 0.01
    cut = subject.draw(camera, settings | {"box": box.ravel().tolist()}, GO_ON)[0]
    assert (cut == 255).mean() > 0.9 > (drawn == 255).mean()


def test_cells_of_nested_cubes():
    n, coords = 4, torch.tensor([[0.5, 0.5, 0.55], [0.51, 0.7, 0.5], [0.1, 0.9, 0.5]])
    kept = torch.ones(2, n, n, n, dtype=torch.bool)
    kept[0, 2, 3, 2] = False  # z, y, x of the inner cube, from 0.25 to 0.75
    kept[1, 2, 3, 0] = False
    bits = torch.stack([words_of(cells) for cells in kept])
    assert open_at(bits, n, coords).tolist() == [True, False, False]
    kept[:] = True
    assert open_at(torch.stack([words_of(cells) for cells in kept]), n, coords).all()
