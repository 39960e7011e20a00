"""Run folders: their names, their lock, what may be replaced, and what a run can be asked."""

import json
import shutil

import numpy as np
import pytest
import torch
from small import TINY, one_line, picture

import fields
from fields import FieldsError, folder
from fields.errors import Cancelled
from fields.pictures import Picture, read_picture, write_picture
from fields.runs import PictureRun


@pytest.fixture
def source(tmp_path):
    write_picture(tmp_path / "waves.png", picture())
    return tmp_path / "waves.png"


@pytest.fixture
def run(source, tmp_path):
    return fields.fit(source, out=tmp_path / "run", steps=30, **TINY)


def files(path):
    return {p.name: p.read_bytes() for p in path.iterdir()}


def test_runs_are_named_after_source_and_model_and_then_numbered(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [fields.fit(source, steps=1, **TINY).path for _ in range(3)]
    names = ["runs/waves-hashgrid", "runs/waves-hashgrid-2", "runs/waves-hashgrid-3"]
    assert [str(path) for path in paths] == names
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [n[5:] for n in names]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a b/c", "a_b_c"),
        ("../..", "source"),
        (".x", "x"),
        ("-r", "r"),
        ("ä\n", "ä"),
        ("", "source"),
    ],
)
def test_a_source_names_a_folder_that_lies_in_runs(name, plain):
    assert folder.plain_name(name) == plain


def test_a_run_holds_the_files_of_the_design(run):
    names = {"field.safetensors", "state.safetensors", "metrics.json", "log.jsonl", "preview.png"}
    assert set(files(run.path)) == names
    metrics = json.loads((run.path / "metrics.json").read_text())
    keys = "model source steps seconds wall_seconds samples_per_second parameters bytes device seed"
    assert {*keys.split(), "version", "psnr", "ssim"} <= metrics.keys()
    assert metrics == run.metrics and metrics["steps"] == 30
    assert metrics["bytes"] == (run.path / "field.safetensors").stat().st_size
    assert 0 < metrics["seconds"] < metrics["wall_seconds"]
    assert np.array_equal(read_picture(run.path / "preview.png").pixels, run.render())


def test_the_score_is_that_of_the_file_read_back(run, source):
    from fields.signals.picture_score import score

    loaded = fields.load(run.path)
    found = score(read_picture(source), loaded.render())
    assert found == {"psnr": run.metrics["psnr"], "ssim": run.metrics["ssim"]}


def test_a_run_and_its_field_alone_load_to_the_same_bits(run, tmp_path):
    shutil.copy(run.path / "field.safetensors", tmp_path / "alone.safetensors")
    coords = torch.rand(50, 2)
    expected = run.field(coords)
    for path in (run.path, str(run.path), tmp_path / "alone.safetensors"):
        loaded = fields.load(path)
        assert torch.equal(loaded.field(coords), expected) and not loaded.field.training
    assert fields.load(run.path).metrics == run.metrics
    assert fields.load(tmp_path / "alone.safetensors").metrics == {}


def test_render_draws_any_size_and_a_crop_is_a_part_of_the_whole(run):
    whole = run.render((101, 67))
    assert whole.shape == (67, 101, 3) and whole.dtype == np.uint8
    assert np.array_equal(run.render((101, 67), (10, 5, 90, 60)), whole[5:60, 10:90])
    assert run.render((1, 1)).shape == (1, 1, 3)
    assert run.render().shape == (40, 56, 3)


def test_render_by_bands_changes_nothing(run, monkeypatch):
    whole = run.render((300, 20))
    monkeypatch.setattr("fields.render.BAND_PIXELS", 700)
    assert np.array_equal(run.render((300, 20)), whole)


@pytest.mark.parametrize(
    ("size", "crop"),
    [((0, 5), None), ((5, -1), None), ((1 << 20, 1 << 20), None), (None, (0, 0, 57, 40)),
     (None, (5, 5, 5, 9)), (None, (-1, 0, 5, 5))],
)  # fmt: skip
def test_render_refuses_what_cannot_be_drawn(run, size, crop):
    with pytest.raises(FieldsError) as error:
        run.render(size, crop)
    one_line(error.value)


def test_render_stops_when_it_is_cancelled(run):
    with pytest.raises(Cancelled):
        run.render(cancel=torch.ones(1, dtype=torch.uint8))


def test_a_run_shows_itself_in_a_notebook(run):
    assert run._repr_png_().startswith(b"\x89PNG") and "hashgrid" in repr(run)


def test_an_existing_run_is_kept_unless_overwritten(run, source):
    before = files(run.path)
    with pytest.raises(FieldsError, match="--overwrite"):
        fields.fit(source, out=run.path, steps=5, **TINY)
    assert files(run.path) == before
    again = fields.fit(source, out=run.path, steps=5, overwrite=True, **TINY)
    assert again.metrics["steps"] == fields.load(run.path).steps == 5
    assert (run.path / "log.jsonl").read_text().count('"start"') == 1


def test_overwriting_keeps_what_is_not_of_the_run(run, source):
    (run.path / "notes.txt").write_text("mine")
    fields.fit(source, out=run.path, steps=1, overwrite=True, **TINY)
    assert (run.path / "notes.txt").read_text() == "mine"


def test_a_fit_that_fails_leaves_the_run_it_was_to_replace(run, source):
    before = files(run.path)
    with pytest.raises(FieldsError, match="not finite"):
        fields.fit(
            source, out=run.path, steps=5, overwrite=True, loss=lambda a, b: a.sum() / 0, **TINY
        )
    assert files(run.path) == before


def test_a_folder_that_is_no_run_is_never_touched(source, tmp_path):
    place = tmp_path / "photos"
    place.mkdir()
    (place / "a.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FieldsError, match="is no run"):
            fields.fit(source, out=place, steps=1, overwrite=overwrite, **TINY)
    with pytest.raises(FieldsError, match="nothing to resume"):
        fields.fit(source, out=place, steps=1, resume=True, **TINY)
    with pytest.raises(FieldsError, match="is a file"):
        fields.fit(source, out=source, steps=1, overwrite=True, **TINY)
    assert files(place) == {"a.txt": b"mine"}


def test_an_empty_folder_is_taken(source, tmp_path):
    place = tmp_path / "empty"
    place.mkdir()
    inode = place.stat().st_ino  # a mount point cannot be renamed over
    assert fields.fit(source, out=place, steps=1, **TINY).path == place
    assert place.stat().st_ino == inode and ".partial" not in files(place)


def test_the_folder_that_one_stands_in_is_taken(source, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    fields.fit(source, out=".", steps=1, **TINY)
    assert fields.load(".").steps == 1


def test_a_fit_that_fails_leaves_an_empty_folder_empty(source, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FieldsError, match="not finite"):
        fields.fit(source, out=tmp_path / "empty", steps=5, loss=lambda a, b: a.sum() / 0, **TINY)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_fit_whose_name_is_taken_meanwhile_is_kept_beside_it(source, tmp_path):
    def loss(values, targets):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / "x").touch()
        return (values - targets).square().mean()

    with pytest.raises(FieldsError, match=r"step 3 is kept in .*run-2") as error:
        fields.fit(source, out=tmp_path / "run", steps=3, loss=loss, **TINY)
    one_line(error.value)
    assert fields.load(tmp_path / "run-2").metrics["steps"] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "run-2", "waves.png"]


def test_a_link_to_nothing_is_refused_at_once(source, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(FieldsError, match="link to nothing"):
        fields.fit(source, out=tmp_path / "link", steps=1, **TINY)


def test_a_second_fit_into_one_folder_is_refused(run, source, tmp_path):
    held = folder.existing(run.path)
    for how in ({"overwrite": True}, {"resume": True}):
        with pytest.raises(FieldsError, match="another fit is writing"):
            fields.fit(source, out=run.path, steps=40, **how)
    held.close()
    held = folder.new(tmp_path / "fresh")
    with pytest.raises(FieldsError, match="another fit is writing"):
        fields.fit(source, out=tmp_path / "fresh", steps=1, **TINY)
    held.close()
    fields.fit(source, out=tmp_path / "fresh", steps=1, **TINY)


def test_two_fits_without_a_name_get_two(tmp_path):
    first = folder.next_free(tmp_path / "runs", "a")
    second = folder.next_free(tmp_path / "runs", "a")
    assert [p.path.name for p in (first, second)] == ["a", "a-2"]
    second.close()
    first.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_fit_left_hidden_is_cleared_away(source, tmp_path):
    hidden = tmp_path / ".run.partial"
    hidden.mkdir()
    (hidden / "state.safetensors").write_text("half")
    run = fields.fit(source, out=tmp_path / "run", steps=1, **TINY)
    assert fields.load(run.path).steps == 1 and not hidden.exists()


def test_metrics_of_another_step_are_not_taken_for_those_of_the_field(run):
    metrics = {**run.metrics, "steps": 7}
    (run.path / "metrics.json").write_text(json.dumps(metrics))
    assert not fields.load(run.path).is_finished
    (run.path / "metrics.json").write_text("{")
    assert not fields.load(run.path).is_finished


def test_what_is_no_run_is_refused_in_one_line(run, tmp_path):
    shutil.copy(run.path / "state.safetensors", tmp_path / "state.safetensors")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "state.safetensors"):
        with pytest.raises(FieldsError) as error:
            fields.load(path)
        one_line(error.value)


def test_the_icc_profile_of_the_source_comes_back(tmp_path):
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_picture(tmp_path / "a.png", picture(), icc)
    run = fields.fit(tmp_path / "a.png", out=tmp_path / "run", steps=1, **TINY)
    loaded = fields.load(run.path)
    assert isinstance(loaded, PictureRun) and loaded.icc == icc
    assert read_picture(tmp_path / "run" / "preview.png").icc == icc


def test_a_large_picture_gets_a_small_preview(tmp_path):
    large = Picture(picture(20, 2500), "large", "png")
    run = fields.fit(large, out=tmp_path / "run", steps=1, **TINY)
    assert read_picture(run.path / "preview.png").pixels.shape == (7, 834, 3)


def test_a_side_of_one_pixel_is_continued_when_it_is_enlarged(tmp_path):
    write_picture(tmp_path / "strip.png", picture()[:, :1])
    run = fields.fit(tmp_path / "strip.png", out=tmp_path / "run", steps=30, **TINY)
    height = run.render().shape[0]
    wide = run.render(size=(40, height))
    assert (wide == run.render()).all()


def test_a_cmyk_jpeg_is_fitted_without_a_warning(tmp_path):
    from PIL import Image

    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "press.jpg")
    assert fields.fit(tmp_path / "press.jpg", out=tmp_path / "run", steps=3, **TINY).is_finished
