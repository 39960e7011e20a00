"""Loads the compiled kernels: the schemas, exactly one CPU library, and CUDA's where it is there.

`FIELDS_CPU=base|avx2|avx512|avx512_bf16` forces a CPU library, for tests.
"""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

_AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma", "f16c"}
# What each CPU library is compiled for, best first (setup.py).
_NEEDS: dict[str, set[str]] = {
    "avx512_bf16": _AVX512 | {"avx512_bf16"},
    "avx512": _AVX512,
    "avx2": {"avx2", "fma", "f16c"},
    "base": set(),
}


@dataclass(frozen=True)
class Active:
    """What is loaded and why.

    Attributes:
        cpu: name of the CPU library: "avx512_bf16", "avx512", "avx2" or "base".
        reason: one line that says why it was chosen.
        bf16: whether bf16 arithmetic is there on the CPU.
        cuda: whether CUDA kernels are loaded.
        cuda_reason: one line that says why, or why not.
    """

    cpu: str
    reason: str
    bf16: bool
    cuda: bool
    cuda_reason: str


def _cpu_flags() -> set[str]:
    """Instruction sets of this processor as the kernel names them; empty where it does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return set(line.split(":", 1)[1].split())
    except OSError:
        pass
    return set()


def _library(name: str) -> Path | None:
    found = sorted(Path(__file__).parent.glob(f"_{name}.*so"))
    return found[0] if found else None


def _choose_cpu() -> tuple[str, str]:
    flags = _cpu_flags()
    forced = os.environ.get("FIELDS_CPU", "")
    if forced:
        if forced not in _NEEDS:
            raise ImportError(f"FIELDS_CPU must be one of {', '.join(_NEEDS)}, got {forced!r}")
        missing = _NEEDS[forced] - flags
        if flags and missing:
            raise ImportError(
                f"FIELDS_CPU={forced}, but this processor has no {', '.join(sorted(missing))}"
            )
        return forced, "forced by FIELDS_CPU"
    for name, needs in _NEEDS.items():
        if needs <= flags and _library(f"cpu_{name}"):
            return name, f"the best that this {platform.machine()} processor offers"
    return "base", "runs on any processor"


@functools.cache
def load() -> Active:
    """Load the libraries once; returns what is active.

    Raises ImportError, with the remedy, where they are not built.
    """
    schemas = _library("C")
    cpu, reason = _choose_cpu()
    kernels = _library(f"cpu_{cpu}")
    if schemas is None or kernels is None:
        missing = "fields._C" if schemas is None else f"fields._cpu_{cpu}"
        raise ImportError(f"{missing} is missing; run pip install -e . --no-build-isolation")
    torch.ops.load_library(str(schemas))
    torch.ops.load_library(str(kernels))
    cuda = _library("cuda")
    if torch.version.cuda is None:
        cuda, cuda_reason = None, f"torch {torch.__version__} is built without CUDA"
    elif cuda is None:
        cuda_reason = "the CUDA kernels are not built (nvcc was not found at build time)"
    else:
        torch.ops.load_library(str(cuda))
        cuda_reason = "built" if torch.cuda.is_available() else "built, but no GPU is visible"
    # OpenMP's threads do not survive a fork: a child computes alone.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
    return Active(cpu, reason, cpu == "avx512_bf16", cuda is not None, cuda_reason)
