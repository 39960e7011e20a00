"""Kills and interrupts of fit-many: what was finished stands, and the rest is fitted once."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from many_shapes import QUICK, SMALL, files_of, two_classes
from test_interrupt import in_a_child

import fields
from fields.errors import FieldsError
from fields.folder_lock import InUse
from fields.many import making, score, shards

ROOT = Path(__file__).parent.parent
EACH = 10  # shapes of a class
SIZES = {"SHARD": 8, "GROUP": 2}  # so that there are three shards of up to four parts
OPTIONS = {**SMALL, "steps": 300}
BEFORE = (
    "from fields.many import score, shards; "
    f"vars(score).update({QUICK}); vars(shards).update({SIZES}); "
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return two_classes(tmp_path_factory.mktemp("kills") / "shapes", each=EACH)


@pytest.fixture(scope="module")
def whole(source):
    """The files of a set that nothing stopped, and how long it took."""
    out = source.parent / "whole"
    with pytest.MonkeyPatch.context() as patch:
        small_shards(patch)
        begin = time.perf_counter()
        fields.fit_many(source, out, threads=2, **OPTIONS)
        return files_of(out), time.perf_counter() - begin


def small_shards(patch):
    for module, values in ((score, QUICK), (shards, SIZES)):
        for name, value in values.items():
            patch.setattr(module, name, value)


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    small_shards(monkeypatch)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_set_that_was_killed_five_times_is_the_same_and_nothing_is_fitted_twice(
    source, whole, tmp_path, monkeypatch
):
    expected, seconds = whole
    out, log = tmp_path / "set", tmp_path / "log"
    fit, keep = making.fit_group, making.write_part

    def note(word, numbers):
        with open(log, "a") as file:
            file.write("".join(f"{word} {number}\n" for number in numbers))

    def noted_fit(folder, items, options):
        note("begun", [number for number, _ in items])
        return fit(folder, items, options)

    def noted_keep(path, group, items):
        keep(path, group, items)
        note("kept", items)

    monkeypatch.setattr(making, "fit_group", noted_fit)
    monkeypatch.setattr(making, "write_part", noted_keep)
    rng = random.Random(3)
    kills = tries = 0
    while kills < 5:
        tries += 1
        assert tries < 30, "the fit ends before it is killed"
        going_on = (out / "fields.json").exists()
        kills += in_a_child(
            lambda going_on=going_on: fields.fit_many(
                source, out, threads=2, resume=going_on, **OPTIONS
            ),
            after=rng.uniform(0.05, 0.3) * seconds,
        )
        if (out / "fields.json").exists():
            found = fields.load_many(out)  # loads at any moment
            assert len(found) in (0, 4, 8, 12, 16, 20)
        wait_for_lock(out)
    result = fields.fit_many(source, out, threads=2, resume=True, **OPTIONS)
    assert len(result) == 2 * EACH
    assert files_of(out) == expected
    kept = set()
    for word, number in (line.split() for line in log.read_text().splitlines()):
        assert number not in kept, f"item {number} was {word} after it had been kept"
        if word == "kept":
            kept.add(number)
    assert len(kept) == 2 * EACH


def wait_for_lock(out):
    """Until processes of one that was killed are gone, which hold its lock for a moment."""
    from fields.folder_lock import lock

    for _ in range(200):
        try:
            return os.close(lock(out, out))
        except FileNotFoundError:
            return None
        except InUse:
            time.sleep(0.02)
    raise AssertionError("a process of a killed fit lives on")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("step", ["_write_lines", "unlink"])
def test_a_kill_between_shard_index_and_parts_changes_nothing(
    source, whole, tmp_path, monkeypatch, step
):
    out = tmp_path / "set"

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        where = shards.SetFolder if step == "_write_lines" else shards.Path
        patch.setattr(where, step, stop)
        with pytest.raises(KeyboardInterrupt):
            fields.fit_many(source, out, threads=1, **OPTIONS)
    fields.fit_many(source, out, threads=2, resume=True, **OPTIONS)
    assert files_of(out) == whole[0]


def test_ctrl_c_keeps_what_is_begun_and_says_how_to_go_on(source, whole, tmp_path):
    flags = [f"--{name}={value}" for name, value in OPTIONS.items()]
    code = f"{BEFORE}from fields.cli import main; raise SystemExit(main())"
    line = [sys.executable, "-c", code, "fit-many", source, "--out=set", "--threads=2", *flags]
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(line, cwd=tmp_path, env=settings, stderr=subprocess.PIPE, text=True)
    parts = tmp_path / "set" / "parts"
    deadline = time.monotonic() + 60
    while not list(parts.glob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "shapes are kept in set: --resume goes on" in printed.splitlines()[-1]
    fields.fit_many(source, tmp_path / "set", threads=2, resume=True, **OPTIONS)
    assert files_of(tmp_path / "set") == whole[0]


def test_a_process_that_is_killed_is_one_line_and_the_rest_stands(source, whole, tmp_path):
    fit = making.fit_group

    def dying(folder, items, options):
        if items[0][0] == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return fit(folder, items, options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "fit_group", dying)
        with pytest.raises(FieldsError, match=r"a process was killed at box/02\.off"):
            fields.fit_many(source, tmp_path / "set", threads=2, **OPTIONS)
    fields.fit_many(source, tmp_path / "set", threads=2, resume=True, **OPTIONS)
    assert files_of(tmp_path / "set") == whole[0]


def test_a_second_fit_into_one_set_is_refused(source, tmp_path):
    from fields.folder_lock import lock

    (tmp_path / "set").mkdir()
    held = lock(tmp_path / "set", tmp_path / "set")
    try:
        with pytest.raises(InUse, match="another fit is writing"):
            fields.fit_many(source, tmp_path / "set", **OPTIONS)
    finally:
        os.close(held)


def test_parts_of_the_next_shard_find_their_folder_when_one_is_whole(source, whole, tmp_path):
    """A process may be about to write while the one before its shard empties the folder."""
    write, index = shards.checkpoint.write, tmp_path / "set" / "index.jsonl"
    ready, first_of_next = tmp_path / "ready", SIZES["SHARD"]

    def until(is_so):
        deadline = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def late(path, *content):
        number = int(path.stem) if path.parent.name == "parts" else -1
        if number == first_of_next - SIZES["GROUP"]:  # the last of the first shard
            until(ready.exists)
        if number == first_of_next:
            ready.touch()
            until(lambda: index.exists() and not any(path.parent.glob("0*")))
            time.sleep(0.02)
        return write(path, *content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards.checkpoint, "write", late)
        fields.fit_many(source, tmp_path / "set", threads=2, **OPTIONS)
    assert files_of(tmp_path / "set") == whole[0]
    assert not (tmp_path / "set" / "parts").exists()


@pytest.mark.parametrize("step", ["_write_lines", "unlink"])
def test_a_kill_while_a_mended_shape_is_taken_in_changes_nothing(source, tmp_path, step):
    copy = shutil.copytree(source, tmp_path / "shapes")
    out, sound = tmp_path / "set", tmp_path / "sound"
    mended = copy / "ball" / "03.off"
    content = mended.read_bytes()
    mended.write_bytes(b"")
    fields.fit_many(copy, out, threads=2, **OPTIONS)
    mended.write_bytes(content)

    def stop(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        where = shards.SetFolder if step == "_write_lines" else shards.Path
        patch.setattr(where, step, stop)
        with pytest.raises(KeyboardInterrupt):
            fields.fit_many(copy, out, threads=1, resume=True, **OPTIONS)
    found = fields.fit_many(copy, out, threads=2, resume=True, **OPTIONS)
    wanted = fields.fit_many(copy, sound, threads=2, **OPTIONS)
    assert torch.equal(found.planes, wanted.planes) and not found.failures
    assert [e["item"] for e in found.index] == list(range(2 * EACH))


def test_failures_of_a_set_that_was_stopped_are_tried_again_as_well(source, tmp_path):
    copy = shutil.copytree(source, tmp_path / "shapes")
    mended = copy / "ball" / "00.off"
    content = mended.read_bytes()
    mended.write_bytes(b"")
    out = tmp_path / "set"
    collect = shards.SetFolder.collect

    def stop(folder):
        collect(folder)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:  # once the first part of the first shard is there
        patch.setattr(shards.SetFolder, "collect", stop)
        with pytest.raises(KeyboardInterrupt):
            fields.fit_many(copy, out, threads=1, **OPTIONS)
    mended.write_bytes(content)
    found = fields.fit_many(copy, out, threads=2, resume=True, **OPTIONS)
    assert len(found) == 2 * EACH and not found.failures
    assert found.index[0]["path"] == "ball/00.off" and found.index[0]["row"] == 7
