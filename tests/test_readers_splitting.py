"""What readers are trained on and tested on, of a list: no file is on two sides."""

import pytest

from fields.errors import FieldsError
from fields.readers import Fold, folds, split
from fields.readers.splitting import least_shapes, require_apart


def entry(path, label, copy=0, split=None, digest=None):
    return {"path": path, "label": label, "class": f"kind {label}", "copy": copy, "split": split,
            "source_sha256": digest or path}  # fmt: skip


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


@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_fold_has_all_classes_to_train_on_to_stop_by_and_to_test(count):
    least = least_shapes(count)
    entries = [entry(f"{label}-{i}", label) for label in range(5) for i in range(least)]
    for fold in folds(entries, count):
        for rows in (fold.train, fold.val):
            assert {entries[row]["label"] for row in rows} == set(range(5))
    with pytest.raises(FieldsError, match=f"{count} folds need {least} shapes of each class"):
        folds(entries[:-1], count)


def test_a_class_with_one_training_shape_is_trained_on_it():
    entries = [
        entry(f"{label}-{i}", label, split="test" if not i else "train")
        for label, shapes in ((0, 2), (1, 6))
        for i in range(shapes)
    ]
    fold = split(entries)
    assert {entries[row]["label"] for row in fold.train} == {0, 1}
    assert {entries[row]["label"] for row in fold.val} == {1}
    with pytest.raises(FieldsError, match="no class has two training shapes"):
        split([e for e in entries if e["path"] in ("0-0", "0-1", "1-0", "1-1")])
