"""`fields doctor`: what is active on this machine, and why not more."""

import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata

from fields import __version__
from fields.cli.parser import Parser

LIBRARIES = ("torch", "numpy", "safetensors", "imagecodecs", "tifffile", "OpenEXR", "scikit-image")


def main(arguments: Sequence[str], started: float) -> None:
    parser = Parser("doctor", "Say what is active on this machine, and why not more.")
    parser.add_argument("--json", action="store_true", help="print it as one JSON object")
    parsed = parser.parse(arguments)
    findings = {
        "fields": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "cpu": _processor(),
        **_kernels(),
        **_devices(),
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
    }
    if parsed.json:
        print(json.dumps(findings))
        return
    for name, value in findings.items():
        print(f"{name:10} {value}")


def _kernels() -> dict[str, str]:
    from fields import extension

    try:
        active = extension.load()
    except ImportError as error:
        return {"kernels": f"none: {error}"}
    bf16 = "yes" if active.bf16 else "no: the processor, or this library, has no avx512_bf16"
    return {"kernels": f"{active.cpu}: {active.reason}", "bf16": bf16}


def _devices() -> dict[str, str]:
    import torch

    from fields import device

    allowed = device.available_threads()
    threads = min(torch.get_num_threads(), allowed)
    of = f"{allowed} of {os.cpu_count()} processors may be used"
    try:
        why = device.why_not_cuda()
    except ImportError as error:
        why = str(error)
    if why is None and not device.CUDA_IS_PROVEN:
        why = "docs/gpu.md holds no passing run yet; --device cuda takes it all the same"
    return {
        "threads": f"{threads}: {of}",
        "device": f"cpu, not CUDA: {why}" if why else "cuda",
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
