"""Where the command writes: full disks, closed pipes, locales and homes of no use."""

import json
import os
import resource
import subprocess
import sys

import pytest
from commands import ROOT, SMALL, command
from small import one_line, picture

from fields.pictures import write_picture


@pytest.fixture
def folder(tmp_path):
    write_picture(tmp_path / "waves.png", picture())
    return tmp_path


@pytest.mark.parametrize("limit", [200, 60_000])
def test_a_full_disk_gets_one_line_and_leaves_no_half_run(folder, limit):
    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    line = ["fit", "waves.png", "--steps=5", "--out=run", "--num-levels=16", "--width=64"]
    done = command(*line, cwd=folder, preexec_fn=full)
    assert done.returncode == 2 and done.stdout == ""
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert not (folder / "run").exists() and len(done.stderr.splitlines()) == 3


def test_a_full_disk_leaves_the_run_that_was_to_be_replaced(folder):
    path = folder / "run"
    assert command("fit", "waves.png", "--steps=5", "--out=run", *SMALL, cwd=folder).returncode == 0
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    line = ["fit", "waves.png", "--steps=5", f"--out={path}", "--overwrite", "--width=64"]

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    done = command(*line, cwd=folder, preexec_fn=full)
    assert done.returncode == 2 and "nothing was written" in done.stderr.splitlines()[-1]
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_output_into_a_closed_pipe_gets_one_line_and_keeps_the_run(folder, flags):
    line = [sys.executable, "-m", "fields", "fit", "waves.png", "--steps=5", *SMALL, *flags]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        line, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=writer,
        stderr=subprocess.PIPE, text=True, timeout=100, check=False,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "closed" in done.stderr.splitlines()[-1]
    assert (folder / "runs" / "waves-hashgrid" / "metrics.json").is_file()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_standard_output_is_named(tmp_path, unbuffered):
    line = [sys.executable, "-m", "fields", "models"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            line, cwd=tmp_path, env=env, stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=100, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    said = "fields: standard output cannot be written: No space left on device"
    assert one_line(done.stderr) == said


def test_errors_into_a_closed_pipe_do_not_stop_a_fit(folder):
    line = [sys.executable, "-m", "fields", "fit", "waves.png", "--steps=5", "--json", *SMALL]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        line, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=writer,
        stdout=subprocess.PIPE, text=True, timeout=100, check=False,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == 0 and json.loads(done.stdout)["steps"] == 5


def test_a_locale_without_utf_8_and_a_home_that_cannot_be_written_do_not_matter(tmp_path):
    write_picture(tmp_path / "größe.png", picture())
    env = {
        "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii",
        "HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere", "TERM": "dumb",
    }  # fmt: skip
    done = command("fit", "größe.png", "--steps=5", *SMALL, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    run = next((tmp_path / "runs").iterdir())
    done = command("info", run, cwd=tmp_path, env=env)
    assert done.returncode == 0 and done.stdout.isascii(), done.stderr
