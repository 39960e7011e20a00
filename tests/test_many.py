"""A data set of shapes as a data set of fields: what is listed, fitted, kept and read."""

import json
import subprocess

import numpy as np
import pytest
import torch
from many_shapes import CUBE, FLAGS, QUICK, SIDES, SMALL, files_of, two_classes
from shape_files import off, sphere
from small import one_line

import fields
from fields.cli import main
from fields.errors import FieldsError
from fields.many import group, score
from fields.many.field import PlaneField, initial
from fields.many.group import fit_group
from fields.many.listing import Item, list_shapes
from fields.many.options import TRUNCATION, ManyOptions
from fields.runs import ShapeRun
from fields.shapes.off import read_plain_off


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A set of eight small fields, and the folder of their meshes."""
    place = tmp_path_factory.mktemp("many")
    source = two_classes(place / "shapes")
    options = {**SMALL, "resolution": 16, "steps": 300}
    return fields.fit_many(source, place / "set", threads=2, **options), source


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, value in QUICK.items():
        monkeypatch.setattr(score, name, value)


@pytest.fixture
def here(capsys):
    """The command in this process."""

    def run(*arguments):
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, printed.out, printed.err)

    return run


def test_every_shape_of_a_folder_becomes_a_field_that_tells_its_inside(made):
    found, source = made
    assert len(found) == 8 and found.is_finished and not found.failures
    assert [e["path"] for e in found.index] == sorted(
        path.relative_to(source).as_posix() for path in source.rglob("*.off")
    )
    assert found.classes == ["ball", "box"] and found.labels.tolist() == [0] * 4 + [1] * 4
    for entry in found.index:
        assert entry["iou"] > 0.95 and entry["f_score"] > 0.7
        assert entry["bytes"] == 4 * found.options.numbers and entry["seconds"] > 0
        assert entry["copy"] == 0 and entry["scale"] == [1, 1, 1] and entry["split"] is None
    assert found.metrics["iou"] == pytest.approx(np.mean([e["iou"] for e in found.index]), abs=1e-6)
    size = sum(path.stat().st_size for path in found.path.glob("shard-*"))
    assert found.metrics["bytes"] <= size <= found.metrics["bytes"] + 16384


def test_a_field_of_a_set_answers_in_units_of_its_source(made):
    found, _ = made
    ball, box = found.field(0), found.field(4)  # a ball of 1 x 1 x 2 at 5, a box of 1 x 1 x 2 at 0
    middle, off_ball, off_box = [5.0, 5.0, 5.0], [[6.05, 5.0, 5.0]], [[0.5, 0.5, 2.04]]
    assert ball.sdf(np.array([middle]))[0] < 0 < ball.sdf(np.array(off_ball))[0]
    assert ball.sdf(np.array(off_ball))[0] == pytest.approx(0.05, abs=0.02)
    assert box.sdf(torch.tensor(off_box)).item() == pytest.approx(0.04, abs=0.02)
    coords = torch.rand(5, 7, 3)
    values = ball(coords)
    assert values.shape == (5, 7, 1) and values.abs().max() <= TRUNCATION


def test_planes_are_one_tensor_with_channels_before_rows(made):
    found, _ = made
    assert found.planes.shape == (8, 3, 4, 16, 16) and found.params.shape[0] == 8
    for i in (0, 7):
        assert torch.equal(found.planes[i].permute(0, 2, 3, 1), found.field(i).planes)
        assert torch.equal(found.params[i], found.field(i).params)


def test_one_of_a_set_is_a_run_like_any_other(made, here, tmp_path):
    found, _ = made
    run = fields.load(f"{found.path}#5")
    assert isinstance(run, ShapeRun)
    assert run.metrics["iou"] == found.index[5]["iou"]
    vertices, faces, _ = run.mesh(32)
    assert len(faces) > 100 and np.allclose(vertices.min(0), 0, atol=0.05)
    assert run.render((16, 16)).std() > 1
    assert run.source().kind == "mesh"
    done = here("mesh", f"{found.path}#5", "-o", tmp_path / "five.ply", "--resolution", 32)
    assert done.returncode == 0 and (tmp_path / "five.ply").stat().st_size > 1000
    done = here("info", f"{found.path}#5")
    assert done.returncode == 0 and "plane-field" in done.stdout


def test_the_module_is_the_same_function_with_gradients_and_without(made):
    field = made[0].field(2)
    coords = torch.rand(300, 3)
    with torch.no_grad():
        fused = field(coords)
    leaf = coords.requires_grad_()
    composed = field(leaf)
    torch.testing.assert_close(composed.detach(), fused, rtol=0, atol=1e-6)
    inside = composed.abs() < TRUNCATION
    gradient, *rest = torch.autograd.grad(composed.sum(), [leaf, field.planes, field.params])
    assert gradient[inside[:, 0]].abs().sum(1).min() > 0
    assert all(grad.abs().sum() > 0 for grad in rest)


def test_info_says_what_a_set_holds(made, here):
    found, _ = made
    done = here("info", found.path)
    assert "8 of 8 shapes" in done.stdout and "2: ball, box" in done.stdout
    known = json.loads(here("info", found.path, "--json").stdout)
    assert known["metrics"]["fields"] == 8 and known["config"]["options"]["resolution"] == 16


def test_fields_are_the_same_bytes_for_any_number_of_threads(tmp_path):
    source = two_classes(tmp_path / "shapes", each=4)
    for number in (1, 2, 3):
        fields.fit_many(source, tmp_path / f"by-{number}", threads=number, **SMALL)
    one = files_of(tmp_path / "by-1")
    assert files_of(tmp_path / "by-2") == one == files_of(tmp_path / "by-3")


def test_a_field_does_not_depend_on_the_others_of_its_group(tmp_path):
    source = two_classes(tmp_path / "shapes", each=2)
    listing, options = list_shapes(source), ManyOptions(**SMALL)
    together = fit_group(source, list(enumerate(listing.items)), options)
    alone = fit_group(source, [(2, listing.items[2])], options)
    assert torch.equal(alone.planes[0], together.planes[2])
    assert torch.equal(alone.params[0], together.params[2])
    assert alone.entries[0] == together.entries[2]


def test_a_seed_decides_and_another_one_gives_another_field(tmp_path):
    source = two_classes(tmp_path / "shapes", each=1)
    item = (0, list_shapes(source).items[0])
    a, b, c = (fit_group(source, [item], ManyOptions(**SMALL, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(a.planes, b.planes) and not torch.equal(a.planes, c.planes)


def test_shared_fields_begin_alike_and_individual_ones_do_not(tmp_path):
    source = two_classes(tmp_path / "shapes", each=1)
    items = list(enumerate(list_shapes(source).items))
    still = {**SMALL, "steps": 1, "lr_planes": 0.0, "lr_params": 0.0}
    shared = fit_group(source, items, ManyOptions(**still, init="shared"))
    single = fit_group(source, items, ManyOptions(**still, init="individual"))
    assert torch.equal(shared.planes[0], shared.planes[1])
    assert torch.equal(shared.params[0], shared.params[1])
    assert not torch.equal(single.planes[0], single.planes[1])
    assert not torch.equal(single.params[0], single.params[1])


@pytest.mark.parametrize("stores", ["udf", "occupancy"])
def test_unsigned_distances_and_occupancies_are_stored_and_scored(tmp_path, stores, monkeypatch):
    source = two_classes(tmp_path / "shapes", each=1)
    monkeypatch.undo()  # all of the points
    options = {"channels": 8, "steps": 400, "pool": 30_000, "stores": stores}
    found = fields.fit_many(source, tmp_path / "set", threads=1, **options)
    assert min(entry["f_score"] for entry in found.index) > (0.8 if stores == "udf" else 0.5)
    if stores == "udf":
        assert found.metrics["iou"] is None
        assert abs(found.field(1).sdf(np.array([[0.5, 0.5, 2.0]]))[0]) < 0.02
    else:
        assert min(entry["iou"] for entry in found.index) > 0.97
        assert found.field(1).sdf(np.array([[0.5, 0.5, 1.0]]))[0] < 0


# ---- lists


def listed(folder, text, name="split.csv"):
    (folder / name).write_text(text)
    return folder


def test_a_csv_says_classes_labels_and_splits(tmp_path):
    source = two_classes(tmp_path / "shapes", each=2)
    listed(source, "path,class,label,split\nbox/01.off,box,7,train\nball/00.off,ball,3,test\n")
    for named in (source, source / "split.csv"):
        listing = list_shapes(named)
        assert listing.items == (
            Item("box/01.off", "box", 7, "train"),
            Item("ball/00.off", "ball", 3, "test"),
        )
    found = fields.fit_many(source, tmp_path / "set", threads=1, **SMALL)
    assert found.labels.tolist() == [7, 3] and found.splits == {"train": 1, "test": 1}
    assert found.rows("test") == [1] and found.rows() == [0, 1]


def test_labels_follow_from_classes_and_classes_from_labels(tmp_path):
    listed(tmp_path, "path,class\nb.off,zebra\na.off,ant\n", "one.csv")
    assert [i.label for i in list_shapes(tmp_path / "one.csv").items] == [1, 0]
    listed(tmp_path, "path,label\nb.off,4\n", "two.csv")
    assert list_shapes(tmp_path / "two.csv").items == (Item("b.off", "4", 4),)
    listed(tmp_path, "path\nb.off\n", "three.csv")
    assert list_shapes(tmp_path / "three.csv").items == (Item("b.off"),)


def test_folders_named_train_and_test_are_splits(tmp_path):
    for path in ("chair/train", "chair/test", "desk/train"):
        (tmp_path / path).mkdir(parents=True)
        off(tmp_path / path / "x.off", CUBE, SIDES)
    assert list_shapes(tmp_path).items == (
        Item("chair/test/x.off", "chair", 0, "test"),
        Item("chair/train/x.off", "chair", 0, "train"),
        Item("desk/train/x.off", "desk", 1, "train"),
    )


def test_training_shapes_alone_are_copied_with_their_axes_scaled(tmp_path):
    source = two_classes(tmp_path / "shapes", each=1)
    listed(source, "path,split\nbox/00.off,train\nball/00.off,test\n")
    found = fields.fit_many(source, tmp_path / "set", threads=1, copies=3, **SMALL)
    assert [(e["path"], e["copy"]) for e in found.index] == [
        *(("box/00.off", copy) for copy in range(3)),
        ("ball/00.off", 0),
    ]
    scales = [entry["scale"] for entry in found.index]
    assert scales[0] == scales[3] == [1, 1, 1] and scales[1] != scales[2]
    for scale, entry in zip(scales[1:3], found.index[1:3], strict=True):
        assert all(2 / 3 <= factor <= 3 / 2 for factor in scale)
        low, high = np.array(entry["box"])
        assert np.allclose(high - low, np.array([1, 1, 2]) * scale)
    assert len({entry["source_sha256"] for entry in found.index}) == 2
    assert "source" not in found.metrics_of(1) and "source" in found.metrics_of(0)


# ---- what goes wrong


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


def test_what_is_no_set_or_no_field_of_it_is_one_line(made, tmp_path):
    found, _ = made
    for path, line in (
        (f"{found.path}#8", "holds 8 fields, from 0 on; there is no 8"),
        (str(found.path), "holds many fields; name one of them"),
        (f"{tmp_path}#1", "does not exist"),
    ):
        with pytest.raises(FieldsError, match=line):
            fields.load(path)
    with pytest.raises(FieldsError, match="does not exist"):
        fields.load_many(tmp_path / "none")
    with pytest.raises(FieldsError, match="no set of fields"):
        fields.load_many(tmp_path)
    with pytest.raises(FieldsError, match="no option 'layers'"):
        fields.fit_many(tmp_path, layers=3)


def test_initial_numbers_hang_on_the_key_alone():
    options = ManyOptions()
    a, b = initial(options, 5), initial(options, 5)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    field = PlaneField(options, seed=5)
    assert torch.equal(field.planes, a[0]) and field.params.numel() == options.num_params


# ---- plain OFF files


@pytest.mark.parametrize(
    "text",
    [
        "OFF\n# from somewhere\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
        "COFF\n3 1 0\n0 0 0 1 1 1 1\n1 0 0 1 1 1 1\n0 1 0 1 1 1 1\n3 0 1 2\n",
        "OFF\n4 1 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n",
        "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2 255 0 0\n",
        "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1\n",
        "OFF\n3 1 0\n0 0 zero\n1 0 0\n0 1 0\n3 0 1 2\n",
        "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 1.5\n",
        "OFF\n",
        "",
    ],
)
def test_what_is_no_plain_off_is_left_to_others(tmp_path, text):
    path = tmp_path / "a.off"
    path.write_text(text)
    with open(path, "rb") as file:
        assert read_plain_off(file.read()) is None


def test_a_plain_off_is_read_to_the_last_bit(tmp_path):
    vertices, faces = sphere()
    vertices = vertices * np.pi
    path = off(tmp_path / "ball.off", vertices, faces)
    with open(path, "rb") as file:
        found = read_plain_off(file.read())
    assert found is not None
    assert np.array_equal(found[0], vertices) and np.array_equal(found[1], faces)
