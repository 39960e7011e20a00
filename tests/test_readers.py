"""Networks that read fields: what they may know, what they must not, and that they learn."""

import dataclasses
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from many_shapes import CUBE, QUICK, SIDES, two_classes
from shape_files import off, sphere

import fields
from fields import device, ops
from fields.errors import FieldsError
from fields.many import score
from fields.readers import READERS, Fold, Inputs, build, folds, split, symmetries, train
from fields.readers.channel_tokens import PAPER, ChannelMlp, ChannelTransformer, resized_crop
from fields.readers.explicit import explicit_of, nine_numbers
from fields.readers.images import channel_energy
from fields.readers.measures import measured_values
from fields.readers.parts import parts_of, read_labels
from fields.readers.segmenter import Segmenter
from fields.readers.segmenting import RECIPE, iou_of, segment
from fields.readers.splitting import require_apart

EACH = 6  # shapes of a class
FIT = {"resolution": 12, "channels": 4, "hidden": 16, "steps": 120, "batch": 256, "pool": 4096}
USUAL = [name for name in READERS if name != "transformer-paper"]


@pytest.fixture(scope="module", autouse=True)
def small():
    """Short scores, and one thread, as trainings of a benchmark have."""
    with pytest.MonkeyPatch.context() as patch, device.threads(1):
        for name, value in QUICK.items():
            patch.setattr(score, name, value)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Fields of balls and boxes, two of each, and the same fitted again by another seed."""
    place = tmp_path_factory.mktemp("readers")
    source = two_classes(place / "shapes", each=EACH)
    found = fields.fit_many(source, place / "set", threads=2, copies=2, **FIT)
    again = fields.fit_many(source, place / "again", threads=2, seed=9, **FIT)
    return Inputs(found), Inputs(again)


@pytest.fixture(scope="module")
def fold(made):
    return folds(made[0].found.index, 3)[0]


def entry(path, label, copy=0, split=None, digest=None):
    return {"path": path, "label": label, "class": f"kind {label}", "copy": copy, "split": split,
            "source_sha256": digest or path}  # fmt: skip


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- symmetries


def test_there_are_48_symmetries_and_the_first_is_none():
    moves = symmetries("all")
    points = drawn(4, 3).sigmoid()
    seen = {tuple(move.points(points).flatten().tolist()) for move in moves}
    assert len(moves) == len(seen) == 48
    assert torch.equal(moves[0].points(points), points)
    assert len(symmetries("flips")) == 8 and symmetries("none") == moves[:1]


def test_moved_planes_are_those_of_the_moved_field():
    planes = drawn(3, 5, 7, 7).double()  # [3, C, R, R]
    points = drawn(200, 3, seed=1).double().sigmoid()

    def features(at, of):
        return ops.triplane(at, of.permute(0, 2, 3, 1).contiguous())

    wanted = features(points, planes)
    for move in symmetries("all"):
        there = features(move.points(points), move.planes(planes))
        torch.testing.assert_close(there, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("move", symmetries("all")[::5], ids=str)
def test_what_is_made_of_planes_moves_with_them(move):
    planes = drawn(2, 3, 4, 6, 6)
    torch.testing.assert_close(
        channel_energy(move.planes(planes)), move.planes(channel_energy(planes))
    )


def test_moved_values_are_those_of_the_moved_field(made):
    field, move = made[0].found.field(5), symmetries("all")[29]
    axis = torch.linspace(0, 1, 6)
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    with torch.no_grad():
        values = field(places).view(1, 6, 6, 6)
        there = dict(zip(map(tuple, (5 * move.points(places)).round().int().tolist()),
                         values.flatten().tolist(), strict=True))  # fmt: skip
    moved = move.grid(values)[0]
    assert all(float(moved[place]) == value for place, value in there.items())


# ---- what readers do not know


@pytest.mark.parametrize("make", [ChannelTransformer, ChannelMlp])
def test_the_order_of_channels_and_planes_does_not_matter(make):
    torch.manual_seed(0)
    reader = make(12, 5).eval()
    planes = drawn(3, 3, 8, 12, 12)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    mixed = planes.flatten(1, 2)[:, order].view_as(planes)
    with torch.no_grad():
        torch.testing.assert_close(reader(mixed), reader(planes), rtol=0, atol=1e-5)


def test_turning_the_channels_does_not_change_their_energy():
    planes = drawn(2, 3, 8, 6, 6)
    turn = torch.linalg.qr(drawn(8, 8, seed=3)).Q
    mixed = torch.einsum("dc,npcyx->npdyx", turn, planes)
    torch.testing.assert_close(channel_energy(mixed), channel_energy(planes))


def test_the_published_sizes_have_the_published_number_of_weights():
    reader = ChannelTransformer(32, 40, PAPER)
    assert sum(p.numel() for p in reader.parameters()) == pytest.approx(25.70e6, rel=1e-3)


def test_labels_of_test_shapes_leave_a_trained_reader_as_it_was(made, fold):
    inputs, _ = made
    other = Inputs(inputs.found)
    other.labels = inputs.labels.clone()
    other.labels[fold.test] = 1 - other.labels[fold.test]
    for name in ("energy", "transformer"):
        a = train(name, inputs, fold, seed=1, steps=12)
        b = train(name, other, fold, seed=1, steps=12)
        for left, right in zip(
            a.reader.state_dict().values(), b.reader.state_dict().values(), strict=True
        ):
            assert torch.equal(left, right)


def test_a_seed_decides_what_comes_of_a_training(made, fold):
    inputs, _ = made
    a, b, c = (train("energy", inputs, fold, seed=seed, steps=10) for seed in (0, 0, 1))
    assert torch.equal(a.logits(inputs, fold.test), b.logits(inputs, fold.test))
    assert not torch.equal(a.logits(inputs, fold.test), c.logits(inputs, fold.test))


def test_training_leaves_the_random_numbers_of_others_alone(made, fold):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train("flat", made[0], fold, steps=3)
    assert torch.equal(torch.rand(3), wanted)


# ---- that they learn


@pytest.mark.parametrize("name", USUAL)
def test_every_reader_learns_what_it_is_trained_on(made, fold, name):
    inputs, _ = made
    trained = train(name, inputs, fold, seed=0, steps=40, symmetries="none", looks=2)
    right = trained.predicted(inputs, fold.train) == inputs.labels[fold.train]
    assert float(right.float().mean()) > 0.8
    assert trained.reader.takes == READERS[name].takes
    assert trained.features(inputs, fold.test).norm(dim=1).allclose(torch.ones(len(fold.test)))


def test_a_shape_fitted_again_by_another_seed_keeps_its_class(made, fold):
    inputs, again = made
    rows = [row for row, e in enumerate(inputs.found.index) if not e["copy"]]
    seen = Fold(sorted({*fold.train, *fold.test}), fold.val, [])
    trained = train("energy", inputs, seen, seed=0, steps=40, symmetries="none", looks=2)
    there = list(range(len(again)))
    assert [again.found.index[row]["path"] for row in there] == [
        inputs.found.index[row]["path"] for row in rows
    ]
    same = trained.predicted(again, there) == trained.predicted(inputs, rows)
    right = trained.predicted(again, there) == again.labels
    assert float(same.float().mean()) > 0.8 and float(right.float().mean()) > 0.8


def test_weights_that_are_kept_are_those_of_the_best_look(made, fold):
    inputs, _ = made
    trained = train("numbers", inputs, fold, steps=60, looks=6)
    right = trained.predicted(inputs, fold.val) == inputs.labels[fold.val]
    assert trained.accuracy == pytest.approx(float(right.float().mean()))
    assert trained.step % 10 == 0 and trained.parameters > 1000


def test_a_crop_stays_within_its_plane_and_changes_it():
    row = torch.arange(16.0).expand(1, 1, 16, 16)
    cut = resized_crop(row.expand(64, 1, 16, 16), 14, torch.Generator().manual_seed(0), 0.2)
    assert cut.shape == (64, 1, 14, 14)
    assert cut.min() >= 0 and cut.max() <= 15
    widths = cut[:, 0, 0, -1] - cut[:, 0, 0, 0]
    assert widths.std() > 1 and widths.min() > 3


def test_measures_of_a_ball_are_those_of_a_ball():
    side, radius = 24, 0.3
    axis = torch.linspace(0, 1, side)
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    values = ((places - 0.5).norm(dim=3) - radius).div(0.05).clamp(-1, 1)[None, None]
    found = measured_values(values)[0]
    assert found.shape == (3 * side + 45,)
    slices, spreads = found[: 3 * side].view(3, side), found[3 * side + 16 : 3 * side + 19]
    assert torch.allclose(slices[0], slices[1], atol=1e-5)
    widest = torch.pi * radius**2 * ((side - 1) / side) ** 2  # of side^2 points in a slice
    assert float(slices.max()) == pytest.approx(widest, rel=0.05)
    assert torch.allclose(spreads.exp(), torch.full((3,), radius**2 / 5), rtol=0.15)


def test_what_cannot_be_moved_is_not(made, fold):
    with pytest.raises(FieldsError, match="measures cannot be moved"):
        train("measures", made[0], fold, symmetries="all")


# ---- what is trained on


def test_no_shape_nor_copy_of_it_is_on_two_sides(made):
    index = made[0].found.index
    tested = []
    for fold in folds(index, 3):
        require_apart(index, fold)
        digests = [{index[row]["source_sha256"] for row in side} for side in
                   (fold.train, fold.val, fold.test)]  # fmt: skip
        assert not (digests[0] & digests[1] or digests[0] & digests[2] or digests[1] & digests[2])
        assert sum(index[row]["copy"] for row in fold.train) == len(fold.train) / 2
        assert not any(index[row]["copy"] for row in fold.val + fold.test)
        labels = [index[row]["label"] for row in fold.test]
        assert labels.count(0) == labels.count(1) == EACH / 3
        tested += fold.test
    assert sorted(tested) == [row for row, e in enumerate(index) if not e["copy"]]


def test_one_file_under_two_names_is_on_one_side():
    entries = [entry(f"{label}-{i}", label) for label in (0, 1) for i in range(6)]
    entries.append(entry("again", 0, digest="0-0"))
    for fold in folds(entries, 3):
        sides = [
            side
            for side in ("train", "val", "test")
            for row in getattr(fold, side)
            if entries[row]["source_sha256"] == "0-0"
        ]
        assert len(sides) == 2 and len(set(sides)) == 1
    with pytest.raises(FieldsError, match="again of test is the same file as 0-0 of train"):
        require_apart(entries, Fold([0], [], [len(entries) - 1]))


def test_a_list_says_what_is_trained_on_and_tested():
    entries = [
        entry(f"{label}-{i}", label, split="test" if i < 2 else "train", copy=copy)
        for label in (0, 1)
        for i in range(9)
        for copy in range(1 if i < 2 else 2)
    ]
    fold = split(entries)
    assert fold.test == [row for row, e in enumerate(entries) if e["split"] == "test"]
    assert {entries[row]["split"] for row in fold.train + fold.val} == {"train"}
    assert len(fold.val) == 2 and len(fold.train) == 24
    own = [{**e, "split": "val"} if e["path"].endswith("-8") else e for e in entries]
    assert {own[row]["path"] for row in split(own).val} == {"0-8", "1-8"}


def test_a_training_shape_that_is_a_test_shape_too_is_left_out():
    entries = [
        entry(f"{label}-{i}", label, split="test" if i < 2 else "train", copy=copy)
        for label in (0, 1)
        for i in range(9)
        for copy in range(1 if i < 2 else 2)
    ]
    twins = [{**e, "source_sha256": "0-0"} if e["path"] == "0-5" else e for e in entries]
    fold = split(twins)
    used = {twins[row]["path"] for row in fold.train + fold.val}
    assert "0-5" not in used and len(used) == 13 and len(fold.test) == 4


def test_a_split_of_no_use_is_refused():
    train = [entry(f"{label}-{i}", label, split="train") for label in (0, 1) for i in range(5)]
    with pytest.raises(FieldsError, match="no shape of the set has the split 'test'"):
        split(train)
    tested = [{**e, "split": "test", "path": f"{e['path']} again"} for e in train]
    with pytest.raises(FieldsError, match="no shape of the set has the split 'train'"):
        split([*train, *tested])


def test_folds_of_no_use_are_refused():
    few = [entry(f"{label}-{i}", label) for label in (0, 1) for i in range(4)]
    for wanted, line in (
        (lambda: folds(few, 1), "folds must be at least 2, got 1"),
        (lambda: folds(few, 5), "5 folds need 5 shapes of each class; class kind 0 has 4"),
        (lambda: folds(few[:4], 2), "at least two classes"),
        (lambda: folds([*few, entry("x", 1, digest="0-0")], 2), "stands in two classes"),
    ):
        with pytest.raises(FieldsError, match=line):
            wanted()


def test_a_reader_that_there_is_not_is_refused(made, fold):
    with pytest.raises(FieldsError, match="there is no reader 'magic'"):
        train("magic", made[0], fold)
    with pytest.raises(FieldsError, match="steps must be at least 1"):
        train("energy", made[0], fold, steps=0)


# ---- what meshes say


def test_nine_numbers_of_a_cube_and_a_ball():
    cube = nine_numbers(0.9 * CUBE, SIDES)
    assert np.allclose(cube[:7], [0.9, 0.9, 0.9, 0.729, 4.86, 1, 1])
    ball = nine_numbers(*sphere(radius=0.45, rounds=4))
    assert np.allclose(ball[5:8], [np.pi / 6, np.pi / 6, 1], atol=0.01)


def test_points_and_numbers_are_those_of_the_scaled_copy(made):
    inputs, _ = made
    index = inputs.found.index
    low, high = inputs["points"].amin(1), inputs["points"].amax(1)
    assert inputs["points"].shape == (len(index), 1024, 3)
    torch.testing.assert_close(high - low, inputs["numbers"][:, :3], rtol=0.05, atol=0.02)
    for row, e in enumerate(index):
        box = np.diff(np.array(e["box"]), axis=0)[0]
        sides = torch.from_numpy(0.9 * box / box.max()).float()
        torch.testing.assert_close(inputs["numbers"][row, :3], sides, rtol=1e-3, atol=1e-3)


def test_values_are_those_of_the_fields(made):
    inputs, _ = made
    values = inputs["values"]
    side = values.shape[-1]
    axis = torch.linspace(0, 1, side)
    x, y, z = 7, 3, 20
    with torch.no_grad():
        wanted = inputs.found.field(3)(torch.tensor([[axis[x], axis[y], axis[z]]]))
    assert float(values[3, 0, x, y, z]) == pytest.approx(float(wanted) / 0.05, abs=1e-4)


# ---- parts


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Boxes and balls whose faces are named by the side of the middle that they lie on."""
    place = tmp_path_factory.mktemp("parts")
    source = two_classes(place / "shapes", each=EACH)
    for path in source.rglob("*.off"):
        lines = path.read_text().split("\n")
        vertices, faces, _ = map(int, lines[1].split())
        corners = np.array([line.split() for line in lines[2 : 2 + vertices]], float)
        chosen = np.array([line.split()[1:] for line in lines[2 + vertices :][:faces]], int)
        upper = corners[chosen].mean(1)[:, 2] > (corners[:, 2].min() + corners[:, 2].max()) / 2
        text = "".join(
            f"{name}\n{' '.join(map(str, np.flatnonzero(which) + 1))} \n"
            for name, which in (("top", upper), ("foot", ~upper))
        )
        path.with_name(f"{path.stem}_labels.txt").write_text(text)
    found = fields.fit_many(source, place / "set", threads=2, **FIT)
    inputs = Inputs(found)
    parts = parts_of(source, found.index, inputs.classes)
    assert parts is not None
    return inputs, parts


def test_points_know_the_part_of_their_face(labelled):
    _, parts = labelled
    assert parts.names == ["ball/foot", "ball/top", "box/foot", "box/top"]
    assert parts.of_class.tolist() == [[True, True, False, False], [False, False, True, True]]
    assert parts.rows == list(range(2 * EACH))
    ball = parts.labels[0]
    assert (ball[parts.points[0, :, 2] > 0.65] == 1).all()  # a face is 0.2 long
    assert (ball[parts.points[0, :, 2] < 0.35] == 0).all()
    assert parts.points.amin() >= 0.05 - 1e-5 and parts.points.amax() <= 0.95 + 1e-5


def test_parts_are_learnt(labelled):
    inputs, parts = labelled
    fold = folds(inputs.found.index, 3)[0]
    recipe = dataclasses.replace(RECIPE, steps=60, batch=8, symmetries="none", looks=3)
    trained = segment(inputs, parts, fold, recipe=recipe)
    found = iou_of(trained.reader, inputs, parts, fold.test)
    assert sorted(found) == sorted(fold.test) and min(found.values()) > 0.6


def test_an_answer_for_a_point_hangs_on_no_other_point(labelled):
    inputs, parts = labelled
    torch.manual_seed(0)
    reader = Segmenter(12, 2, 4).eval()
    planes, points, kinds = inputs["planes"][:3], parts.points[:3, :50], inputs.labels[:3]
    with torch.no_grad():
        all_of_them = reader(planes, points, kinds)
        some = reader(planes, points[:, 10:20], kinds)
    torch.testing.assert_close(some, all_of_them[:, 10:20], rtol=0, atol=1e-5)


def test_labels_pass_over_faces_that_a_mesh_has_not(tmp_path):
    path = tmp_path / "a_labels.txt"
    path.write_text("leg\n1 3 99\nseat\n2 \nleg\n5\n")
    names, of_face = read_labels(path, 6)
    assert names == ["leg", "seat"] and of_face.tolist() == [0, 1, 0, -1, 0, -1]


def test_there_are_no_parts_where_nothing_is_labelled(made):
    inputs, _ = made
    folder = Path(inputs.found.about["source"])
    assert parts_of(folder, inputs.found.index, inputs.classes) is None


def test_shapes_are_measured_alike_by_any_number_of_processes(tmp_path):
    off(tmp_path / "a.off", CUBE, SIDES)
    off(tmp_path / "b.off", *sphere())
    entries = [{"path": p, "scale": s} for p in ("a.off", "b.off") for s in ([1, 1, 1], [1, 2, 1])]
    one, two = explicit_of(tmp_path, entries, 1), explicit_of(tmp_path, entries, 2)
    assert torch.equal(one.numbers, two.numbers) and torch.equal(one.points, two.points)


def test_inputs_need_two_classes(made):
    found = types.SimpleNamespace(index=[e for e in made[0].found.index if e["label"] == 0])
    with pytest.raises(FieldsError, match="at least two classes; the set has 1"):
        Inputs(found)


def test_a_reader_is_built_for_inputs_of_any_size():
    for name, shape in (("energy", (2, 3, 2, 9, 9)), ("resnet", (2, 3, 4, 8, 8))):
        logits = build(name, torch.zeros(shape), 4)(torch.zeros(shape))
        assert logits.shape == (2, 4)
