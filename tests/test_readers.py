"""Networks that read fields: what they may know, what they must not, and that they learn."""

import types
from pathlib import Path

import numpy as np
import pytest
import torch
from many_shapes import CUBE, EACH, FIT, SIDES, two_classes
from shape_files import off, sphere

import fields
from fields import ops
from fields.errors import FieldsError
from fields.readers import READERS, Fold, Inputs, build, folds, symmetries, train
from fields.readers.channel_tokens import PAPER, ChannelMlp, ChannelTransformer, resized_crop
from fields.readers.explicit import explicit_of, nine_numbers
from fields.readers.images import channel_energy
from fields.readers.kernel import KernelReader
from fields.readers.measures import measured_values
from fields.readers.parts import parts_of
from fields.readers.splitting import require_apart

pytestmark = pytest.mark.usefixtures("quick_scores", "one_thread")

USUAL = [name for name in READERS if name != "transformer-paper"]


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
    for name in ("energy", "transformer", "measures"):
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
    trained = train("numbers-mlp", inputs, fold, steps=60, looks=6)
    right = trained.predicted(inputs, fold.val) == inputs.labels[fold.val]
    assert trained.accuracy == pytest.approx(float(right.float().mean()))
    assert trained.step % 10 == 0 and trained.parameters > 1000


def test_a_kernel_learns_of_validation_shapes_after_they_have_chosen(made, fold):
    inputs, _ = made
    trained = train("measures", inputs, fold)
    reader = trained.reader
    assert isinstance(reader, KernelReader)
    assert len(reader.support) == len(fold.train) + len(fold.val) and trained.step == 0
    assert round(float(reader.width), 4) in reader.WIDTHS and 0.5 < trained.accuracy <= 1
    logits = trained.logits(inputs, fold.train + fold.val)
    assert (logits.argmax(1) == inputs.labels[fold.train + fold.val]).all()
    again = train("measures", inputs, fold, seed=5)
    assert torch.equal(trained.logits(inputs, fold.test), again.logits(inputs, fold.test))


def test_what_copies_make_worse_is_trained_without_them(made, fold):
    inputs, _ = made
    shapes = [row for row in fold.train if not inputs.found.index[row]["copy"]]
    reader = train("numbers", inputs, fold).reader
    assert len(shapes) < len(fold.train) and len(reader.support) == len(shapes) + len(fold.val)


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
    assert found.shape == (6 * side + 79,)
    slices, spreads = found[: 3 * side].view(3, side), found[3 * side + 16 : 3 * side + 19]
    assert torch.allclose(slices[0], slices[1], atol=1e-5)
    widest = torch.pi * radius**2 * ((side - 1) / side) ** 2  # of side^2 points in a slice
    assert float(slices.max()) == pytest.approx(widest, rel=0.05)
    assert torch.allclose(spreads.exp(), torch.full((3,), radius**2 / 5), rtol=0.15)
    surface = found[6 * side + 45 : 6 * side + 55]
    area, facing, normals, through = surface.split((1, 3, 3, 3))
    wanted = 4 * torch.pi * radius**2
    assert float(area.exp()) / (side - 1) ** 2 == pytest.approx(wanted, rel=0.05)
    assert torch.allclose(facing, torch.full((3,), 1 / 2), rtol=0.02)
    assert torch.allclose(normals, torch.full((3,), 1 / 3), rtol=0.02)
    assert torch.allclose(through, torch.tensor(2.0).log(), atol=0.1)  # in and out again
    pairs = found[-24:].exp()
    apart = torch.linspace(0, 1.2, 24)
    assert float((pairs * apart).sum() / pairs.sum()) == pytest.approx(36 / 35 * radius, rel=0.05)


def test_what_cannot_be_moved_is_not(made, fold):
    with pytest.raises(FieldsError, match="measures cannot be moved"):
        train("measures-mlp", made[0], fold, symmetries="all")
    with pytest.raises(FieldsError, match="kernel-planes is solved for fields as they lie"):
        train("kernel-planes", made[0], fold, symmetries="all")


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
    torch.testing.assert_close(high - low, inputs["numbers"][:, :3].exp(), rtol=0.05, atol=0.02)
    for row, e in enumerate(index):
        box = np.diff(np.array(e["box"]), axis=0)[0]
        sides = torch.from_numpy(0.9 * box / box.max()).float()
        torch.testing.assert_close(inputs["numbers"][row, :3].exp(), sides, rtol=1e-3, atol=1e-3)


def test_values_are_those_of_the_fields(made):
    inputs, _ = made
    values = inputs["values"]
    side = values.shape[-1]
    axis = torch.linspace(0, 1, side)
    x, y, z = 7, 3, 20
    with torch.no_grad():
        wanted = inputs.found.field(3)(torch.tensor([[axis[x], axis[y], axis[z]]]))
    assert float(values[3, 0, x, y, z]) == pytest.approx(float(wanted) / 0.05, abs=1e-4)


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
