"""Colours of shapes: stored beside the distances, asked, drawn, meshed and kept through kills."""

import json
import os
import signal as unix_signals
from typing import ClassVar

import numpy as np
import pytest
import torch
import trimesh
import trimesh.visual
from fits import log_of
from PIL import Image
from scipy.spatial import KDTree
from shape_files import box
from small import one_line
from test_fit_shapes import fit

import fields
from fields import FieldsError, checkpoint, colouring
from fields.cli import main
from fields.errors import Interrupted
from fields.progress import Silent
from fields.runs import ShapeRun
from fields.shapes import Shape, read_shape
from fields.shapes.colours import PointColours
from fields.shapes.srgb import from_linear

pytestmark = pytest.mark.usefixtures("coarse")
SMALL = {
    "num_levels": 3, "log2_table_size": 15, "growth": 1.5, "width": 32, "batch": 4096, "rate": 1e-2,
}  # fmt: skip
SIDES = {
    (-1, 0, 0): (230, 30, 30), (1, 0, 0): (30, 200, 40), (0, -1, 0): (40, 60, 230),
    (0, 1, 0): (240, 220, 30), (0, 0, -1): (200, 40, 200), (0, 0, 1): (30, 210, 220),
}  # fmt: skip
CENTRES = np.array(list(SIDES)) / 2.0
COLOURS = np.array(list(SIDES.values()))


@pytest.fixture(scope="module", autouse=True)
def fewer_points():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fields.signals.colours.POINTS", 1 << 18)
        patch.setattr("fields.signals.colours.CHECKED", 1 << 13)
        yield


@pytest.fixture
def quick(monkeypatch):
    """Colours that need not be good."""
    monkeypatch.setattr("fields.plan._COLOUR_STEPS", (20, 20))


def on_sides(scale=1.0):
    """Points [6, 100, 3] on the sides of a cube, away from its edges."""
    random = np.random.default_rng(0).uniform(-0.4, 0.4, (6, 100, 3))
    middle = CENTRES[:, None]
    return np.where(middle == 0, random, scale * middle)


def is_close(colours, levels=4):
    """Whether nearly all colours [6, N, 3] are those of the sides."""
    error = np.abs(colours.astype(int) - COLOURS[:, None])
    return np.median(error) <= levels and np.quantile(error, 0.95) <= 3 * levels


def at(mesh_vertices, colours, points):
    """The colours of the vertices that are nearest to points."""
    return colours[KDTree(mesh_vertices).query(points)[1]]


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    """A file: a cube with a colour on each side."""
    colours = [SIDES[tuple(normal)] for normal in np.round(box().face_normals).astype(int)]
    path = tmp_path_factory.mktemp("cube") / "cube.ply"
    box(face_colors=np.array(colours, np.uint8)).export(path)
    return path


@pytest.fixture(scope="module")
def fitted(cube, tmp_path_factory, coarse):
    return fit(cube, out=tmp_path_factory.mktemp("fits") / "cube", steps=150, **SMALL)


def load(path):
    run = fields.load(path)
    assert isinstance(run, ShapeRun)
    return run


def field_file(run):
    return (run.path / "field.safetensors").read_bytes()


def test_a_cube_keeps_the_colours_of_its_sides(fitted):
    run = load(fitted.path)
    for ours in (fitted, run):
        assert ours.has_colours and ours.described == "signed distance and colours"
        assert is_close(ours.colours(on_sides()))
    assert run.colours(torch.from_numpy(CENTRES[0])).dtype == torch.uint8
    assert run.colours(np.zeros((0, 3))).shape == (0, 3)
    assert run.metrics["colour_psnr"] > 25
    (line,) = [line for line in log_of(run) if line["event"] == "colours"]
    assert run.metrics["seconds"] == pytest.approx(
        line["seconds"] + line["seconds_of_colours"], abs=1e-3
    )


def test_a_texture_comes_back_with_the_mesh(tmp_path):
    ball = trimesh.creation.icosphere(4)
    angle = np.arctan2(ball.vertices[:, 1], ball.vertices[:, 0])
    # Mirrored: without a seam.
    uv = np.stack([np.abs(angle) / np.pi, (1 + ball.vertices[:, 2]) / 2], 1)
    y, x = np.mgrid[0:64, 0:64] / 63
    picture = np.stack([x, y, 1 - x], -1)
    image = Image.fromarray(np.round(picture * 255).astype(np.uint8))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image)
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    trimesh.Trimesh(ball.vertices, ball.faces, visual=visual, process=False).export(
        tmp_path / "ball.glb"
    )
    run = fit(tmp_path / "ball.glb", out=tmp_path / "run", steps=150, **SMALL)
    vertices, _, _ = run.mesh(48)
    colours = run.colours(vertices)
    x, y, z = (vertices / np.linalg.norm(vertices, axis=1, keepdims=True)).T
    u = np.abs(np.arctan2(z, x)) / np.pi  # in the axes of the run: (x, -z, y)
    true = np.stack([u, (1 + y) / 2, 1 - u], 1) * 255
    error = np.abs(colours - true)
    assert np.median(error) < 3 and np.quantile(error, 0.95) < 10
    assert run.metrics["colour_psnr"] > 33


def test_meshes_are_written_with_colours(fitted, tmp_path, capsys):
    for suffix in ("glb", "ply", "obj", "stl"):
        out = tmp_path / f"cube.{suffix}"
        line = ["mesh", str(fitted.path), "-o", str(out), "--resolution", "48"]
        assert main(line) == 0
        if suffix == "stl":
            continue
        (raw,) = trimesh.load_scene(out, process=False).geometry.values()
        if suffix == "glb":  # Y is up in it, as in the PLY that was fitted
            light = np.asarray(raw.visual.vertex_attributes["color"])[:, :3]
            assert light.dtype == np.uint16
            colours = np.round(from_linear(light / 65535) * 255)
        else:
            colours = np.asarray(raw.visual.vertex_colors)[:, :3]
        assert is_close(at(raw.vertices, colours, on_sides()))
        assert read_shape(out).colours is not None
    capsys.readouterr()


def test_a_thicker_mesh_has_the_colours_of_the_surface(fitted, tmp_path, capsys):
    out = tmp_path / "thick.ply"
    line = ["mesh", str(fitted.path), "-o", str(out), "--resolution", "48", "--level", "0.04"]
    assert main(line) == 0
    (mesh,) = trimesh.load_scene(out, process=False).geometry.values()
    colours = np.asarray(mesh.visual.vertex_colors)[:, :3]
    assert is_close(at(mesh.vertices, colours, on_sides(1.08)), 6)
    capsys.readouterr()


def test_it_is_drawn_in_its_colours(fitted, tmp_path, capsys):
    camera = fitted.camera((32, 32), azimuth=0, elevation=0)  # from +z
    plain = fitted.render(camera=camera, shading="colour")[12:20, 12:20]
    assert np.abs(np.median(plain, (0, 1)) - SIDES[0, 0, 1]).max() <= 4
    lit = np.median(fitted.render(camera=camera)[12:20, 12:20], (0, 1))
    assert lit[0] < 100 and min(lit[1:]) > 120
    assert main(["info", str(fitted.path)]) == 0
    out = capsys.readouterr().out
    assert "cube (signed distance and colours)" in out and "\ncolours     " in out


def test_a_run_without_colours_says_so(tmp_path, capsys):
    ball = trimesh.creation.icosphere(2)
    run = fit(Shape("ball", np.array(ball.vertices), np.array(ball.faces), sign="pseudonormal"),
              out=tmp_path / "run", steps=2, **SMALL)  # fmt: skip
    tensors, content = checkpoint.read(run.path / "field.safetensors")
    assert not run.has_colours and not [name for name in tensors if "colour" in name]
    assert "colour" not in json.dumps(content)
    assert list(content["signal"]["options"]) == [
        "stores", "sign", "surface", "near", "jitter", "spread", "truncation", "eikonal",
    ]  # fmt: skip
    assert "colour" not in (run.path / "metrics.json").read_text()
    for ask in (lambda: run.colours(np.zeros(3)), lambda: run.render((8, 8), shading="colour")):
        with pytest.raises(FieldsError, match="stores no colours"):
            ask()
    assert main(["render", str(run.path), "--shading", "colour"]) == 2
    assert "stores no colours" in one_line(capsys.readouterr().err)


def test_the_same_fit_gives_the_same_bytes(cube, fitted, tmp_path):
    again = fit(cube, out=tmp_path / "a", steps=150, threads=1, **SMALL)
    assert field_file(again) == field_file(fitted)
    other = fit(cube, out=tmp_path / "b", steps=150, seed=1, **SMALL)
    assert other.colour_field and fitted.colour_field
    assert not torch.equal(other.colour_field.table, fitted.colour_field.table)


@pytest.mark.parametrize("number", [unix_signals.SIGINT, unix_signals.SIGTERM])
def test_a_fit_that_ends_among_its_colours_goes_on(cube, fitted, tmp_path, monkeypatch, number):
    from fields.signals.colours import ColourSignal

    batch = ColourSignal.batch

    def stopping(self, count, seed, step):
        if step == 40:
            os.kill(os.getpid(), number)
        return batch(self, count, seed, step)

    with monkeypatch.context() as patch:
        patch.setattr(ColourSignal, "batch", stopping)
        with pytest.raises(Interrupted, match=r"step 150 is kept in .*--resume") as stop:
            fit(cube, out=tmp_path / "run", steps=150, **SMALL)
    assert stop.value.number == number
    half = load(tmp_path / "run")
    assert half.steps == 150 and not half.has_colours and not half.is_finished
    whole = fit(cube, out=tmp_path / "run", resume=True)
    assert field_file(whole) == field_file(fitted) and whole.is_finished


def test_a_coloured_run_that_is_resumed_and_stopped_keeps_its_colours(
    cube, tmp_path, quick, monkeypatch, capsys
):
    from fields.signals.shape import ShapeSignal

    run = fit(cube, out=tmp_path / "run", steps=20, **SMALL)
    before = run.colours(on_sides())
    take = ShapeSignal.batch

    def stopping(self, count, seed, step):
        if step == 30:
            os.kill(os.getpid(), unix_signals.SIGTERM)
        return take(self, count, seed, step)

    with monkeypatch.context() as patch:
        patch.setattr(ShapeSignal, "batch", stopping)
        with pytest.raises(Interrupted, match="step 30 is kept"):
            fit(cube, out=tmp_path / "run", steps=60, resume=True)
    stopped = load(tmp_path / "run")
    assert stopped.steps == 30 and np.array_equal(stopped.colours(on_sides()), before)
    on = fit(cube, out=tmp_path / "run", resume=True, steps=60)
    assert on.steps == 60 and on.is_finished and on.has_colours
    assert main(["info", str(on.path)]) == 0
    assert "\ncolours     " in capsys.readouterr().out


def test_a_size_leaves_no_room_for_colours(cube, tmp_path, quick):
    class Said(Silent):
        lines: ClassVar[list[str]] = []

        def say(self, line):
            self.lines.append(line)

    run = fit(cube, out=tmp_path / "run", steps=3, size_kb=100, progress=Said())
    assert not run.has_colours and run.metrics["bytes"] <= 100_000
    assert "colours are not stored with --size-kb; without it they are" in Said.lines
    on = fit(cube, out=tmp_path / "run", steps=5, resume=True)
    assert not on.has_colours and on.metrics["bytes"] <= 100_000


def test_other_colours_are_another_source(tmp_path, quick):
    def painted(red):
        box(face_colors=np.tile(np.array([red, 20, 30], np.uint8), (12, 1))).export(
            tmp_path / "box.ply"
        )
        return tmp_path / "box.ply"

    fit(painted(200), out=tmp_path / "run", steps=2, **SMALL)
    with pytest.raises(FieldsError, match="fitted to another shape than box"):
        fit(painted(100), out=tmp_path / "run", steps=4, resume=True)
    assert fit(painted(200), out=tmp_path / "run", steps=4, resume=True).has_colours


def test_colours_that_are_gone_are_missed(tmp_path, quick):
    Image.new("RGB", (4, 4), (200, 20, 30)).save(tmp_path / "skin.png")
    (tmp_path / "m.mtl").write_text("newmtl skin\nmap_Kd skin.png\n")
    laid = "f 1/1 2/2 3/3\nf 1/1 3/3 4/4\nf 1/1 4/4 2/2\nf 2/2 4/4 3/3\n"
    (tmp_path / "m.obj").write_text(
        "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n"
        f"vt 0 0\nvt 1 0\nvt 0 1\nvt 1 1\nusemtl skin\n{laid}"
    )
    assert fit(tmp_path / "m.obj", out=tmp_path / "run", steps=2, **SMALL).has_colours
    (tmp_path / "skin.png").unlink()
    gone = r"stores colours, and m has none now; skin\.png is not there"
    with pytest.raises(FieldsError, match=gone) as error:
        fit(tmp_path / "m.obj", out=tmp_path / "run", steps=4, resume=True)
    one_line(error.value)


def test_colours_that_are_not_finite_are_not_stored(cube, tmp_path, quick, monkeypatch):
    from fields.signals.colours import ColourSignal

    class Said(Silent):
        lines: ClassVar[list[str]] = []

        def say(self, line):
            self.lines.append(line)

    batch = ColourSignal.batch

    def broken(self, count, seed, step):
        coords, colours = batch(self, count, seed, step)
        return coords, colours * float("nan")

    monkeypatch.setattr(ColourSignal, "batch", broken)
    run = fit(cube, out=tmp_path / "run", steps=3, progress=Said(), **SMALL)
    assert run.is_finished and not run.has_colours and not load(run.path).has_colours
    assert "no colours are stored" in Said.lines[-1]
    (line,) = [line for line in log_of(run) if line["event"] == "colours"]
    assert "NaN or infinity" in line["broken"]


def test_points_keep_their_colours(tmp_path):
    ball = trimesh.creation.icosphere(4)
    normals = np.array(ball.vertices)
    colours = np.where(normals[:, 2:] > 0, [250, 40, 30], [20, 60, 240]).astype(np.uint8)
    cloud = Shape("cloud", normals, np.zeros((0, 3), np.int64), "points", normals,
                  PointColours(normals, normals, colours))  # fmt: skip
    run = fit(cloud, out=tmp_path / "run", steps=30, **SMALL)
    above, below = np.asarray(run.colours(np.array([[0, 0.6, 0.8], [0, 0.6, -0.8]])), int)
    assert np.abs(above - [250, 40, 30]).max() < 12 and np.abs(below - [20, 60, 240]).max() < 12


def test_colours_of_a_file_that_are_not_what_it_says_are_refused(fitted, tmp_path):
    tensors, content = checkpoint.read(fitted.path / "field.safetensors")
    path = tmp_path / "field.safetensors"
    for wrong in ({"width": 32}, {"channels": 4}, {"nothing": 1}):
        held = content | {colouring.KEY: content[colouring.KEY] | wrong}
        held.pop("digest")
        checkpoint.write(path, tensors, held)
        with pytest.raises(FieldsError, match="its colours") as error:
            fields.load(path)
        one_line(error.value)
