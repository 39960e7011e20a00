"""Kills and interrupts: the run folder is absent or loads, and a fit goes on to the same result."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small import TINY, picture

import fields
from fields import checkpoint, loop
from fields.pictures import write_picture

ROOT = Path(__file__).parent.parent
STEPS = 1000
# Checkpoints far more often than a user's, so that kills hit the writing of files.
OFTEN = "from fields import loop; loop.CHECKPOINT_SECONDS, loop.CHECKPOINT_SHARE = 0.01, 0.7"


def in_a_child(work, after):
    """Run `work` in a forked process and kill it after so many seconds; False if it had ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    time.sleep(after)
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended == 0 or status == 0, "the fit failed"
    return ended == 0


def events(folder, name):
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [entry["step"] for entry in map(json.loads, lines) if entry["event"] == name]


def stood(out):
    """The steps of the checkpoint that a fit would go on from; 0 without one."""
    state = out / "state.safetensors"
    return checkpoint.read(state)[1]["steps"] if state.exists() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The field of a fit that nothing stopped, and how long that took."""
    out = tmp_path_factory.mktemp("whole") / "run"
    begin = time.perf_counter()
    fields.fit(picture(), out=out, steps=STEPS, threads=1, **TINY)
    return (out / "field.safetensors").read_bytes(), time.perf_counter() - begin


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwrite"])
def test_a_kill_leaves_nothing_or_what_loads_and_goes_on(tmp_path, monkeypatch, whole, overwrite):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.01)
    monkeypatch.setattr(loop, "CHECKPOINT_SHARE", 0.7)
    expected, seconds = whole
    rng = random.Random(7)
    out = tmp_path / "run"
    if overwrite:
        fields.fit(picture(), out=out, steps=3, threads=1, **TINY)
    kills = resumed = tries = 0
    while tries < 12 or stood(out) <= 3:
        tries += 1
        assert tries < 60, "no fit was killed after its first checkpoint"
        if not overwrite and out.exists():
            arguments = {"resume": True}
            resumed += 1
        else:
            arguments = {**TINY, "overwrite": overwrite}
        killed = in_a_child(
            lambda arguments=arguments: fields.fit(
                picture(), out=out, steps=STEPS, threads=1, **arguments
            ),
            after=rng.uniform(0, 1.2 * seconds),
        )
        kills += killed
        if overwrite:
            assert fields.load(out).steps >= 3
        elif out.exists():
            assert fields.load(out).steps > 0
        else:
            assert sorted(p.name for p in tmp_path.iterdir()) in ([], [".run.partial"])
    assert kills >= 3 and (overwrite or resumed)
    since = stood(out)
    run = fields.fit(picture(), out=out, steps=STEPS, threads=1, resume=True)
    assert run.metrics["steps"] == STEPS
    assert (out / "field.safetensors").read_bytes() == expected
    assert events(out, "resume")[-1] == since
    assert not list(out.glob(".*.tmp"))


def start(cwd, *arguments, before=OFTEN):
    code = f"{before}; from fields.cli import main; raise SystemExit(main())"
    line = [sys.executable, "-c", code, "fit", "waves.png", "--out=run", *arguments]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        line, cwd=cwd, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(path, process):
    end = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert path.exists(), process.communicate()


SMALL = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_a_stopped_command_keeps_a_checkpoint_and_resumes(tmp_path, number, status):
    write_picture(tmp_path / "waves.png", picture())
    process = start(tmp_path, "--seconds=60", *SMALL)
    wait_for(tmp_path / "run", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == status and out == ""
    last = err.splitlines()[-1]
    assert number.name in last and "--resume" in last and "Traceback" not in err
    run = fields.load(tmp_path / "run")
    assert f"step {run.steps} is kept" in last
    assert events(tmp_path / "run", "checkpoint")[-1] == run.steps
    on = fields.fit(tmp_path / "waves.png", out=tmp_path / "run", steps=run.steps + 5, resume=True)
    assert on.metrics["steps"] == run.steps + 5
    assert events(tmp_path / "run", "resume") == [run.steps]


def test_ctrl_c_before_the_first_step_leaves_nothing(tmp_path):
    write_picture(tmp_path / "waves.png", picture())
    process = start(tmp_path, "--seconds=60", *SMALL, before="pass")
    time.sleep(0.4)  # while torch is being imported
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and out == ""
    assert err.splitlines()[-1].startswith("fields: ") and "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["waves.png"]
