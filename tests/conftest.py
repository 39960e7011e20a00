"""Settings that must stand before torch is imported, and what tests of several files look at."""

import os
import subprocess

import pytest

# Threads that spin while they wait make the tests three times slower beside another busy process.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory):
    """The demo scene, learned in a moment."""
    from scene_fits import SMALL, make

    import fields
    from fields.runs import SceneRun

    folder = tmp_path_factory.mktemp("scene")
    run = fields.fit(make(folder / "demo"), out=folder / "run", steps=400, **SMALL)
    assert isinstance(run, SceneRun)
    return run


@pytest.fixture(scope="session")
def moving_run(tmp_path_factory):
    """The demo scene in motion, hardly learned."""
    from scene_fits import SMALL, make

    import fields

    folder = tmp_path_factory.mktemp("moving")
    scene = make(folder / "demo", views=8, size=24, animate=True)
    return fields.fit(scene, out=folder / "run", steps=20, **SMALL)


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Calls `fields` in a folder of its own: status, stdout, stderr."""
    from fields.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def here(capsys, monkeypatch):
    """Calls `fields` in this process, which has torch already, in a folder if one is named."""
    from fields.cli import main

    def run(*arguments, cwd=None):
        if cwd is not None:
            monkeypatch.chdir(cwd)
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, printed.out, printed.err)

    return run


@pytest.fixture(scope="module")
def coarse():
    """Of shapes: meshes, previews and scores that take a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fields.runs.shape.RESOLUTION", 48)
        patch.setattr("fields.runs.shape.PREVIEW", (64, 64))
        patch.setattr("fields.shapes.scores.POINTS", 3000)
        yield


@pytest.fixture(scope="module")
def quick_scores():
    """Of sets of shapes: scores from fewer points."""
    from many_shapes import QUICK

    from fields.many import score

    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUICK.items():
            patch.setattr(score, name, value)
        yield


@pytest.fixture(scope="module")
def one_thread():
    """As trainings of a benchmark have."""
    from fields import device

    with device.threads(1):
        yield
