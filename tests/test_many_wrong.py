"""What goes wrong with a data set of shapes: told in a line, and the rest goes on."""

import json

import pytest
import torch
from many_shapes import CUBE, FLAGS, SIDES, SMALL, files_of, listed, two_classes
from shape_files import off, sphere
from small import one_line

import fields
from fields.many import group

pytestmark = pytest.mark.usefixtures("quick_scores")


def test_broken_meshes_are_told_a_line_each_and_left_out(tmp_path, here):
    source = two_classes(tmp_path / "shapes", each=10)
    broken = ["ball/00.off", "ball/07.off", "box/02.off", "box/05.off", "box/09.off"]
    whole = (source / broken[0]).read_text()
    (source / broken[0]).write_text(whole[: len(whole) // 2])
    (source / broken[1]).write_bytes(b"")
    (source / broken[2]).write_text("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n")
    off(source / broken[3], CUBE, SIDES[:-2])  # open: it has no inside
    off(source / broken[4], CUBE * float("nan"), SIDES)
    out = tmp_path / "set"
    done = here("fit-many", source, "--out", out, "--json", "--threads", 2, *FLAGS)
    assert done.returncode == 0
    metrics = json.loads(done.stdout)
    assert (metrics["fields"], metrics["failed"], metrics["shapes"]) == (15, 5, 20)
    lines = [line for line in done.stderr.splitlines() if ".off" in line]
    assert len(lines) == 5 and all(any(path in line for line in lines) for path in broken)
    found = fields.load_many(out)
    assert len(found) == 15 and found.is_finished
    assert [failure["path"] for failure in found.failures] == broken
    assert not set(broken) & {entry["path"] for entry in found.index}
    again = here("fit-many", source, "--out", out, "--resume", *FLAGS)
    assert again.returncode == 0 and "15 of 20 shapes" in again.stdout
    assert "5 could not be fitted" in again.stdout


def test_shapes_that_failed_are_tried_again_and_a_mended_one_becomes_a_field(tmp_path, here):
    source = two_classes(tmp_path / "shapes", each=4)
    out, sound = tmp_path / "set", tmp_path / "sound"
    fields.fit_many(source, sound, threads=1, **SMALL)
    whole = {name: (source / name).read_bytes() for name in ("ball/01.off", "box/02.off")}
    for name in whole:
        (source / name).write_bytes(b"")
    assert here("fit-many", source, "--out", out, "--threads", 1, *FLAGS).returncode == 0
    before = files_of(out)
    done = here("fit-many", source, "--out", out, "--resume", "--threads", 1, *FLAGS)
    assert sum(".off" in line for line in done.stderr.splitlines()) == 2
    assert files_of(out) == before  # they fail as before
    for number, (name, content) in enumerate(whole.items(), 1):
        (source / name).write_bytes(content)
        done = here("fit-many", source, "--out", out, "--resume", "--threads", 1, *FLAGS)
        assert done.returncode == 0 and f"{6 + number} of 8 shapes" in done.stdout
    found, wanted = fields.load_many(out), fields.load_many(sound)
    assert not found.failures and not (out / "failed.jsonl").exists()
    assert [e["path"] for e in found.index] == [e["path"] for e in wanted.index]
    assert torch.equal(found.planes, wanted.planes) and torch.equal(found.params, wanted.params)
    for i in range(8):
        assert torch.equal(found.field(i).planes, wanted.field(i).planes)
    assert not (out / "parts").exists()


def test_a_mistake_of_ours_at_one_shape_is_a_failure_like_others(tmp_path, monkeypatch):
    source = two_classes(tmp_path / "shapes", each=2)
    make = group.make_pool

    def stumbling(folder, item, options):
        if item.path == "box/00.off":
            raise ZeroDivisionError("division by zero\nand more")
        return make(folder, item, options)

    monkeypatch.setattr(group, "make_pool", stumbling)
    found = fields.fit_many(source, tmp_path / "set", threads=1, **SMALL)
    assert len(found) == 3 and found.failures[0]["path"] == "box/00.off"
    assert found.failures[0]["error"].startswith("internal error, ZeroDivisionError: division by")
    monkeypatch.setenv("FIELDS_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        fields.fit_many(source, tmp_path / "again", threads=1, **SMALL)


def test_nothing_is_left_where_nothing_can_be_fitted(tmp_path, here):
    source = tmp_path / "shapes"
    source.mkdir()
    (source / "a.off").write_bytes(b"")
    done = here("fit-many", source, "--out", tmp_path / "set", *FLAGS)
    assert done.returncode == 2 and "none of 1 shapes" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "nowhere does not exist"),
        ([], "needs DIR"),
        (["empty"], "empty holds no meshes"),
        (["shapes", "--out", "shapes"], "is not empty, and no set of fields"),
        (["shapes", "--steps", "0"], "--steps must be at least 1"),
        (["shapes", "--copies", "none"], "--copies must be a whole number"),
        (["shapes", "--stores", "colour"], "--stores must be sdf, udf, occupancy or radiance"),
        (["shapes", "--init", "same"], "--init must be individual or shared"),
        (["shapes", "--stepps", "3"], "did you mean --steps"),
        (["shapes", "--threads", "0"], "--threads must be from 1 to 1024"),
        (["shapes", "--resume", "--out", "none"], "none is no set of fields"),
        (["shapes", "--resume", "--overwrite"], "give one of them"),
        (["header.csv"], "header.csv is no list of shapes"),
        (["twice.csv"], "twice.csv, line 3 names 'a.off' again"),
        (["label.csv"], "line 2: label must be a whole number, got 'one'"),
        (["none.csv"], "none.csv lists no shapes"),
        (["pathless.csv"], "line 3 names no path"),
        (["lists"], "has several lists, a.csv and b.csv"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, monkeypatch, here, arguments, line):
    monkeypatch.chdir(tmp_path)
    two_classes(tmp_path / "shapes", each=1)
    for name in ("empty", "lists"):
        (tmp_path / name).mkdir()
    listed(tmp_path, "file,class\na.off,x\n", "header.csv")
    listed(tmp_path, "path\na.off\na.off\n", "twice.csv")
    listed(tmp_path, "path,label\na.off,one\n", "label.csv")
    listed(tmp_path, "path,label\n", "none.csv")
    listed(tmp_path, "path,label\na.off,1\n,2\n", "pathless.csv")
    for name in ("a.csv", "b.csv"):
        listed(tmp_path / "lists", "path\nx.off\n", name)
    before = sorted(tmp_path.rglob("*"))
    done = here("fit-many", *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert line in one_line(done.stderr)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_set_is_replaced_or_gone_on_with_only_where_that_is_asked_for(tmp_path, here):
    source = two_classes(tmp_path / "shapes", each=1)
    out = tmp_path / "set"
    assert here("fit-many", source, "--out", out, *FLAGS).returncode == 0
    before = files_of(out)
    assert "--overwrite replaces" in one_line(here("fit-many", source, "--out", out).stderr)
    line = one_line(here("fit-many", source, "--out", out, "--resume", *FLAGS, "--seed=1").stderr)
    assert "was begun with seed 0, not 1" in line
    off(source / "ball" / "99.off", *sphere())
    line = one_line(here("fit-many", source, "--out", out, "--resume", *FLAGS).stderr)
    assert "another list of shapes" in line
    (source / "ball" / "99.off").unlink()
    off(source / "ball" / "00.off", *sphere(radius=3))
    line = one_line(here("fit-many", source, "--out", out, "--resume", *FLAGS).stderr)
    assert "has changed since it was fitted" in line
    assert files_of(out) == before
    assert here("fit-many", source, "--out", out, "--overwrite", *FLAGS).returncode == 0
    assert files_of(out).keys() == before.keys() and files_of(out) != before
