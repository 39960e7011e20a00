"""Scenes that are read again: to go on with a fit, to be scored, to be looked at."""

import json
from typing import Any, cast

import numpy as np
import pytest
import scene_files as files
import torch
from scene_fits import FLAGS, SMALL, copied, make
from small import one_line

import fields
from fields import FieldsError
from fields.configs import SceneOptions
from fields.pictures import write_picture
from fields.plan import Stop
from fields.plan import make as plan_of
from fields.radiance_steps import LOOK_EVERY, MarchedStep
from fields.runs import SceneRun
from fields.runs.scene_bricks import eyes_of
from fields.scenes import read_scene
from fields.scenes.masks import require_masks
from fields.signals.scene import SceneSignal


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return make(tmp_path_factory.mktemp("scene") / "demo", views=8)


def fit(source, out, steps=3, **options):
    run = fields.fit(source, out=out, steps=steps, **SMALL, **options)
    assert isinstance(run, SceneRun)
    return run


def masked(folder, split, value):
    """A scene whose views of a split have masks of one value each, the last `value`."""
    path = folder / f"transforms_{split}.json"
    content = json.loads(path.read_text())
    for i, frame in enumerate(content["frames"]):
        last = i == len(content["frames"]) - 1
        write_picture(folder / f"m{i}.png", np.full((40, 40, 1), value if last else 255, np.uint8))
        frame["mask_path"] = f"m{i}.png"
    path.write_text(json.dumps(content))
    return folder


@pytest.fixture
def colmap(tmp_path):
    """COLMAP's form, with smaller copies of its images."""
    folder, _ = files.colmap(tmp_path / "photos")
    (folder / "images_2").mkdir()
    for i, path in enumerate(sorted((folder / "images").iterdir())):
        write_picture(folder / "images_2" / path.name, files.picture(i, 3, (6, 4)))
    return folder


def test_smaller_copies_are_those_that_are_scored_and_gone_on_with(colmap, tmp_path):
    run = fit(colmap, tmp_path / "run", downscale=2)
    again = run.source()
    assert (again.downscale, again.shrink) == (2, 1)
    assert again.frames[0].camera.width == 6
    assert run.scores(again)["psnr"] == pytest.approx(run.metrics["psnr"], abs=1e-3)
    assert run.metrics["downscale"] == 2
    on = fields.fit(colmap, out=run.path, steps=5, resume=True)
    assert on.steps == 5 and on.metrics["downscale"] == 2


@pytest.mark.parametrize("size", [(12, 8), (13, 9)])
def test_masks_of_whole_images_go_with_smaller_copies(colmap, size):
    (colmap / "masks").mkdir()
    white = np.full((size[1], size[0], 1), 255, np.uint8)
    white[:2, :2] = 0
    write_picture(colmap / "masks" / "view 00.png", white)
    scene = read_scene(colmap, downscale=2)
    images = fields.scenes.load_images(scene, "test")
    mask = images.mask(0)
    assert mask is not None and mask.shape == (4, 6) and mask.sum() == 23 and not mask[0, 0]


@pytest.mark.parametrize("options", [{"downscale": 2}, {"mask_of": "drop"}])
def test_a_run_goes_on_with_the_options_of_its_source(scene, tmp_path, options):
    folder = masked(copied(scene, tmp_path / "s"), "train", 0)
    run = fit(folder, tmp_path / "run", **options)
    on = fields.fit(folder, out=run.path, steps=5, resume=True)
    assert on.steps == 5
    (name, value), *_ = options.items()
    other = {"downscale": 4, "mask_of": "keep"}[name]
    with pytest.raises(FieldsError, match=f"was fitted with --{name.replace('_', '-')} {value}"):
        fields.fit(folder, out=run.path, steps=7, resume=True, **{name: other})


def test_another_lens_is_another_scene(tmp_path):
    folder = files.transforms(tmp_path / "s", {"k1": 0.01})
    run = fit(folder, tmp_path / "run")
    content = json.loads((folder / "transforms.json").read_text())
    files.write_json(folder / "transforms.json", content | {"k1": 0.02})
    with pytest.raises(FieldsError, match="was fitted to another scene"):
        fields.fit(folder, out=run.path, steps=5, resume=True)


def test_a_view_of_which_nothing_counts_is_left_out_of_the_score(scene, tmp_path, command):
    folder = masked(copied(scene, tmp_path / "s"), "test", 0)
    run = fit(folder, tmp_path / "run")
    assert run.metrics["left_out"] == 1 and run.metrics["views"] == 1
    assert np.isfinite(run.metrics["psnr"])
    status, out, _ = command("eval", run.path)
    assert status == 0 and "1 test view, 1 more of which no pixel counts" in out


def test_a_test_of_which_nothing_counts_is_refused_before_the_training(scene, tmp_path):
    folder = masked(copied(scene, tmp_path / "s"), "test", 255)
    require_masks(read_scene(folder), "test")
    with pytest.raises(FieldsError, match=r"no pixel of the test views .* --mask-of keep turns"):
        fit(folder, tmp_path / "run", mask_of="drop")
    assert not (tmp_path / "run").exists()


def test_a_split_that_is_not_there_is_said(tmp_path, command):
    folder = files.transforms(tmp_path / "s")
    run = fit(folder, tmp_path / "run")
    for verb in (
        ("render", run.path, "--split", "val", "-o", "v"),
        ("eval", run.path, "--split", "val"),
    ):
        status, out, err = command(*verb)
        assert status == 2 and out == "" and "has no split 'val'; it has" in one_line(err)
    assert not (tmp_path / "v").exists()


def test_a_target_without_validation_views_is_said(tmp_path, command):
    files.transforms(tmp_path / "s")
    status, _, err = command("fit", "s", "--steps", 3, "--target", 90, *FLAGS)
    assert status == 0 and "no validation split: the target is compared with views that are" in err


def test_what_moves_is_looked_at_at_other_times(tmp_path):
    scene = read_scene(make(tmp_path / "s", views=4, size=16, animate=True))

    signal = SceneSignal(scene, SceneOptions(), torch.device("cpu"))
    times = []

    class Told(torch.nn.Module):
        def density(self, coords, at):
            times.append(at)
            return coords[:, 0], None

    step = MarchedStep.__new__(MarchedStep)
    step.field, step.signal = cast("Any", Told()), signal
    step.plan = plan_of(Stop(steps=3), kind="scene", model="hashgrid", seed=0)
    coords = torch.rand(100, 3)
    for number in (1, 1 + LOOK_EVERY):
        look = step._density(number)
        look(coords)
        look(coords)
    assert len(times) == 8 and all(((t >= 0) & (t <= 1)).all() for t in times)
    assert all(not torch.equal(a, b) for i, a in enumerate(times) for b in times[:i])
    for first, second in zip(times[::2], times[1::2], strict=True):
        assert (first < 0.5).all() and (second >= 0.5).all()


def test_a_bake_looks_through_cameras_of_all_sides(demo_run):
    count = len(demo_run.rig.positions)
    eyes = eyes_of(demo_run)
    assert len(eyes.poses) == count == len(np.unique(eyes.poses[:, :, 3], axis=0))


def test_opaque_photos_with_alpha_are_photos(tmp_path):
    folder = files.transforms(tmp_path)
    for i, path in enumerate(sorted((folder / "images").iterdir())):
        opaque = files.picture(i, 4)
        opaque[..., 3] = 255
        write_picture(path, opaque)
    scene = read_scene(folder)
    assert not scene.alpha and scene.unbounded
    assert any("have alpha and are opaque" in note for note in scene.notes)
    write_picture(path, files.picture(9, 4))
    assert read_scene(folder).alpha


def test_a_field_without_density_ends_its_fit(scene, tmp_path, monkeypatch):
    def empty(self, step):
        return lambda coords: torch.zeros(len(coords))

    monkeypatch.setattr("fields.radiance_steps._RayStep._density", empty)
    with pytest.raises(FieldsError, match=r"has no density left; .* try a smaller --rate"):
        fit(scene, tmp_path / "run", steps=300)
