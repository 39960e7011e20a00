"""What is listed of a data set of shapes, and meshes read fast."""

import numpy as np
import pytest
from many_shapes import CUBE, QUICK, SIDES, SMALL, listed, two_classes
from shape_files import off, sphere

import fields
from fields.many import score
from fields.many.listing import Item, list_shapes
from fields.shapes.off import read_plain_off


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, value in QUICK.items():
        monkeypatch.setattr(score, name, value)


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
