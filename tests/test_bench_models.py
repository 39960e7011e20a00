"""`fields bench models` and `fields bench rbf`: models of one size, decoders behind one grid."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from small import picture

import fields
from fields import catalogue
from fields.bench import decoders, fits, model_fits, models, models_shown
from fields.bench.fits import Fitted
from fields.cli import main
from fields.loop import Diverged
from fields.pictures import write_picture


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where two small pictures lie in `in`."""
    (tmp_path / "in").mkdir()
    for name, shape in {"grey": (20, 30, 1), "red": (24, 24, 3)}.items():
        write_picture(tmp_path / "in" / f"{name}.png", picture(*shape))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fitted(psnr, steps=5, seconds=0.5, ssim=0.9):
    pixels = np.zeros((8, 8, 3), np.uint8)
    return Fitted(psnr, ssim, 10, 400, steps, seconds, pixels)


SMALL = "--data in --side 16 --steps 3 --seconds 0.01 --seeds 1 --threads 1"


# ---- what a benchmark fits


def test_pictures_become_squares_no_larger_than_they_are(folder):
    found = fits.squares("in", (), 5, 22)
    assert [one.name for one in found] == ["grey", "red"]
    assert [one.pixels.shape for one in found] == [(20, 20, 1), (22, 22, 3)]
    assert [one.name for one in fits.squares(None, models.SAMPLES, 1, 16)] == ["astronaut"]
    write_picture(folder / "in" / "red.tiff", picture(9, 9, 3))
    assert [one.name for one in fits.squares("in", (), 5, 22)] == ["grey", "red", "red 3"]


def test_a_fit_gives_the_picture_that_its_score_is_of(folder):
    (red,) = fits.squares("in", (), 5, 24)[1:]
    config = catalogue.find("siren").config(3, width=8)
    found = fits.fit(red, config, str(folder), steps=4, seed=0)
    assert found.pixels.shape == (24, 24, 3) and found.steps == 4
    error = np.square(found.pixels.astype(float) - red.pixels).mean() / 255**2
    assert found.psnr == pytest.approx(-10 * np.log10(error), abs=1e-3)
    assert found.parameters == config.parameters and found.bytes > 4 * config.parameters


def test_models_are_as_large_as_they_may_be(folder):
    (red,) = fits.squares("in", (), 5, 24)[1:]
    options = SimpleNamespace(models=list(catalogue.MODELS), parameters=4000)
    for model, config in models.sized(red, options).items():
        assert catalogue.name_of(config) == model
        assert 2000 < config.stored <= 4000, model
    one_each = models.sized(red, SimpleNamespace(models=["siren"], parameters=None))
    assert one_each["siren"].parameters <= 24 * 24


# ---- rows


def test_budgets_halve_down_to_the_least():
    assert model_fits.budgets(2.0) == [2.0, 1.0, 0.5]
    assert model_fits.budgets(0.1) == [0.1]


def model_rows(folder):
    rows = []
    for one, psnr in zip(fits.squares("in", (), 2, 16), (20.0, 30.0), strict=True):
        for model in ("siren", "rbf"):
            config = catalogue.find(model).config.for_signal(one.channels, (16, 16))
            found = model_fits.Fits(one, model, config)
            found.by_steps = [fitted(psnr), fitted(psnr + 2)]
            found.by_seconds = {1.0: [fitted(psnr + 1)] * 2, 0.5: [fitted(psnr - 1)]}
            rows += found.rows()
    return rows


def test_rows_are_of_steps_and_of_each_budget(folder):
    rows = model_rows(folder)[:3]
    assert [(row["by"], row["limit"]) for row in rows] == [
        ("steps", 5), ("seconds", 0.5), ("seconds", 1.0),
    ]  # fmt: skip
    assert rows[0]["psnr"] == 21 and rows[0]["psnr_of_seeds"] == [20, 22]
    assert rows[0]["work"] == "grey siren after 5 steps" and rows[0]["ssim"] == pytest.approx(0.9)
    assert rows[0]["frequency"] in catalogue.find("siren").config.candidates
    assert rows[0]["search_seconds"] > 0 and "frequency" not in model_rows(folder)[3]
    assert rows[0]["multiply_adds"] == catalogue.find("siren").config(1).multiply_adds


def test_means_are_over_pictures(folder):
    found = model_fits.means(model_rows(folder))
    assert len(found) == 6 and {row["picture"] for row in found} == {"mean of all"}
    assert found[0]["psnr"] == 26 and found[0]["psnr_of_seeds"] == [25, 27]


def test_the_crop_is_where_neighbours_differ_the_most():
    pixels = np.zeros((200, 150, 3), np.uint8)
    pixels[120:180:2, 70:130:2] = 255
    rows, columns = models_shown.detailed(pixels)
    assert rows.start <= 120 and 179 <= rows.stop and columns.start <= 70 and 129 <= columns.stop
    assert rows.stop - rows.start == columns.stop - columns.start == models_shown.CROP
    assert models_shown.detailed(pixels[:7, :5]) == (slice(0, 5), slice(0, 5))


def test_errors_are_absolute_and_enlarged():
    shown = models_shown.errors(np.uint8([[[0, 10, 255]]]), np.uint8([[[3, 0, 0]]]))
    assert shown.tolist() == [[[24, 80, 255]]]


# ---- decoders


def test_decoders_stand_behind_the_same_grid(folder):
    (red,) = fits.squares("in", (), 5, 24)[1:]
    found = {n: (c, decoders.costs(c)) for n, c in decoders.configs(red, 8).items()}
    assert len({tuple(getattr(c, n) for n in decoders.GRID) for c, _ in found.values()}) == 1
    grids = {costs["parameters"] - costs["decoder_parameters"] for _, costs in found.values()}
    assert len(grids) == 1
    costs = {name: cost["decoder_multiply_adds"] for name, (_, cost) in found.items()}
    assert costs["linear"] == 16 * 3 and costs["1x64"] == 16 * 64 + 64 * 3
    assert costs["3x64"] == costs["1x64"] + 2 * 64 * 64
    assert costs["RBF flat"] == costs["RBF spread"] == 2 * 16 * 64 + 64 * 3
    assert costs["RBF flat, affine"] == costs["RBF flat"] + 16 * 3
    assert found["linear"][1]["decoder_parameters"] == 16 * 3 + 3


def test_the_best_rate_is_that_of_the_highest_mean():
    def fit(one, decoder, seed, *, rate, steps):
        if rate > 1:
            raise Diverged("the loss is not finite")
        return fitted({0.1: 20.0, 0.2: 25.0, 0.3: 24.0}[rate])

    options = SimpleNamespace(rates=[0.3, 0.1, 0.2, 5.0], steps=1)
    found = decoders.sweep(fit, [picture(8, 8, 3)] * 2, options)
    assert found["linear"] == {0.1: [20, 20], 0.2: [25, 25], 0.3: [24, 24]}
    assert decoders.best_rate("linear", found["linear"]) == 0.2
    with pytest.raises(fields.FieldsError, match="linear diverged at every rate"):
        decoders.best_rate("linear", {})


def test_gains_over_the_mlp_are_of_the_same_picture_and_seed():
    rows = []
    for name, ours, theirs in (("a", [20.0, 22.0], [21.0, 21.0]), ("b", [30.0, 31.0], [30, 30])):
        for decoder, psnr in (("3x64", theirs), ("linear", ours)):
            row = {"picture": name, "decoder": decoder, "by": "steps", "limit": 5, "rate": 0.1}
            row |= {"psnr": sum(psnr) / 2, "psnr_of_seeds": psnr, "steps": 5, "seconds": 1.0}
            costs = ("parameters", "multiply_adds", "decoder_parameters", "decoder_multiply_adds")
            rows.append(row | dict.fromkeys(costs, 7))
    mlp, linear = decoders.means(rows)
    assert mlp["over_mlp"] == 0
    assert (linear["over_mlp"], linear["over_mlp_least"], linear["over_mlp_most"]) == (0.25, -1, 1)
    assert linear["psnr_of_seeds"] == [25, 26.5]


# ---- commands


def test_models_are_compared_and_drawn(folder, capsys):
    command = f"bench models {SMALL} --models hashgrid siren --parameters 500 --out new/there"
    assert main([*command.split(), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["work"] for row in result["rows"]] == [
        f"{name} {model} after {limit}"
        for name in ("grey", "red", "mean of all")
        for model in ("hashgrid", "siren")
        for limit in ("3 steps", "0.01 seconds")
    ]
    assert all(row["parameters"] <= 500 for row in result["rows"])
    out = folder / "new" / "there"
    assert {path.name for path in out.iterdir()} == {
        *("models.json", "table.txt", "seconds.png", "crops.png"),
    }
    assert json.loads((out / "models.json").read_text()) == result
    assert "siren" in (out / "table.txt").read_text()
    with Image.open(out / "crops.png") as sheet:
        assert sheet.width > 3 * models_shown.TILE and sheet.height > 4 * models_shown.TILE


def test_models_are_compared_in_a_table(folder, capsys):
    command = f"bench models {SMALL} --pictures 1 --models hashgrid --parameters 500 --out out"
    assert main(command.split()) == 0
    printed = capsys.readouterr().out
    assert "dB, 3 steps" in printed and "dB, 0.01 s" in printed and "grey" in printed


def test_decoders_are_compared_and_drawn(folder, capsys):
    command = f"bench rbf {SMALL} --pictures 1 --rates 0.01 0.02 --log2-table-size 6 --plot a.png"
    assert main([*command.split(), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    count = len(decoders.DECODERS)
    assert [row["by"] for row in rows].count("rate") == 2 * count
    assert [row["by"] for row in rows if row["picture"] == "grey"].count("steps") == count
    assert len(rows) == 6 * count and all(row["psnr"] > 0 for row in rows)
    assert (folder / "a.png").stat().st_size > 10_000
    assert main([*command.split(), "--quick"]) == 0
    assert "over 3x64" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("models --seeds 0", "--seeds must be at least 1, got 0"),
        ("models --seconds 0", "--seconds must be more than 0"),
        ("models --seconds nan", "--seconds must be more than 0"),
        ("models --models sirene", "sirene"),
        ("models --data no/such", "there is no folder no/such"),
        ("models --data in --parameters 3 --models siren", "too few for siren: the least is"),
        ("models --data in --models siren --out in/red.png", "is no folder; name another --out"),
        ("models --datta in", "did you mean --data?"),
        ("models --threads 0", "--threads must be from 1 to 1024, got 0"),
        ("rbf --threads 9999", "--threads must be from 1 to 1024, got 9999"),
        ("fresh --seed -1", "--seed must be at least 0, got -1"),
        ("fresh --large -1", "--large must be at least 0, got -1"),
        ("image --size-kb nan", "--size-kb must be more than 0 and finite, got nan"),
        ("image --targets 30 -1", "--targets must be more than 0 and finite, got -1"),
        ("rbf --batch 0", "--batch must be at least 1, got 0"),
        ("rbf --rates 0.1 0", "--rates must be more than 0 and at most 10"),
        ("rbf --data in --log2-table-size 2", "--log2-table-size must be at least 3"),
        ("rbf --data in --plot gone/a.png", "name another --plot"),
    ],
)
def test_wrong_options_get_a_line(folder, capsys, arguments, words):
    assert main(["bench", *arguments.split()]) == 2
    printed = capsys.readouterr()
    assert not printed.out and len(printed.err.splitlines()) == 1
    assert words in printed.err
