"""The built libraries use torch's stable ABI alone: one build serves torch 2.11 and later."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

import fields

LIBRARIES = sorted(Path(str(fields.__file__)).parent.glob("_*.so"))
TORCH_LIBRARIES = ("libtorch_cpu.so", "libtorch.so", "libc10.so", "libtorch_python.so")
SHIM = re.compile(r"(aoti_torch|torch)_\w+")

by_library = pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name.split(".")[0])


def symbols(path, *options):
    """Names in a library's dynamic symbol table; those with a version are of libc or libstdc++."""
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("nm (binutils) is not here")
    table = subprocess.run([nm, "-D", *options, path], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in table.stdout.splitlines()}
    return {name for name in names if "@" not in name}


@cache
def torch_symbols():
    folder = Path(torch.__file__).parent / "lib"
    present = [folder / name for name in TORCH_LIBRARIES if (folder / name).exists()]
    return set().union(*(symbols(path, "--defined-only") for path in present))


def test_the_libraries_are_built():
    names = {path.name.split(".")[0] for path in LIBRARIES}
    assert {"_C", "_cpu_base"} <= names


@by_library
def test_nothing_of_torch_is_used_but_its_c_shims(library):
    used = symbols(library, "--undefined-only") & torch_symbols()
    assert any(SHIM.fullmatch(name) for name in used)
    assert not {name for name in used if not SHIM.fullmatch(name)}


@by_library
def test_no_other_library_of_torch_is_linked(library):
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("readelf (binutils) is not here")
    dynamic = subprocess.run([readelf, "-d", library], capture_output=True, text=True, check=True)
    needed = re.findall(r"NEEDED.*\[(.+)\]", dynamic.stdout)
    torchs = {name for name in needed if re.match(r"lib(torch|c10|python)", name)}
    allowed = (
        {"libtorch_cpu.so", "libtorch_cuda.so"} if "cuda" in library.name else {"libtorch_cpu.so"}
    )
    assert torchs <= allowed


@by_library
def test_it_calls_nothing_of_python(library):
    assert not {name for name in symbols(library, "--undefined-only") if name.startswith("Py")}


@by_library
def test_torch_abi_audit_finds_it_stable_since_2_11(library):
    audit = Path(sys.executable).parent / "torch-abi-audit"
    if not audit.exists():
        pytest.skip("torch-abi-audit is not installed")
    done = subprocess.run([audit, "--json", library], capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout)["bundled_libs"]
    assert found["torch"]["stable"]
    assert found["torch"]["unstable_symbols"] == []
    least = tuple(int(n) for n in found["torch"]["min_torch_version"].split(".")[:2])
    assert least <= (2, 11)
