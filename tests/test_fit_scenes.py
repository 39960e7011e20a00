"""Scenes as sources of a fit: what is learned, kept, gone on with and refused."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fits import same
from scene_fits import FLAGS, SMALL, change, copied, make, opaque
from small import one_line

import fields
from fields import FieldsError
from fields.catalogue import SCENE_MODELS, build
from fields.cli import main
from fields.configs import SceneOptions, settings
from fields.fresh.options import Fresh
from fields.lens import Perspective
from fields.pictures import write_picture
from fields.plan import Stop
from fields.plan import make as plan_of
from fields.radiance_steps import FOG_UNTIL, FusedRayStep, MarchedStep
from fields.runs import SceneRun
from fields.scenes import read_scene
from fields.signals.scene import SceneSignal
from fields.signals.view_score import view_psnr

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return make(tmp_path_factory.mktemp("scene") / "demo")


@pytest.fixture(scope="module")
def fitted(scene, tmp_path_factory):
    return fit(scene, tmp_path_factory.mktemp("fitted") / "run", steps=200)


def fit(source, out, steps=3, **options):
    run = fields.fit(source, out=out, steps=steps, **SMALL, **options)
    assert isinstance(run, SceneRun)
    return run


def test_a_short_fit_shows_what_no_constant_picture_does(fitted):
    photo = next(fitted.views(fitted.source())).photo
    constant = view_psnr(np.broadcast_to(photo.mean((0, 1)), photo.shape), photo)
    assert constant is not None and fitted.metrics["psnr"] > constant + 3
    assert fitted.metrics["split"] == "test" and fitted.metrics["views"] == 4
    assert (fitted.path / "preview.png").stat().st_size > 1000


def test_the_same_seed_gives_the_same_bytes_and_steps_may_be_taken_in_parts(scene, tmp_path):
    field = "field.safetensors"
    whole = fit(scene, tmp_path / "a", 40)
    again = fit(scene, tmp_path / "b", 40)
    assert (whole.path / field).read_bytes() == (again.path / field).read_bytes()
    part = fit(scene, tmp_path / "c", 20)
    on = fields.fit(scene, out=part.path, steps=40, resume=True)
    assert on.steps == 40
    other = fit(scene, tmp_path / "d", 40, seed=1)
    assert not same(other.field.state_dict(), whole.field.state_dict())


MODELS = {
    "hashgrid": {},
    "rbf": {"kernels": 8},
    "triplane": {"resolution": 16, "features": 4, "width": 16, "depth": 1},
}


def small(model):
    """Options of a small field of a model."""
    known = {item.name for item in settings(SCENE_MODELS[model].config)}
    own = {name: value for name, value in SMALL.items() if name in known}
    return own | MODELS[model] | {"batch": SMALL["batch"]}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("pixels", ["uniform", "error"])
def test_what_is_gone_on_with_equals_what_was_never_stopped(scene, tmp_path, model, pixels):
    """Of a fit whose plan is one: a checkpoint in its midst, and the steps behind it."""
    # The target is never reached; the rate is that of fits without an end.
    options = {"model": model, "pixels": pixels, "target": 60.0, **small(model)}
    whole = fields.fit(scene, out=tmp_path / "a", steps=40, **options)
    fields.fit(scene, out=tmp_path / "b", steps=20, **options)
    on = fields.fit(scene, out=tmp_path / "b", steps=40, resume=True, target=60.0)
    assert same(on.field.state_dict(), whole.field.state_dict())
    by = on.config["signal"]["options"]["pixels"]
    assert by == pixels
    other = {"uniform": "error", "error": "uniform"}[pixels]
    with pytest.raises(FieldsError, match="--pixels"):
        fields.fit(scene, out=tmp_path / "b", steps=41, resume=True, pixels=other)


def test_steps_have_as_many_samples_in_fog_as_later(tmp_path):
    """Out of doors, where a ray has hundreds of samples until something stops it."""
    folder = make(tmp_path / "out", views=4, size=24, outdoors=True)
    signal = SceneSignal(read_scene(folder), SceneOptions(), torch.device("cpu"))
    config = SCENE_MODELS["hashgrid"].config.for_signal(
        3, signal.shape, num_levels=4, log2_table_size=10, **signal.decided
    )
    batch = 4096
    plan = plan_of(Stop(steps=100), kind="scene", model="hashgrid", batch=batch)
    step = FusedRayStep(build(config), signal, plan, "l2")
    kept, op = [], step.op.step

    def counted(*tensors, **settings):
        result = op(*tensors, **settings)
        kept.append(result[2].tolist())
        return result

    step.op = step.op._replace(step=counted)
    for number in range(1, 13):
        step(number, 1.0)
    rays, _, samples = np.array(kept).T
    assert samples[4:].min() >= batch and samples.max() < 1.6 * batch
    assert rays.max() < 100


def test_weights_do_not_depend_on_test_images(scene, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 4), np.uint8, True)
    folder = copied(scene, tmp_path / "noisy")
    change(folder, "test/*.png", lambda pixels: noise)
    clean, noisy = fit(scene, tmp_path / "a", 10), fit(folder, tmp_path / "b", 10)
    assert same(clean.field.state_dict(), noisy.field.state_dict())
    assert clean.metrics["psnr"] != noisy.metrics["psnr"]


SHARED = {"num_levels", "log2_table_size", "occupancy", "march_steps"}


@pytest.mark.parametrize("model", ["hashgrid", "rbf"])
def test_the_fused_step_and_autograd_take_the_same_first_step(model, scene):
    signal = SceneSignal(read_scene(scene), SceneOptions(), torch.device("cpu"))
    options = {name: value for name, value in SMALL.items() if name in SHARED}
    config = SCENE_MODELS[model].config.for_signal(3, signal.shape, **options)
    plan = plan_of(Stop(steps=10), kind="scene", model=model, batch=1 << 20)  # for all rays
    found = []
    for kind in (FusedRayStep, MarchedStep):
        field = build(config)
        step = kind(field, signal, plan, "l2")
        step.count.fill_(512)
        loss = step(1, 1.0)
        found.append((float(loss), {n: step.moments.first[n].clone() for n in step.moments.first}))
    (a, fused), (b, marched) = found
    assert a == pytest.approx(b, rel=1e-3)
    for name, moment in fused.items():
        error = (moment - marched[name]).norm() / marched[name].norm()
        assert error < 0.02, name


@pytest.mark.parametrize("kind", [FusedRayStep, MarchedStep])
@pytest.mark.parametrize(("step", "sees"), [(2, True), (FOG_UNTIL, True), (FOG_UNTIL + 2, False)])
def test_nothing_counts_as_empty_in_the_first_steps(scene, kind, step, sees):
    """However empty the occupancy says that all is."""
    signal = SceneSignal(read_scene(scene), SceneOptions(), torch.device("cpu"))
    sizes = {name: value for name, value in SMALL.items() if name != "batch"}
    config = SCENE_MODELS["hashgrid"].config.for_signal(3, signal.shape, **sizes)
    plan = plan_of(Stop(steps=1000), kind="scene", model="hashgrid", batch=2048)
    take = kind(build(config), signal, plan, "l2")
    take.occupancy.bits.zero_()
    before = take.field.table.detach().clone()
    take(step, 1.0)
    assert torch.equal(take.field.table, before) is not sees


@pytest.mark.parametrize("made", [{"lens": Perspective((-0.2, 0.05, 0, 0))}, {"differ": True}])
def test_lenses_and_cameras_that_differ(made, tmp_path):
    folder = make(tmp_path / "scene", views=8, size=24, **made)
    assert fit(folder, tmp_path / "run", 60).metrics["psnr"] > 10


def test_a_scene_that_moves_has_a_fourth_coordinate(tmp_path):
    folder = make(tmp_path / "scene", views=8, size=24, animate=True)
    run = fit(folder, tmp_path / "run", 40)
    assert run.moves and run.field.dim == 4 and run.described == "a scene that moves"
    assert not np.array_equal(run.render((16, 16), time=0.0), run.render((16, 16), time=1.0))


def test_a_modulated_network_learns_a_scene_that_moves(tmp_path):
    folder = make(tmp_path / "scene", views=8, size=24, animate=True)
    small = {"width": 16, "depth": 2, "frequencies": 16, "occupancy": 32, "march_steps": 64}
    run = fields.fit(folder, "cam", out=tmp_path / "run", steps=60, batch=2048, **small)
    assert isinstance(run, SceneRun)
    options = run.config["config"]
    assert run.field.dim == 4 and options["over"] == "3" and options["output_activation"] == "none"
    assert run.metrics["psnr"] > 10
    assert not np.array_equal(run.render((16, 16), time=0.0), run.render((16, 16), time=1.0))
    gammas = run.field.state_dict()["inner.table"][:, 0]
    assert gammas.std() > 0


def left_half(other, pixels):
    """The rest is another value."""
    return np.where(np.arange(40)[:, None] < 20, pixels, np.uint8(other))


def test_masks_of_both_senses_leave_the_same_pixels(scene, tmp_path):
    runs = []
    for mask_of in ("keep", "drop"):
        folder = copied(scene, tmp_path / mask_of)
        mask = np.zeros((40, 40), np.uint8)
        mask[:, :20] = 255
        write_picture(folder / "mask.png", mask if mask_of == "keep" else 255 - mask)
        path = folder / "transforms_train.json"
        content = json.loads(path.read_text())
        for frame in content["frames"]:
            frame["mask_path"] = "mask.png"
        path.write_text(json.dumps(content))
        other = {"keep": 0, "drop": 99}[mask_of]  # what is masked may be anything
        change(folder, "train/*.png", partial(left_half, other))
        runs.append(fit(folder, tmp_path / f"run-{mask_of}", 8, mask_of=mask_of))
    assert same(runs[0].field.state_dict(), runs[1].field.state_dict())


def test_images_of_several_sizes(scene, tmp_path):
    folder = copied(scene, tmp_path / "sizes")
    change(folder, "train/r_1*.png", lambda pixels: pixels[::2, ::2])
    for path in folder.glob("train/r_1*_depth.png"):
        path.unlink()
    run = fit(folder, tmp_path / "run", 60)
    assert run.metrics["psnr"] > 10


def test_cells_of_time_are_of_scenes_that_move(scene, tmp_path):
    with pytest.raises(FieldsError, match="--time-cells is of scenes that move; no view of"):
        fit(scene, tmp_path / "run", 2, time_cells=4)
    assert not (tmp_path / "run").exists()


def test_images_without_alpha_have_their_background_within(scene, tmp_path):
    folder = copied(scene, tmp_path / "opaque")
    change(folder, "*/*.png", opaque)
    with pytest.raises(FieldsError, match="--background is for images with alpha"):
        fit(folder, tmp_path / "run", background="black")
    assert not (tmp_path / "run").exists()
    assert fit(folder, tmp_path / "run").background == (0.0, 0.0, 0.0)


def start(cwd, scene, *arguments):
    often = "from fields import loop; loop.CHECKPOINT_SECONDS, loop.CHECKPOINT_SHARE = 0.01, 0.7"
    code = f"{often}; from fields.cli import main; raise SystemExit(main())"
    line = [sys.executable, "-c", code, "fit", str(scene), "--out=run", *FLAGS, *arguments]
    settings = {**os.environ, "PYTHONUNBUFFERED": "1"}
    settings["PYTHONPATH"] = os.pathsep.join([str(ROOT), settings.get("PYTHONPATH", "")])
    return subprocess.Popen(
        line, cwd=cwd, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_a_stopped_fit_keeps_a_checkpoint_and_goes_on(scene, tmp_path, number):
    process = start(tmp_path, scene, "--seconds=60")
    state, end = tmp_path / "run" / "state.safetensors", time.monotonic() + 60
    while not state.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert out == "" and "Traceback" not in err
    if number == signal.SIGINT:
        assert process.returncode == 130 and "--resume" in err.splitlines()[-1]
    run = fields.load(tmp_path / "run")
    on = fields.fit(scene, out=run.path, steps=run.steps + 30, resume=True)
    assert on.steps >= run.steps + 30 and on.is_finished


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--model", "siren"], "--model siren is not for scenes"),
        (["--bias-scale", "3"], "hashgrid has no option --bias-scale"),
        (["--background", "green"], "background must be"),
        (["--stores", "sdf"], "--stores"),
        (["--occupancy", "65"], "occupancy must be"),
        (["--steps", "0"], "--steps"),
        (["--loss", "kindness"], "--loss"),
        (["--loss", "binary"], "--loss binary is for shapes; that of a scene is l2 or l1"),
        (["--loss", "relative"], "--loss relative is for shapes"),
        (["--downscale", "64"], "64"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    scene, tmp_path, capsys, monkeypatch, arguments, line
):
    monkeypatch.chdir(tmp_path)
    status = main(["fit", str(scene), *arguments])
    captured = capsys.readouterr()
    assert status == 2 and captured.out == ""
    assert line in one_line(captured.err) and not list(tmp_path.iterdir())


def test_the_command_says_views_model_background_and_score(scene, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", str(scene), "--steps", "20", *FLAGS]) == 0
    captured = capsys.readouterr()
    assert "16 train, 1 val, 4 test views of 40 x 40" in captured.err
    assert "background: random colours in training, white in pictures and scores" in captured.err
    assert "dB, SSIM" in captured.out and "M samples/s" in captured.out
    assert (tmp_path / "runs" / "demo-hashgrid" / "field.safetensors").is_file()


def test_fresh_chooses_the_frequency_of_a_network_by_the_training_views(scene, tmp_path):
    small = {"width": 16, "depth": 2, "frequencies": 16, "occupancy": 32, "march_steps": 64}
    fit = partial(fields.fit, scene, "fourier", steps=4, batch=1024, **small)
    chosen = fit(out=tmp_path / "a")
    found = chosen.metrics["fresh"]
    assert found["setting"] == "sigma" and found["reason"] is None
    best = min(zip(found["distances"], found["candidates"], strict=True))[1]
    assert chosen.config["config"]["sigma"] == found["chosen"] == best < 10
    few = fit(out=tmp_path / "b", fresh=Fresh(candidates=(12.0, 18.0)))
    assert few.config["config"]["sigma"] == 12.0
    for n, without in enumerate(({"fresh": False}, {"sigma": 6.0})):
        run = fit(out=tmp_path / f"c{n}", **without)
        assert run.config["config"]["sigma"] == 6.0 and not run.metrics.get("fresh")


def test_the_views_that_fresh_compares_are_seen_over_black(scene):
    signal = SceneSignal(read_scene(scene), SceneOptions(), torch.device("cpu"))
    samples = signal.samples_for_fresh
    assert samples.shape == (40, 40, 3 * 10)
    first = signal.views.pixels[0].float() / 255
    assert torch.allclose(samples[..., :3], first[..., :3] * first[..., 3:])
