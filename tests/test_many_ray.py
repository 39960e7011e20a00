"""Sets that a Ray cluster fits: those of this machine, whatever happens to a node."""

import builtins
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from many_shapes import FLAGS, SMALL, files_of, two_classes
from small import one_line

import fields
from fields.cli import main
from fields.many.on_ray import ray_for

ROOT = Path(__file__).parent.parent
OPTIONS = {**SMALL, "steps": 600}


def why_not():
    try:
        ray_for("a test")
    except fields.FieldsError as error:
        return str(error)
    return None


needs_ray = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@needs_ray
@pytest.mark.timeout(300)  # most of it goes into starting processes, which a busy machine does late
def test_a_cluster_of_which_a_node_is_killed_makes_the_set_of_this_machine(tmp_path):
    source = two_classes(tmp_path / "shapes", each=8)
    (source / "box" / "07.off").write_bytes(b"")
    fields.fit_many(source, tmp_path / "here", threads=1, **OPTIONS)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "ray_cluster.py", source, tmp_path / "there",
         json.dumps(OPTIONS)],
        env=environment, capture_output=True, text=True, timeout=270,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["fields"] == 15 and 8 <= told["killed_at"] < 16
    assert files_of(tmp_path / "there") == files_of(tmp_path / "here")


@needs_ray
def test_an_address_without_a_cluster_is_one_line_and_writes_nothing(tmp_path, capsys):
    source = two_classes(tmp_path / "shapes", each=1)
    out = tmp_path / "set"
    assert main(["fit-many", str(source), f"--out={out}", "--ray=nowhere", *FLAGS]) == 2
    assert "there is no Ray cluster at 'nowhere'" in one_line(capsys.readouterr().err)
    assert not out.exists()


def test_where_ray_is_missing_a_line_says_how_to_have_it(tmp_path, monkeypatch, capsys):
    real = builtins.__import__

    def without(name, *rest):
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    source = two_classes(tmp_path / "shapes", each=1)
    out = tmp_path / "set"
    assert main(["fit-many", str(source), f"--out={out}", "--ray=local", *FLAGS]) == 2
    line = one_line(capsys.readouterr().err)
    assert "--ray needs ray; pip install 'fields-engine[ray]'" in line
    assert not out.exists()
