"""`fields bench triplane`: what it says is counted right, kept, and done once."""

import argparse
import functools
import json

import numpy as np
import pytest
from bench_command import check_rows
from many_shapes import CUBE, QUICK, SIDES, two_classes
from shape_files import off
from small import one_line

from fields.bench import triplane_scores as scores
from fields.bench import triplane_shown, triplane_units, triplane_work
from fields.bench.triplane_units import Unit
from fields.cli import main
from fields.many import score
from fields.many.options import ManyOptions
from fields.readers import explicit
from fields_scenes.generate import Wanted, render_thing
from fields_scenes.patterns import stripes
from fields_scenes.solids import Solid, Solids

ARGUMENTS = ("--quick", "--steps=40", "--folds=2", "--seeds=2", "--effort=0.02", "--threads=1",
             "--readers", "energy", "numbers-mlp", "numbers")  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUICK.items():
            patch.setattr(score, name, value)
        patch.setattr(explicit, "POINTS", 64)
        small = functools.partial(ManyOptions, resolution=8, channels=4, hidden=16)
        patch.setattr(triplane_work, "ManyOptions", small)
        patch.setattr(triplane_shown, "_SIDE", 16)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return two_classes(tmp_path_factory.mktemp("bench") / "shapes", each=4).parent


@pytest.fixture(scope="module")
def ended(place):
    """The folder of a benchmark that has run to its end."""
    out = place / "out"
    assert main(["bench", "triplane", str(place / "shapes"), *ARGUMENTS, f"--out={out}"]) == 0
    return out


def test_rows_pictures_and_results_are_left(ended):
    result = json.loads((ended / "triplane.json").read_text())
    rows = result["rows"]
    check_rows(rows)
    assert [(r["kind"], r.get("reader")) for r in rows] == [
        ("sdf-individual", None), ("sdf-individual", "energy"), ("mesh", "numbers-mlp"),
        ("mesh", "numbers"),
    ]  # fmt: skip
    fitted, energy, mlp, numbers = rows
    assert mlp["trainings"] == 4 and numbers["trainings"] == 2  # nothing is drawn in the latter
    assert fitted["fields"] == 8 and 0.5 < fitted["iou"] <= 1 and fitted["seconds_of_field"] > 0
    assert energy["shapes"] == numbers["shapes"] == 8 and energy["trainings"] == 4
    for row in (energy, mlp, numbers):
        assert 0 <= row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"] <= 1
    assert energy["over_numbers"] == pytest.approx(energy["accuracy"] - numbers["accuracy"])
    assert 0 < energy["p"] <= 1 and 0 <= energy["same_again"] <= 1
    assert "over_numbers" not in numbers and "same_again" not in numbers
    for name in ("confusion.png", "neighbours.png"):
        assert (ended / name).read_bytes()[:4] == b"\x89PNG"
    assert len(list((ended / "results" / "sdf-individual").iterdir())) == 4


def test_what_is_done_is_not_done_again(place, ended, monkeypatch, capsys):
    before = (ended / "triplane.json").read_bytes()
    gone = ended / "results" / "sdf-individual" / "energy-1-0.json"
    kept = json.loads(gone.read_text())
    done = []

    def counted(name, *arguments, seed, **settings):
        done.append((name, seed))
        return once(name, *arguments, seed=seed, **settings)

    once = triplane_units.train
    monkeypatch.setattr(triplane_units, "train", counted)
    monkeypatch.setattr(triplane_work, "carry_out", None)
    monkeypatch.setattr(triplane_work, "explicit_of", None)
    again = ["bench", "triplane", str(place / "shapes"), *ARGUMENTS, f"--out={ended}", "--resume"]
    assert main(again) == 0 and not done
    assert json.loads((ended / "triplane.json").read_text())["rows"] == json.loads(before)["rows"]
    gone.unlink()
    capsys.readouterr()
    assert main([*again, "--json"]) == 0 and done == [("energy", 0)]
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows[1]["accuracy"] == json.loads(before)["rows"][1]["accuracy"]
    found = json.loads(gone.read_text())
    assert {k: v for k, v in found.items() if k != "seconds"} == {
        k: v for k, v in kept.items() if k != "seconds"
    }


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "needs DIR, or --demo"),
        (["shapes", "--demo"], "needs DIR, or --demo"),
        (["nowhere"], "nowhere does not exist"),
        (["one"], "one has 1 classes"),
        (["shapes", "--folds", "5"], "5 folds need 5 shapes of each class; ball has 4"),
        (["shapes", "--folds", "1"], "--folds must be at least 2"),
        (["shapes", "--seeds", "0"], "--seeds must be at least 1"),
        (["shapes", "--effort", "0"], "--effort must be more than 0"),
        (["shapes", "--folds=2", "--readers", "magic"], "there is no reader 'magic'"),
        (["shapes", "--folds=2", "--out", "none", "--resume"], "none holds nothing to go on with"),
        (["shapes", "--folds=2", "--out", "file"], "--out must name a folder"),
        (["shapes", "--init", "same"], "--init"),
        (["shapes", "--stores", "radiance"], "shapes holds no scenes"),
        (["shapes", "--stores", "radiance", "sdf"], "other fields are of meshes"),
        (["--demo", "--stores", "radiance"], "--demo makes meshes"),
        (["shapes", "--stores", "radiance", "--copies=2"], "--copies must be 1 for scenes"),
        (["shapes", "--stores", "radiance", "--readers", "points"], "'points' reads meshes"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys, arguments, line):
    monkeypatch.chdir(tmp_path)
    two_classes(tmp_path / "shapes", each=4)
    (tmp_path / "one" / "cube").mkdir(parents=True)
    off(tmp_path / "one" / "cube" / "a.off", CUBE, SIDES)
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    assert main(["bench", "triplane", *arguments]) == 2
    printed = capsys.readouterr()
    assert line in one_line(printed.err) and printed.out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "holds a benchmark; --resume goes on with it"),
        (["--resume", "--copies=3"], "was begun with copies 1"),
    ],
)
def test_a_folder_is_gone_on_with_only_as_it_was_begun(place, ended, capsys, arguments, line):
    given = ["bench", "triplane", str(place / "shapes"), *ARGUMENTS, f"--out={ended}", *arguments]
    capsys.readouterr()
    assert main(given) == 2
    assert line in one_line(capsys.readouterr().err)


# ---- figures


def results(right):
    """Of a reader that is right (by seed) at so many of ten shapes, over two folds."""
    found = {}
    for reader, by_seed in right.items():
        for seed, count in enumerate(by_seed):
            for fold in (0, 1):
                places = range(5 * fold, 5 * fold + 5)
                predicted = [0 if i < count else 1 for i in places]
                found[Unit("set", reader, str(fold), seed)] = {
                    "paths": [f"{i}.off" for i in places], "wanted": [0] * 5,
                    "predicted": predicted, "score": predicted.count(0) / 5, "validation": 0.5,
                    "seconds": 1.0, "parameters": 7,
                    "logits": [[0.0, -3.0] if p == 0 else [-1.0, 0.0] for p in predicted],
                }  # fmt: skip
    return found


def test_accuracy_is_the_mean_over_shapes_and_seeds():
    energy, numbers = scores.of_readers(results({"energy": [8, 6], "numbers": [4, 4]}))
    assert energy["accuracy"] == pytest.approx(0.7) and numbers["accuracy"] == pytest.approx(0.4)
    assert energy["spread_of_seeds"] == pytest.approx(np.std([0.8, 0.6], ddof=1))
    assert energy["spread_of_folds"] == pytest.approx(np.std([1.0, 0.4], ddof=1))
    assert energy["over_numbers"] == pytest.approx(0.3) and energy["shapes"] == 10
    assert energy["accuracy_low"] < 0.5 and energy["accuracy_high"] > 0.85


def test_a_paired_comparison_tells_a_difference_from_none():
    rng = np.random.default_rng(1)
    assert scores.paired(np.full(40, 0.5))["p"] < 0.001
    even = scores.paired(rng.permutation(np.repeat([-1.0, 1.0], 20)))
    assert even["p"] > 0.9 and even["over_numbers_low"] < 0 < even["over_numbers_high"]
    # One of four signs of two differences gives as much on each side.
    assert scores.paired(np.array([1.0, 1.0]))["p"] == pytest.approx(0.5, abs=0.03)


def test_the_reader_that_is_shown_is_chosen_by_validation_shapes():
    found = results({"energy": [2], "measures": [9]})
    for unit, result in found.items():
        result["validation"] = 0.9 if unit.reader == "energy" else 0.1
    assert scores.best(found, "set") == "energy" and scores.best(found, "other") is None


def test_a_confusion_has_shares_of_what_shapes_are():
    found = results({"energy": [8]})
    assert scores.confusion(found, 3).tolist() == [[0.8, 0.2, 0], [0, 0, 0], [0, 0, 0]]


def test_readers_that_are_asked_together_answer_as_the_surer_one_does():
    found = results({"kernel-energy": [8], "measures": [6], "numbers": [5]})
    row = next(row for row in scores.of_readers(found) if row["reader"] == "measures + energy")
    # Where they differ, at shapes 6 and 7, the one that is right is the surer.
    assert row["accuracy"] == pytest.approx(0.8) and row["parameters"] == 14
    assert "validation" not in row and row["over_numbers"] == pytest.approx(0.3)


def test_folds_and_the_split_of_a_list_are_both_reported():
    found = results({"energy": [8], "numbers": [5]})
    first = next(iter(found.values()))
    found[Unit("set", "energy", scores.SPLIT, 0)] = first
    rows = scores.of_readers(found)
    assert [row["protocol"] for row in rows] == ["folds", "folds", "split"]
    assert rows[0]["shapes"] == 10 and rows[2]["shapes"] == 5


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Balls and cubes seen from a few sides: three of each to train on, one to test."""
    folder = tmp_path_factory.mktemp("seen") / "things"
    rows = ["path,class,split"]
    for kind in ("ball", "cube"):
        for number, split in enumerate(("train", "train", "train", "test")):
            size, colours = (0.5 + 0.1 * number, 0.6, 0.7), ((0.6, 0.1, 0.1), (0.1, 0.2, 0.7))
            thing = Solids([Solid(kind, size, (0, 0, 0), stripes(*colours, 2, 0.5))])
            render_thing(
                lambda time, thing=thing: thing, folder / kind / str(number),
                Wanted(views=4, size=16, seed=number),
            )  # fmt: skip
            rows.append(f"{kind}/{number},{kind},{split}")
    (folder / "split.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_radiance_fields_of_scenes_are_read(scenes, tmp_path):
    out = tmp_path / "out"
    arguments = ["--stores=radiance", "--no-again", "--quick", "--steps=20", "--effort=0.02"]
    assert main(["bench", "triplane", str(scenes), *arguments, "--threads=1", "--readers", "energy",
                 "measures", f"--out={out}"]) == 0  # fmt: skip
    fitted, *readers = json.loads((out / "triplane.json").read_text())["rows"]
    assert fitted["kind"] == "radiance-individual" and fitted["fields"] == 8
    assert fitted["psnr"] > 5 and "iou" not in fitted
    assert [row["reader"] for row in readers] == ["energy", "measures"]
    assert all(row["shapes"] == 2 and "over_numbers" not in row for row in readers)
    assert not any("same_again" in row for row in readers)
    assert [path.name for path in (out / "sets").iterdir()] == ["radiance-individual"]
    for name in ("confusion.png", "neighbours.png"):
        assert (out / name).read_bytes()[:4] == b"\x89PNG"


def test_the_demo_makes_its_shapes_once(tmp_path):
    from fields.bench import triplane

    made = []

    def make(folder):
        made.append(folder)
        two_classes(folder, each=4)

    options = argparse.Namespace(out=tmp_path / "out", make_demo=make, folds=2, quick=False,
                                of_scenes=False)  # fmt: skip
    assert len(triplane._made(options).items) == len(triplane._made(options).items) == 8
    assert made == [tmp_path / "out" / "shapes"]
