"""`fields bench image`: seconds to a score, and scores after seconds, over pictures and seeds."""

import json
from types import SimpleNamespace

import pytest
from bench_command import check_rows, command
from PIL import Image

from fields.bench import image, plot


def fits(*seconds, ended_by="target"):
    return [
        {"seconds": s, "wall_seconds": s + 2, "ended_by": ended_by, "parameters": 9, "psnr": 30}
        for s in seconds
    ]


def test_a_target_that_half_the_fits_missed_has_no_median():
    missed = fits(10.0, ended_by="seconds")
    both = image.Fitted("a", {30.0: fits(1.0, 3.0, 2.0), 40.0: fits(4.0) + missed}, {}, 10.0)
    reached, not_reached = both.rows()
    assert (reached["seconds"], reached["seconds_q1"], reached["reached"]) == (2.0, 1.5, 3)
    assert "seconds" not in not_reached
    assert (not_reached["fits"], not_reached["reached"]) == (2, 1)
    check_rows([reached, not_reached])


def test_means_are_of_what_every_picture_reached():
    rows = image.Fitted("a", {30.0: fits(1.0), 35.0: fits(2.0)}, {}, 9.0).rows()
    rows += image.Fitted(
        "b", {30.0: fits(3.0), 35.0: fits(9.0, ended_by="seconds")}, {}, 9.0
    ).rows()
    (mean,) = image.means(rows, 2)
    assert (mean["target"], mean["seconds"], mean["picture"]) == (30.0, 2.0, "mean of all")


def test_budgets_halve_down_to_the_least():
    seen = []

    def fit(source, **flags):
        seen.append(flags)
        return {**fits(1.0)[0], "steps": 5}

    options = SimpleNamespace(targets=[30.0], seconds=1.0, seeds=2)
    found = image.measure("a", "a.png", fit, options)
    assert [flags.get("seed") for flags in seen[:2]] == [0, 1]
    assert list(found.after) == [0.25, 0.5, 1.0]
    check_rows(found.rows())


@pytest.mark.parametrize("count", [1, 8])
def test_the_plot_is_a_picture(tmp_path, count):
    rows = []
    for i in range(count):
        after = {0.5: {**fits(0.5)[0], "steps": 1}, 1.0: {**fits(1.0)[0], "psnr": 33, "steps": 2}}
        rows += image.Fitted(f"picture {i}", {30.0: fits(0.4 + i)}, after, 9.0).rows()
    if count > 1:
        rows += image.means(rows, count)
    plot.save(tmp_path / "plot.png", rows)
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.size == (1200, 750)
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]


def test_pictures_are_fitted_by_the_command(tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (24, 16), (200, 40, 90)).save(tmp_path / "in" / "red.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    done = command(
        *("image", str(tmp_path / "in"), "--json", "--plot", str(tmp_path / "p.png")),
        *("--seconds", "0.2", "--seeds", "1", "--targets", "10"),
    )
    assert done.returncode == 0, done.stderr
    assert "left out: " in done.stderr and "notes.txt" in done.stderr
    result = json.loads(done.stdout)
    check_rows(result["rows"])
    assert [row["work"] for row in result["rows"]] == ["red.png to 10 dB", "red.png after 0.2 s"]
    assert (tmp_path / "p.png").is_file()


def test_a_plot_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    done = command("image", str(tmp_path), "--plot", str(tmp_path / "gone" / "p.png"))
    assert done.returncode == 2 and "name another --plot" in done.stderr
    assert "fitting" not in done.stderr and len(done.stderr.splitlines()) == 1
