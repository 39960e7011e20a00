"""The examples run, and show what they say."""

import os
import queue
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of one's own, in which `fields` can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return tmp_path


def test_a_slope_in_the_loss_helps_where_pixels_are_missing(place):
    command = [sys.executable, "-W", "error", str(EXAMPLES / "own_loss.py"), "150"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    plain, smooth = (float(number) for number in re.findall(r"([\d.]+) dB", done.stdout))
    assert smooth > plain + 0.3
    assert {path.name for path in place.glob("*.png")} == {"own_loss_0.png", "own_loss_0.0001.png"}


def test_the_notebook_shows_pictures_and_warns_of_nothing(place):
    notebook = nbformat.read(EXAMPLES / "picture.ipynb", as_version=4)
    NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 3
    text = "\n".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in outputs)
    assert "Warning" not in text
    first, last = (float(number) for number in re.findall(r"^([\d.]+) dB", text, re.M))
    assert last > first > 30


def test_the_notebook_is_committed_without_outputs():
    notebook = nbformat.read(EXAMPLES / "picture.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_the_stop_button_ends_a_fit_and_the_run_loads(place):
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
    try:
        code = "import fields; fields.fit('astronaut', seconds=90, downscale=4, out='run')"
        asked = client.execute(code, stop_on_error=False)  # else the next cell may be dropped
        waiting_until = time.monotonic() + 60
        while not (place / "run" / "field.safetensors").exists():  # the first checkpoint
            assert time.monotonic() < waiting_until
            time.sleep(0.2)
        manager.interrupt_kernel()
        reply = reply_to(client, asked)
        assert reply["ename"] == "Interrupted" and "is kept in run" in reply["evalue"]
        asked = client.execute("print(fields.load('run').steps)")
        assert reply_to(client, asked)["status"] == "ok"
        assert int(printed(client)[-1]) > 0
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def reply_to(client, asked):
    """The kernel's answer to one request; late ones to the greeting are passed over."""
    while True:
        message = client.get_shell_msg(timeout=60)
        if message["parent_header"]["msg_id"] == asked:
            return message["content"]


def printed(client):
    """What the cells so far have printed."""
    texts = []
    while True:
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            return texts
        if message["msg_type"] == "stream":
            texts.append(message["content"]["text"])
