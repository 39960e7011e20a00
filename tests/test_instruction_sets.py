"""The tests of the kernels, once more for every CPU library that this machine did not choose."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fields import extension, ops

TESTS = Path(__file__).parent


def runs_here(name):
    return extension._NEEDS[name] <= extension._cpu_flags()


def run(arguments, name):
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"FIELDS_CPU": name},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["base", "avx2", "avx512", "avx512_bf16"])
def test_kernels_of_every_instruction_set_equal_their_twins(name):
    if name == ops.ACTIVE.cpu:
        pytest.skip(f"{name} is what all other tests run on")
    if not runs_here(name):
        pytest.skip(f"this processor has no {name}")
    kernels = "hash_grid triplane mlp step modulation mesh sample_shape march composite"
    kernels += " sample_rays trace"
    files = [str(TESTS / f"test_ops_{op}.py") for op in kernels.split()]
    files += [str(TESTS / f"test_radiance_{op}.py") for op in ("step", "render")]
    # float64 is one scalar instance, the same in every library.
    options = ["-q", "-x", "-m", "kernel", "-k", "not f64", "-p", "no:cacheprovider"]
    done = run(["-m", "pytest", *options, *files], name)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", ["base", "avx2", "avx512", "avx512_bf16"])
def test_the_library_asked_for_is_the_one_that_is_loaded(name):
    if not runs_here(name):
        pytest.skip(f"this processor has no {name}")
    code = "from fields import ops; print(ops.ACTIVE.cpu, '|', ops.ACTIVE.reason)"
    done = run(["-c", code], name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{name} | forced by FIELDS_CPU")


def test_an_unknown_library_is_refused_by_name():
    done = run(["-c", "from fields import ops"], "sse9")
    assert done.returncode != 0
    assert "FIELDS_CPU must be one of avx512_bf16, avx512, avx2, base, got 'sse9'" in done.stderr
