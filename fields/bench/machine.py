"""What a measurement was taken on."""

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import fields


def describe(threads: int) -> dict[str, Any]:
    """The machine, what runs on it, and how busy it is with other work.

    Args:
        threads: that the measurement uses.
    """
    import torch

    from fields import ops

    return {
        "cpu": processor(),
        "processors": os.cpu_count(),
        "threads": threads,
        "kernels": ops.ACTIVE.cpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "drjit": _version("drjit"),
        "fields": fields.__version__,
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "busy_before": busy(),
    }


def busy(seconds: float = 0.5) -> float | None:
    """The share of all processors that others keep busy; None where the system does not say."""

    def ticks() -> tuple[int, int]:
        values = [int(v) for v in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(values), values[3] + values[4]  # idle, and waiting for a disk

    try:
        all_before, idle_before = ticks()
        time.sleep(seconds)
        all_after, idle_after = ticks()
    except (OSError, ValueError, IndexError):
        return None
    passed = max(all_after - all_before, 1)
    return round(1 - (idle_after - idle_before) / passed, 3)


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit that this package is checked out at, "+" where files differ; None elsewhere."""
    folder = Path(fields.__file__).parent
    if _git(folder, "ls-files", "__init__.py") != "__init__.py":
        return None  # installed, perhaps into a checkout of something else
    head = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", ".", "../csrc")
    return f"{head}+" if head and changed else head


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
