"""FreSh on the command line: flags of `fields fit`, `fields spectrum`, `fields bench fresh`."""

import json
import math

import numpy as np
import pytest
from PIL import Image
from small import one_line, picture

from fields.bench import sweep
from fields.bench.fresh import means
from fields.cli import main
from fields.fresh import untrained
from fields.fresh.search import Search
from fields.pictures import write_picture

SMALL = ["--width=16", "--depth=1"]
FEW = "--fresh-candidates=20,60,140"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "waves.png", picture())
    write_picture(tmp_path / "still.png", np.full((40, 40, 3), 7, np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("fit waves.png --fresh-bins 9", "--model siren, finer"),
        ("fit waves.png --fresh", "hashgrid has no frequency"),
        ("fit waves.png --model siren --fresh-bins 7", "--fresh-bins must be a whole number of"),
        ("fit waves.png --model siren --fresh-bins 99", "20 is the most"),
        ("fit waves.png --model siren --fresh-candidates 10;20", "numbers such as 10,20,30"),
        ("fit waves.png --model siren --fresh-candidates 10,-20", "omega must be at least 0.01"),
        ("fit waves.png --model siren --fresh-quadrants all", "one or both"),
        ("fit waves.png --model siren --fresh-quadrant one", "did you mean --fresh-quadrants"),
        ("fit waves.png --model siren --no-fresh --fresh-bins 9", "--no-fresh does not go with"),
        ("fit waves.png --model siren --omega 30 --fresh-bins 9", "--omega 30 is what FreSh would"),
        ("fit waves.png --model fourier --encoding positional --fresh", "these options"),
        ("fit waves.png --model siren --resume --fresh", "frequency of the run"),
        ("fit waves.png --model fourier --sigma 0", "--sigma must be at least 0.01, got 0"),
        (
            "fit waves.png --model fourier --encoding positional --sigma 3",
            "--sigma is for --encoding gaussian, not positional; leave it away",
        ),
        ("fit waves.png --model fourier --octaves 3", "for --encoding positional, not gaussian"),
        ("fit waves.png --model cam --trunk siren --sigma 3", "for --trunk fourier, not siren"),
        ("fit waves.png --model cam --omega 9", "for --trunk siren or finer, not fourier"),
        ("spectrum", "needs SOURCE"),
        ("spectrum missing.png", "missing.png does not exist"),
        ("spectrum waves.png --model hashgrid", "hashgrid has no frequency"),
        ("spectrum waves.png --modle siren", "did you mean --model"),
        ("spectrum waves.png -o a.jpg", "must end in .png"),
        ("spectrum waves.png -o nowhere/a.png", "nowhere"),
        ("spectrum still.png", "still has no spectrum to draw: the source has no waves of"),
        ("spectrum waves.png --downscale 9", "samples a side are too few"),
        ("spectrum waves.png --omega 5", "--omega 5 is what FreSh would choose"),
        ("bench fresh --data missing.png", "missing.png does not exist"),
        ("bench fresh --steps 0", "--steps must be at least 1"),
        ("bench fresh --models rbf", "siren"),
    ],
)
def test_a_mistake_gets_one_line_and_nothing_is_written(arguments, words, folder, capsys):
    before = sorted(folder.rglob("*"))
    assert main(arguments.split()) == 2
    printed = capsys.readouterr()
    assert words in one_line(printed.err) and printed.out == ""
    assert sorted(folder.rglob("*")) == before


def test_a_fit_says_what_was_chosen_and_no_fresh_turns_it_off(folder, capsys):
    fit = ["fit", "waves.png", "--model=siren", "--steps=2", "--json", *SMALL]
    assert main([*fit, FEW]) == 0
    printed = capsys.readouterr()
    fresh = json.loads(printed.out)["fresh"]
    assert f"FreSh: omega {fresh['chosen']:g} of 20 to 140" in printed.err
    assert main([*fit, "--no-fresh"]) == 0
    printed = capsys.readouterr()
    assert "fresh" not in json.loads(printed.out) and "FreSh" not in printed.err
    assert main(["fit", "waves.png", "--no-fresh", "--steps=2", "--json"]) == 0
    line = "--no-fresh changes nothing: hashgrid has no frequency that FreSh could choose"
    assert line in capsys.readouterr().err


def test_a_spectrum_is_drawn_with_its_figures(folder, capsys):
    assert main(["spectrum", "waves.png", FEW, "--fresh-bins=16", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "waves-siren-spectrum.png" in printed and "chosen" in printed
    with Image.open(folder / "waves-siren-spectrum.png") as image:
        assert image.width > 1000 and len(np.unique(np.asarray(image))) > 50
    assert main(["spectrum", "waves.png", FEW, "-o", "b.png", "--model=finer", "--json"]) == 2
    capsys.readouterr()
    arguments = ["spectrum", "waves.png", "--model=fourier", "--fresh-candidates=1,4", "--json"]
    assert main([*arguments, "-o", "b.png", "--fresh-quadrants=both", *SMALL]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["setting"] == "sigma" and len(figures["target"]) == 20
    assert np.shape(figures["spectra"]) == (2, 20) and (folder / "b.png").exists()


# The benchmark


def swept(distances, psnr):
    candidates = tuple(float(i) for i in range(len(psnr)))
    found = Search("omega", 1.0, 0.0, None, 8, "one", candidates, distances, distances, None, None,
                   0.1)  # fmt: skip
    return sweep.Sweep("waves", "siren", found, dict(zip(candidates, psnr, strict=True)))


def test_the_rank_correlation_is_that_of_the_order():
    assert swept((4, 1, 2, 3), (10, 30, 25, 20)).rank_correlation() == pytest.approx(-1)
    assert swept((1, 2, 3, 4), (10, 20, 30, 31)).rank_correlation() == pytest.approx(1)
    assert sweep._ranks([3, 1, 3, 0]) == [2.5, 1, 2.5, 0]


def test_means_say_what_was_lost_and_won():
    rows = [swept((4, 1, 2), (10, 30, 31)).row(), swept((4, 1, 2), (20, 30, 20)).row()]
    (mean,) = means(rows)
    assert mean["lost_to_best"] == 0.5 and mean["lost_to_best_most"] == 1
    assert mean["won_over_usual"] == 15


@pytest.mark.parametrize(
    ("shape", "dtype"), [((200, 300, 3), np.uint8), ((129, 128, 1), np.uint16)]
)
def test_pictures_are_cut_to_a_small_square(shape, dtype, tmp_path):
    write_picture(tmp_path / "a.png", picture(*shape, dtype=dtype))
    small = sweep.picture_of(str(tmp_path / "a.png"))
    assert small.pixels.shape == (128, 128, shape[2]) and small.pixels.dtype == np.uint8
    assert small.pixels.std() > 20


def test_the_benchmark_prints_rows_and_draws_them(folder, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "DRAWN", (60.0,))
    command = "bench fresh --quick --steps 2 --batch 64 --width 8 --models siren --data waves.png"
    assert main([*command.split(), "--json", "--plot", "a.png"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["work"] for row in rows] == [
        "waves 128x128 siren",
        "mean of 1 pictures siren",
        "drawn by a siren of omega 60",
    ]
    assert rows[0]["candidates"] == [10, 50, 90, 130, 170] and len(rows[0]["psnr"]) == 5
    assert rows[0]["psnr_best"] >= rows[0]["psnr_chosen"]
    assert abs(rows[2]["chosen"] - 60) <= 10
    with Image.open(folder / "a.png") as image:
        assert image.width > 300


def test_a_candidate_without_waves_has_no_spectrum_in_the_json(folder, capsys, monkeypatch):
    spectra = untrained.spectra

    def dead(config, candidates, seeds, **options):  # as those of one neuron that gives 0
        asked = zip(candidates, spectra(config, candidates, seeds, **options), strict=True)
        return [found * math.nan if candidate == 1 else found for candidate, found in asked]

    monkeypatch.setattr(untrained, "spectra", dead)
    command = "spectrum waves.png --model fourier --fresh-candidates 1,5 --json"
    assert main([*command.split(), *SMALL]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["distances"][0] is None and found["spectra"][0] is None
    assert len(found["spectra"][1]) == found["bins"]
