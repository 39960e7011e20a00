"""A reader of parts: what it is shown, and that it learns."""

import dataclasses

import numpy as np
import pytest
import torch
from many_shapes import EACH, FIT, two_classes

import fields
from fields.readers import Inputs, folds
from fields.readers.part_baselines import commonest, nearest
from fields.readers.parts import parts_of, read_labels
from fields.readers.segmenter import Segmenter
from fields.readers.segmenting import RECIPE, iou_of, segment

pytestmark = pytest.mark.usefixtures("quick_scores", "one_thread")


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


def test_parts_without_a_reader_are_those_of_most_points_or_of_the_shape_most_alike(labelled):
    inputs, parts = labelled
    fold = folds(inputs.found.index, 3)[0]
    most, near = commonest(inputs, parts, fold), nearest(inputs, parts, fold)
    assert sorted(most) == sorted(near) == sorted(fold.test)
    assert max(most.values()) <= 0.5  # of two parts one is never answered
    assert min(near.values()) > 0.9  # the upper half of a ball is that of another ball
    other = dataclasses.replace(parts, labels=parts.labels.clone())
    other.labels[fold.train] = -1
    assert max(nearest(inputs, other, fold).values()) == 0


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
