"""A data set of shapes as a data set of fields: what is listed, fitted, kept and read."""

import json

import numpy as np
import pytest
import torch
from many_shapes import SMALL, files_of, two_classes

import fields
from fields.errors import FieldsError
from fields.many.field import PlaneField, initial
from fields.many.group import fit_group
from fields.many.listing import list_shapes
from fields.many.options import TRUNCATION, ManyOptions
from fields.runs import ShapeRun

pytestmark = pytest.mark.usefixtures("quick_scores")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A set of eight small fields, and the folder of their meshes."""
    place = tmp_path_factory.mktemp("many")
    source = two_classes(place / "shapes")
    options = {**SMALL, "resolution": 16, "steps": 300}
    return fields.fit_many(source, place / "set", threads=2, **options), source


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
