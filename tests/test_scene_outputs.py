"""What a fitted scene is turned into: pictures, numbers, scores."""

import json

import numpy as np
import pytest
import torch
from scene_fits import copied
from small import one_line

from fields import FieldsError, catalogue
from fields.cameras import Camera, look_at
from fields.pictures import read_picture
from fields.runs.depth_normals import normals_of
from fields.scenes.depths import read_depth

Z = np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def run(demo_run):
    return demo_run


def test_backgrounds_and_shadings(run):
    camera = run.view((24, 24))
    white, black = (run.render(camera=camera, background=(v,) * 3) for v in (1.0, 0.0))
    opacity = run.numbers(camera, "opacity")
    assert (white[opacity < 0.01] > 250).all() and (black[opacity < 0.01] < 5).all()
    for shading in ("depth", "normals", "opacity"):
        assert run.render(camera=camera, shading=shading).shape == (24, 24, 3)
    with pytest.raises(FieldsError, match="--shading of a scene is"):
        run.render(shading="lit")


def test_numbers_are_written_as_they_are(run, command):
    arguments = ("--shading", "depth", "--size", "16x12")
    status, out, _ = command("render", run.path, *arguments, "-o", "d.npy")
    assert status == 0 and "units of the source" in out
    depth = np.load("d.npy")
    assert depth.shape == (12, 16) and depth.dtype == np.float32
    camera = run.view((16, 12))
    distance = np.linalg.norm(camera.position - run.rig.centre)
    assert np.median(depth[depth > 0]) == pytest.approx(distance, rel=0.3)
    assert command("render", run.path, *arguments, "-o", "d.exr")[0] == 0
    assert np.allclose(read_picture("d.exr").pixels[..., 0], depth)


def test_every_view_of_a_split_stands_beside_its_photo(run, command, tmp_path):
    status, out, _ = command("render", run.path, "--split", "test", "-o", "views")
    assert status == 0 and "4 views" in out
    names = {path.name for path in (tmp_path / "views").iterdir()}
    assert len(names) == 8 and {"r_0.png", "r_0-beside.png"} <= names
    beside = read_picture("views/r_0-beside.png").pixels
    drawn = read_picture("views/r_0.png").pixels
    assert beside.shape == (40, 128, 3) and np.array_equal(beside[:, 44:84], drawn)


def test_scores_of_a_split_and_of_each_view(run, command):
    status, out, _ = command("eval", run.path, "--json")
    figures = json.loads(out)
    assert status == 0 and figures["split"] == "test" and len(figures["per_view"]) == 4
    psnr = [view["psnr"] for view in figures["per_view"].values()]
    assert figures["psnr"] == pytest.approx(np.mean(psnr), abs=1e-3)
    assert figures["psnr"] == run.metrics["psnr"]
    status, out, _ = command("eval", run.path, "--split", "val")
    assert status == 0 and "dB, SSIM" in out and "1 val view" in out


def test_depths_are_compared_where_the_scene_has_them(run, command, tmp_path):
    scene = run.source()
    errors = []
    for frame, traced, _, _ in run.views(scene):
        depth, known = run.values(frame.camera, traced, "depth"), read_depth(frame)
        assert known is not None
        both = (depth > 0) & (known > 0)
        errors.append(np.abs(depth - known)[both].mean())
    assert run.metrics["depth_error"] == pytest.approx(np.mean(errors), abs=1e-4)
    assert run.metrics["depth_error"] < 0.1  # cameras stand 4 away
    bare = copied(scene.path, tmp_path / "bare")
    for path in bare.glob("*/*_depth.png"):
        path.unlink()
    for path in bare.glob("transforms_*.json"):
        frames = json.loads(path.read_text())
        for frame in frames["frames"]:
            frame.pop("depth_file_path", None)
        path.write_text(json.dumps(frames))
    status, out, _ = command("eval", run.path, bare)
    assert status == 0 and "dB" in out and "depth" not in out


def test_lpips_is_never_downloaded(run, monkeypatch, tmp_path):
    from fields.signals.lpips import lpips_here

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert lpips_here() is None and "lpips" not in run.metrics


def test_the_models_of_scenes_are_listed(command):
    _, out, _ = command("models")
    assert "hashgrid, of scenes" in out and "--colour-width" in out
    models = json.loads(command("models", "--json")[1])["scene_models"]
    assert {model["name"] for model in models} == set(catalogue.SCENE_MODELS)
    assert all("degree" in model["options"] for model in models)


def test_info_and_the_picture_of_a_notebook(run, command):
    status, out, _ = command("info", run.path)
    assert status == 0 and "scene       demo (a scene)" in out and "psnr" in out
    assert run._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("render", "--crop", "0,0,4,4"), "--crop is not for the scene"),
        (("render", "--azimuth", 3), "--azimuth is not for the scene"),
        (("render", "--shading", "lit"), "--shading must be colour, depth, opacity or normals"),
        (("render", "--time", 0.5), "--time is for scenes that move"),
        (("render", "--time", 2), "--time must be from 0 to 1"),
        (("render", "--background", "red"), "--background must be white or black"),
        (("render", "--split", "all"), "--split must be train, val or test"),
        (("render", "--orbit", 3, "--spiral", 3), "give one"),
        (("render", "--spiral", 0), "--spiral must be from 1"),
        (("render", "--size", "2x"), "--size of a scene is WIDTHxHEIGHT"),
        (("render", "--split", "test", "--size", "8x8"), "--size does not go with --split"),
        (("eval", "--split", "all"), "--split must be train, val or test"),
        (("mesh", "--time", 0.5), "--time is for scenes that move"),
        (("mesh", "--points", 5, "-o", "a.glb"), "--points writes a PLY"),
        (("mesh", "--points", 5, "--level", 3), "does not go with --points"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(run, command, tmp_path, arguments, line):
    verb, *others = arguments
    before = sorted(run.path.iterdir())
    status, out, err = command(verb, run.path, *others)
    assert status == 2 and out == "" and line in one_line(err)
    assert sorted(run.path.iterdir()) == before and not list(tmp_path.iterdir())


def test_normals_of_a_plane_are_its_own():
    camera = Camera.simple(look_at(np.array([1.0, -3, 2]), np.zeros(3), Z), 9, 7, 12.0)
    origin, directions = camera.rays()
    distance = -origin[2] / directions[:, 2]  # to the plane z = 0
    depth = (distance * (directions @ camera.forward)).reshape(7, 9)
    depth[0, 0] = 0
    normals = normals_of(camera, depth)
    assert not normals[0, 0].any()
    normals[0, 0] = Z
    assert np.allclose(normals, Z, atol=1e-5)


def test_normals_of_noisy_depths_are_smooth_on_surfaces_and_sharp_at_edges():
    """Two planes, one behind the other, with an error of a fifth of a pixel's side."""
    camera = Camera.simple(look_at(np.array([0.0, -3, 0]), np.zeros(3), Z), 40, 30, 40.0)
    _, directions = camera.rays()
    tilted = np.array([0.6, -0.8, 0.0])
    near = -1.0 / (directions @ tilted) * (directions @ camera.forward)
    depth = near.reshape(30, 40)
    depth[:, 20:] = 4.0
    depth *= 1 + np.random.default_rng(0).normal(0, 0.2 / 40, depth.shape)
    normals = normals_of(camera, depth)
    assert np.allclose(np.linalg.norm(normals, axis=2), 1, atol=1e-5)
    off = np.degrees(np.arccos((normals[:, :20] @ tilted).clip(-1, 1)))
    assert np.median(off) < 8
    straight = np.degrees(np.arccos((normals[:, 21:] @ -camera.forward).clip(-1, 1)))
    assert np.median(straight) < 8
