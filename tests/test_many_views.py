"""Sets of radiance fields: a scene of one thing each, fitted and scored on other views."""

import json

import numpy as np
import pytest
import torch
from many_shapes import files_of
from small import one_line

import fields
from fields.cli import main
from fields.errors import FieldsError
from fields.many.field import PlaneField
from fields.many.options import ManyOptions
from fields_scenes.generate import Wanted, render_thing
from fields_scenes.patterns import stripes
from fields_scenes.solids import Solid, Solids

SMALL = {
    "stores": "radiance", "resolution": 16, "channels": 8, "steps": 200, "batch": 512,
}  # fmt: skip
FLAGS = [f"--{name}={value}" for name, value in SMALL.items()]


def painted(kind):
    return Solids([Solid(kind, (0.8, 0.6, 0.7), (0, 0, 0), stripes((0.6, 0.1, 0.1), (0.1, 0.2, 0.7),
                                                                  2, 0.5))])  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A ball and a cube of each split, seen from all sides."""
    folder = tmp_path_factory.mktemp("views") / "things"
    rows = ["path,class,split"]
    for kind in ("ball", "cube"):
        for number, split in enumerate(("train", "test")):
            path = f"{kind}/{number}"
            wanted = Wanted(views=12, size=32, seed=number)
            render_thing(lambda time, kind=kind: painted(kind), folder / path, wanted)
            rows.append(f"{path},{kind},{split}")
    (folder / "split.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def made(source):
    return fields.fit_many(source, source.parent / "set", threads=2, **SMALL)


def test_scenes_become_fields_that_show_views_they_have_not_seen(made, capsys):
    assert len(made) == 4 and made.is_finished and not made.failures
    assert [entry["class"] for entry in made.index] == ["ball", "ball", "cube", "cube"]
    assert made.rows("test") == [1, 3] and made.labels.tolist() == [0, 0, 1, 1]
    assert made.planes.shape == (4, 3, 8, 16, 16)
    for entry in made.index:
        assert entry["psnr"] > 18 and "iou" not in entry
        assert entry["bytes"] == 4 * made.options.numbers
    assert made.metrics["psnr"] == pytest.approx(np.mean([e["psnr"] for e in made.index]), abs=1e-3)
    capsys.readouterr()
    assert main(["info", str(made.path)]) == 0
    assert f"{made.metrics['psnr']:.2f} dB" in capsys.readouterr().out


def test_a_field_is_dense_where_the_thing_is_and_coloured_as_it_is(made):
    field = made.field(0)  # the ball about the middle of a box of 3, 1.6 x 1.2 x 1.4 of it
    within = 0.5 + torch.tensor([[0.22, 0.0, 0.0], [0.0, 0.17, 0.0], [0.0, 0.0, 0.2]])
    outside = 0.5 + torch.tensor([[0.4, 0.0, 0.0], [0.0, 0.35, 0.0], [0.0, 0.0, 0.4]])
    values = field(torch.cat([within, outside]))
    assert values.shape == (6, 4) and field.channels == 4
    assert values[:3, 0].min() > 5 * values[3:, 0].max()
    assert values[:, 1:].min() >= 0 and values[:, 1:].max() <= 1


def test_the_module_is_the_same_function_with_gradients_and_without():
    field = PlaneField(ManyOptions(**SMALL), seed=3)
    coords = torch.rand(5, 7, 3)
    with torch.no_grad():
        fused = field(coords)
    assert fused.shape == (5, 7, 4)
    torch.testing.assert_close(field(coords).detach(), fused, rtol=1e-5, atol=1e-6)


def test_fields_are_the_same_bytes_for_any_number_of_threads(source, made, tmp_path):
    fields.fit_many(source, tmp_path / "one", threads=1, **SMALL)
    assert files_of(tmp_path / "one") == files_of(made.path)


def test_a_scene_that_cannot_be_read_is_left_out_in_a_line(tmp_path, source, capsys):
    for path in ("ball/0", "cube/0"):
        (tmp_path / "things" / path).parent.mkdir(parents=True)
    (tmp_path / "things" / "ball" / "0").symlink_to(source / "ball" / "0")
    (tmp_path / "things" / "cube" / "0").mkdir()
    (tmp_path / "things" / "cube" / "0" / "transforms_train.json").write_text("{}")
    (tmp_path / "things" / "list.csv").write_text("path,class\nball/0,ball\ncube/0,cube\n")
    arguments = ["fit-many", tmp_path / "things", f"--out={tmp_path / 'set'}", "--json", *FLAGS]
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr()
    metrics = json.loads(printed.out)
    assert (metrics["fields"], metrics["failed"]) == (1, 1) and metrics["psnr"] > 18
    assert sum("cube/0" in line for line in printed.err.splitlines()) == 1


def test_what_sets_of_scenes_cannot_do_is_one_line(made, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for arguments, line in (
        (["fit-many", tmp_path / "empty", "--stores=radiance"], "holds no scenes"),
        (["fit-many", tmp_path / "empty", "--stores=radiance", "--copies=2"], "views stay as they"),
        (["mesh", f"{made.path}#0", f"-o{tmp_path / 'x.ply'}"], "is a radiance field of a set"),
    ):
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        assert line in one_line(capsys.readouterr().err)
    with pytest.raises(FieldsError, match="is a radiance field of a set"):
        fields.load(f"{made.path}#1")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
