"""What becomes of a run whose folder, or the place of it, changes while the fit runs."""

import errno
import os
import shutil
import stat

import pytest
from small import TINY, one_line, picture

import fields
from fields import FieldsError
from fields.progress import Silent


def fit(place, during=lambda: None, **options):
    """A fit of three steps, with something that happens in the second."""
    steps = []

    def loss(values, targets):
        steps.append(1)
        if len(steps) == 2:
            during()
        return (values - targets).square().mean()

    return fields.fit(picture(), out=place, steps=3, loss=loss, **{**TINY, **options})


def files(path):
    return {p.name: p.read_bytes() for p in path.iterdir()}


def test_a_run_is_found_where_its_folder_was_moved_to(tmp_path):
    place, moved = tmp_path / "run", tmp_path / "moved"
    fit(place)
    taken = {}

    def replaced():
        place.rename(moved)
        shutil.copytree(moved, place)
        (place / "state.safetensors").write_bytes(b"of another run")
        shutil.rmtree(place / ".partial")
        taken.update(files(place))

    run = fit(place, replaced, overwrite=True)
    assert run.path == moved and files(place) == taken
    assert fields.load(moved).metrics == run.metrics and (moved / "state.safetensors").is_file()
    assert not (moved / ".partial").exists()


def test_a_run_that_goes_on_is_found_where_its_folder_was_moved_to(tmp_path):
    place, moved = tmp_path / "run", tmp_path / "moved"
    fields.fit(picture(), out=place, steps=3, **TINY)

    def say(line):
        if place.exists():
            place.rename(moved)

    reporter = Silent()
    reporter.say = say
    run = fields.fit(picture(), out=place, steps=6, resume=True, progress=reporter)
    assert run.path == moved and fields.load(moved).steps == 6 and not place.exists()


def test_a_folder_that_was_removed_gets_a_line(tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    with pytest.raises(FieldsError, match="run was removed while the fit ran") as error:
        fit(place, lambda: shutil.rmtree(place))
    one_line(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_refuses_the_name_leaves_the_run_where_it_is(tmp_path, monkeypatch):
    def refuse(*names):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(
        FieldsError, match=r"Permission denied; step 3 is kept in .*partial"
    ) as error:
        fit(tmp_path / "run")
    one_line(error.value)
    monkeypatch.undo()
    assert fields.load(tmp_path / ".run.partial").metrics["steps"] == 3


def test_a_folder_that_takes_no_rename_is_filled_in_place(tmp_path, monkeypatch):
    def busy(*names):  # what a mount point answers
        raise OSError(errno.EBUSY, "Device or resource busy")

    place = tmp_path / "run"
    place.mkdir()
    monkeypatch.setattr(os, "rename", busy)
    for overwrite in (False, True):
        assert fit(place, overwrite=overwrite).path == place
        assert fields.load(place).is_finished and ".partial" not in files(place)


def test_a_folder_whose_name_cannot_be_synchronised_is_in_its_place_all_the_same(
    tmp_path, monkeypatch
):
    sync = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert fit(tmp_path / "run").path == tmp_path / "run"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_full_disk_names_the_file_that_was_asked_for(tmp_path):
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    name = (
        rf"{tmp_path}/run/state.safetensors cannot be written: File too large; nothing was written"
    )
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limit[1]))
        with pytest.raises(FieldsError) as error:
            fit(tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert str(error.value) == name
