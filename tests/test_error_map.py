"""Rays that go where the views of a scene are still wrong."""

import numpy as np
import pytest
import torch
from scene_fits import SMALL, change, copied, make
from scipy.stats import chi2

from fields.configs import SceneOptions
from fields.models.radiance import RadianceField
from fields.plan import Stop
from fields.plan import make as plan_of
from fields.radiance_steps import LOOK_EVERY, FusedRayStep, MarchedStep
from fields.scenes import read_scene
from fields.signals.error_map import PRIOR, SHARE, SIDE, ErrorMap
from fields.signals.scene import SceneSignal


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return make(tmp_path_factory.mktemp("scene") / "demo", views=6)


def signal_of(folder, **options):
    return SceneSignal(read_scene(folder), SceneOptions(**options), torch.device("cpu"))


def weights(views):
    """An error for each pixel: of view 2 large at the left, elsewhere small."""
    images, height, width = views.pixels.shape[:3]
    wrong = torch.full((images, height, width), 0.01)
    wrong[2, :, : width // 2] = 1.0
    return wrong.flatten()


def by_tiles(values, views):
    """The mean of pixels over each tile, spread over its pixels again."""
    images, height, width = views.pixels.shape[:3]
    result = values.view(images, height, width).clone()
    for y in range(0, height, SIDE):
        for x in range(0, width, SIDE):
            part = result[:, y : y + SIDE, x : x + SIDE]
            part[:] = part.mean((1, 2), keepdim=True)
    return result.flatten()


def test_half_of_the_rays_are_drawn_by_the_errors_of_tiles_and_half_anywhere(scene):
    signal = signal_of(scene, pixels="error")
    views, errors = signal.views, ErrorMap(signal.views)
    wrong = weights(views)
    every = torch.arange(len(wrong)).repeat(10_000 // SIDE**2)
    errors.add(every, wrong[every])
    errors.follow()
    drawn = signal.rays(200_000, 0, 1, errors).pixels
    known = by_tiles(wrong, views)  # the prior has next to no weight by now
    expected = SHARE * known / known.sum() + (1 - SHARE) / len(wrong)
    counts = drawn.bincount(minlength=len(wrong)).double()
    wanted = 200_000 * expected.double()
    far = ((counts - wanted).square() / wanted).sum().item()
    assert far < chi2.ppf(0.999, len(wanted) - 1)
    assert counts[wrong == 1].mean() > 3 * counts[wrong < 1].mean()


def test_weights_make_the_expected_loss_that_of_all_pixels_alike(scene):
    """Exactly, summed over what may be drawn; and about so, of what is."""
    signal = signal_of(scene, pixels="error")
    errors, wrong = ErrorMap(signal.views), weights(signal.views)
    every = torch.arange(len(wrong))
    for step in range(1, 5):
        rays = signal.rays(60_000, 0, step, errors)
        assert rays.weights is not None and rays.weights.max() <= 1 / (1 - SHARE)
        mean = (rays.weights * wrong[rays.pixels]).mean().item()
        assert mean == pytest.approx(wrong.mean().item(), rel=0.04)
        shares = errors.tensors()["pixels.shares"]
        of_pixel = (shares / sizes_of(signal.views))[tiles_of(signal.views)]
        assert of_pixel.sum().item() == pytest.approx(1)
        expected = (of_pixel * errors.weights(every) * wrong).sum()
        assert expected.item() == pytest.approx(wrong.mean().item(), rel=1e-6)
        errors.add(rays.pixels, wrong[rays.pixels])
        errors.follow()
    assert wrong[rays.pixels].mean() > 2 * wrong.mean()


def tiles_of(views):
    """The tile of every pixel."""
    images, height, width = views.pixels.shape[:3]
    image, y, x = torch.unravel_index(torch.arange(images * height * width), views.pixels.shape[:3])
    rows, columns = -(-height // SIDE), -(-width // SIDE)
    return (image * rows + y // SIDE) * columns + x // SIDE


def sizes_of(views):
    """Pixels of every tile."""
    return tiles_of(views).bincount().double()


def test_a_tile_without_rays_is_taken_to_be_as_wrong_as_the_mean(scene):
    signal = signal_of(scene, pixels="error")
    errors = ErrorMap(signal.views)
    before = errors.tensors()["pixels.shares"].clone()
    errors.follow()
    assert torch.allclose(errors.tensors()["pixels.shares"], before)  # nothing is known: all alike
    errors.add(torch.tensor([0] * 12 + [SIDE] * 4), torch.tensor([1.0] * 12 + [0.0] * 4))
    errors.follow()
    shares = errors.tensors()["pixels.shares"]
    mean = 12 / 16
    of_mean = mean * (before.sum() - before[:2].sum())
    known = torch.tensor([(12 + PRIOR * mean) / (12 + PRIOR), PRIOR * mean / (4 + PRIOR)])
    total = (before[:2] * known).sum() + of_mean
    expected = SHARE * before[:2] * known / total + (1 - SHARE) * before[:2]
    assert torch.allclose(shares[:2], expected, rtol=1e-6)
    assert shares.sum().item() == pytest.approx(1)


def test_masked_pixels_are_never_drawn_and_the_others_of_a_tile_alike(scene, tmp_path):
    folder = copied(scene, tmp_path / "sizes")
    change(folder, "train/r_1*.png", lambda pixels: pixels[::2, ::2])
    for path in folder.glob("train/r_1*_depth.png"):
        path.unlink()
    signal = signal_of(folder, pixels="error")
    errors = ErrorMap(signal.views)
    assert signal.views.among is not None and errors.among is not None
    wrong = weights(signal.views)
    errors.add(signal.views.among, wrong[signal.views.among])
    errors.follow()
    drawn = signal.rays(100_000, 0, 1, errors).pixels
    kept = torch.zeros(len(wrong), dtype=torch.bool)
    kept[signal.views.among] = True
    assert kept[drawn].all() and not kept.all()
    counts = drawn.bincount(minlength=len(wrong)).view(6, 40, 40)[2, :SIDE, :SIDE].double()
    far = ((counts - counts.mean()).square() / counts.mean()).sum().item()
    assert far < chi2.ppf(0.999, SIDE**2 - 1)


def test_both_kinds_of_steps_weigh_rays_alike(scene):
    """The first step behind a map that knows errors."""
    found = []
    for kind in (FusedRayStep, MarchedStep):
        signal = signal_of(scene, pixels="error", background="black")
        sizes = {name: value for name, value in SMALL.items() if name != "batch"}
        plan = plan_of(Stop(steps=10), kind="scene", model="hashgrid", batch=1 << 20)  # all rays
        step = kind(RadianceField(**sizes), signal, plan, "l2")
        step.count.fill_(512)
        assert step.error_map is not None
        every = torch.arange(len(weights(signal.views)))
        step.error_map.add(every, weights(signal.views))
        loss = step(1, 1.0)
        assert step.error_map.weights(every).min() < 0.5
        moments = {name: moment.clone() for name, moment in step.moments.first.items()}
        found.append((loss.item(), moments))
    (a, fused), (b, marched) = found
    assert a == pytest.approx(b, rel=1e-3)
    for name, moment in fused.items():
        assert (moment - marched[name]).norm() < 0.02 * marched[name].norm(), name


@pytest.mark.parametrize("kind", [FusedRayStep, MarchedStep])
def test_a_step_notes_where_its_rays_were_wrong(scene, kind):
    """By what they saw: one view is of another scene, which no field can explain."""
    signal = signal_of(scene, pixels="error", background="black")
    signal.views.pixels[4] = torch.from_numpy(
        np.random.default_rng(0).integers(0, 255, (40, 40, 4), np.uint8, True)
    )
    sizes = {name: value for name, value in SMALL.items() if name != "batch"}
    plan = plan_of(Stop(steps=200), kind="scene", model="hashgrid", batch=2048)
    step = kind(RadianceField(**sizes), signal, plan, "l2")
    for number in range(1, 6 * LOOK_EVERY + 2):
        step(number, 1.0)
    assert step.error_map is not None
    shares = step.error_map.tensors()["pixels.shares"].view(6, -1).sum(1)
    assert shares.argmax() == 4 and shares[4] > 1.3 / 6
    assert {"pixels.errors", "pixels.rays", "pixels.shares", "pixels.upto"} <= step.tensors().keys()


def test_without_the_option_nothing_is_kept(scene):
    signal = signal_of(scene)
    assert signal.error_map() is None
    rays = signal.rays(50, 0, 1)
    assert rays.weights is None
