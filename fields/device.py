"""Where a fit runs: the device, and how many threads this process may use."""

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fields.errors import FieldsError, either

if TYPE_CHECKING:
    import torch

# True once docs/gpu.md holds a passing run of the CUDA kernels on a GPU; until then `auto` never
# takes CUDA. tests/test_cli.py holds the two together.
CUDA_IS_PROVEN = False

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Choice:
    """A device, and why it was taken where that is worth a line."""

    device: "torch.device"
    reason: str | None = None


def choose(name: str = "auto") -> Choice:
    """The device for `auto`, `cpu` or `cuda`; FieldsError where it cannot be had."""
    import torch

    if name not in DEVICES:
        raise FieldsError(f"device must be {either(DEVICES)}, got {name!r}")
    if name == "cpu":
        return Choice(torch.device("cpu"))
    missing = why_not_cuda()
    if name == "cuda":
        if missing:
            raise FieldsError(f"--device cuda is not possible: {missing}; use --device cpu")
        return Choice(torch.device("cuda"))
    if missing:
        return Choice(torch.device("cpu"))
    if not CUDA_IS_PROVEN:
        reason = "the CUDA kernels have no passing run in docs/gpu.md yet; --device cuda takes them"
        return Choice(torch.device("cpu"), reason)
    return Choice(torch.device("cuda"))


def why_not_cuda() -> str | None:
    """What is missing for CUDA, or None."""
    import torch

    from fields import extension

    active = extension.load()
    if not active.cuda:
        return active.cuda_reason
    return None if torch.cuda.is_available() else "torch finds no CUDA device"


def computes(precision: str, where: "torch.device") -> bool:
    """Whether the kernels there have MLPs of that arithmetic: float32, bf16 or fp16."""
    from fields import extension

    on_cpu = precision == "float32" or (precision == "bf16" and extension.load().bf16)
    return on_cpu or where.type == "cuda"


def available_threads() -> int:
    """Processors that this process may use: its affinity, and the quota of its control group."""
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    return max(1, min(processors, math.ceil(min(_cgroup_quota(), processors))))


def _cgroup_quota(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> float:
    """Processors' worth of time that this process' control groups allow; infinite without one."""
    quotas = [math.inf]
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in own.read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            top = root / controllers if controllers else root
            folder = top / name.lstrip("/")
            # A group is bound by those that it lies in. In a container only the last may be seen.
            for group in (folder, *folder.parents[: len(Path(name).parts) - 1]):
                quotas.append(_quota_of(group))
    return min(quotas)


def _quota_of(group: Path) -> float:
    with contextlib.suppress(OSError, ValueError):  # version 2
        quota, period = (group / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):  # version 1
        quota = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 and period > 0 else math.inf
    return math.inf


def check_threads(count: int | None) -> None:
    """FieldsError for a number of threads that nobody has; None is what may be used."""
    if count is not None and not 1 <= count <= 1024:
        raise FieldsError(f"--threads must be from 1 to 1024, got {count}")


@contextlib.contextmanager
def threads(count: int | None = None) -> Iterator[int]:
    """Within, torch and the kernels use `count` threads; by default what this process may use.

    An explicit count is taken as it is, from 1 to 1024; the default never raises what torch or
    OMP_NUM_THREADS has set. Yields the number in force.
    """
    import torch

    check_threads(count)
    before = torch.get_num_threads()
    if count is None:
        count = min(before, available_threads())
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)
