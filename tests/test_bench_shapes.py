"""`fields bench shapes`: a whole run on one small mesh, and what it refuses."""

import json

import meshes
import numpy as np
import pytest
from small import one_line

from fields.bench import closest_contest, shape_fits, shapes_shown
from fields.catalogue import MODELS
from fields.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """With one mesh, and fits that are drawn and scored in a moment."""
    import trimesh

    monkeypatch.setattr("fields.runs.shape.RESOLUTION", 40)
    monkeypatch.setattr("fields.runs.shape.PREVIEW", (32, 32))
    monkeypatch.setattr("fields.shapes.scores.POINTS", 2000)
    monkeypatch.setattr(shape_fits, "VIEW", (48, 48))
    monkeypatch.chdir(tmp_path)
    vertices, faces = meshes.torus()
    (tmp_path / "meshes").mkdir()
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / "meshes" / "ring.obj")
    (tmp_path / "meshes" / "notes.txt").write_text("no mesh")
    return tmp_path


def test_a_run_writes_figures_curves_and_renders(folder, capsys):
    models = ("--models", "hashgrid", "--quick", "--out", "out")
    assert main(["bench", "shapes", "meshes", *models, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (row,) = result["rows"]
    assert (row["mesh"], row["model"], row["limit"]) == ("ring", "hashgrid", 1.0)
    assert 0.5 < row["iou"] <= 1 and row["seconds"] == pytest.approx(1, abs=1.5)
    assert {p.name for p in (folder / "out").iterdir()} == {
        "shapes.json", "seconds.png", "renders.png"
    }  # fmt: skip
    assert main(["bench", "shapes", "meshes", *models]) == 0
    assert "ring" in capsys.readouterr().out


@pytest.mark.parametrize("scores", [{"chamfer_l1": 1e-3}, {}])
def test_curves_of_every_model_are_drawn(tmp_path, scores):
    rows = [{"mesh": "ring", "model": model, "seconds": 5.0, **scores} for model in MODELS]
    shapes_shown.curves(tmp_path / "seconds.png", rows)
    assert (tmp_path / "seconds.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "nowhere is no mesh and no folder of meshes"),
        (["empty"], "holds no mesh"),
        (["meshes", "--seconds", "0"], "--seconds must be more than 0"),
        (["meshes", "--seeds", "0"], "--seeds must be at least 1"),
        (["meshes", "--seconds", "5", "nan"], "--seconds must be more than 0 and finite, got nan"),
        (["meshes", "--threads", "0"], "--threads must be from 1 to 1024, got 0"),
        (["meshes", "--quick", "--seeds", "2"], "--seeds does not go with --quick"),
        (["cut.ply", "meshes", "--quick"], "cut.ply is cut short"),
        (["meshes/ring.obj", "--quick", "nowhere"], "nowhere is no mesh"),
        (["meshes", "--models", "gold"], "--models"),
    ],
)
def test_what_cannot_be_measured_gets_one_line(folder, capsys, arguments, line):
    (folder / "empty").mkdir()
    (folder / "cut.ply").write_text("ply\nformat ascii 1.0\nelement vertex 3\nelement face 1\n")
    assert main(["bench", "shapes", *arguments]) == 2
    assert line in one_line(capsys.readouterr().err)
    assert not (folder / "runs").exists()


def test_the_ball_that_distances_are_timed_on_is_closed():
    import trimesh

    vertices, faces = closest_contest.bumpy_ball(12)
    mesh = trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False)
    assert mesh.is_watertight and mesh.volume > 0 and len(faces) == 2 * 12 * 10
    assert np.abs(vertices.numpy() - 0.5).max() < 0.5
