"""Jobs done by the processes of a Ray cluster, as `workers` does them by those of this machine.

What comes of a job travels back to the process that asked for it, which keeps it on its disk: nodes
need the folder of the sources and this program, and nothing of where the set goes. A job of a
worker or a node that has died is done again, elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from fields.errors import FieldsError, MissingLibrary

LOCAL = "local"

Job = TypeVar("Job")
Result = TypeVar("Result")
_LOOK_SECONDS = 0.2  # between two looks at whether to stop
_AHEAD = 2  # jobs that are sent, for each processor: one at work, one that waits there
_TRIES = 5  # of a job whose worker dies


def ray_for(what: str) -> Any:
    """The module. Raises MissingLibrary, which says what needs it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it imports itself
            import ray
    except ImportError:
        raise MissingLibrary(f"{what} needs ray; pip install 'fields-engine[ray]'") from None
    return ray


@contextlib.contextmanager
def cluster(address: str, threads: int) -> Iterator[int]:
    """Be connected to a cluster; yields how many jobs it can do at once.

    Args:
        address: host:port of a cluster's head, ray://host:port of its client server, `auto` for
            that of this machine, or `local`: one that is made here and ends with the block.
        threads: processors of one that is made here.

    Raises FieldsError where there is none. One that this process is connected to already is taken
    as it is.
    """
    ray = ray_for("--ray")
    if ray.is_initialized():
        yield _processors(ray)
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address == LOCAL:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told that it ran
            # Less than the object store takes by default: groups are a few MB each.
            ray.init(num_cpus=threads, include_dashboard=False, object_store_memory=2**28, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError, ray.exceptions.RayError) as error:
        first = (str(error).splitlines() or ["no reason given"])[0]
        raise FieldsError(
            f"there is no Ray cluster at {address!r} ({first}); name HOST:PORT of its head, or"
            " --ray local"
        ) from None
    try:
        yield _processors(ray)
    finally:
        ray.shutdown()


def in_cluster(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    stopped: Callable[[], bool],
    called: Callable[[Job], str] = str,
) -> Iterator[tuple[Job, Result]]:
    """As `workers.in_processes`, within a block of `cluster`: each job is a task of one processor.

    Raises FieldsError if the workers of a job have died time after time.
    """
    ray = ray_for("--ray")
    task = ray.remote(num_cpus=1, max_retries=_TRIES)(_in_one_thread)
    shared = ray.put(work)
    waiting = list(reversed(jobs))
    at_work: dict[Any, Job] = {}
    while at_work or (waiting and not stopped()):
        # Nodes come and go.
        while waiting and len(at_work) < _AHEAD * max(1, _processors(ray)) and not stopped():
            job = waiting.pop()
            at_work[task.remote(shared, job)] = job
        ready, _ = ray.wait(list(at_work), num_returns=1, timeout=_LOOK_SECONDS)
        for reference in ready:
            job = at_work.pop(reference)
            yield job, _received(ray, reference, called(job))
        ready = reference = None  # a reference that lives on keeps its result in memory


def _in_one_thread(work: Callable[[Any], Any], job: Any) -> Any:
    """A task: the work of a job, or what it says is wrong."""
    import torch

    torch.set_num_threads(1)
    try:
        return work(job), None
    except FieldsError as error:
        return None, error


def _received(ray: Any, reference: Any, name: str) -> Any:
    try:
        result, failure = ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError,
            ray.exceptions.NodeDiedError, ray.exceptions.ObjectLostError):  # fmt: skip
        raise FieldsError(
            f"the workers of {name} were killed {_TRIES + 1} times, which may need more memory than"
            " there is; --resume goes on"
        ) from None
    if failure is not None:
        raise failure
    return result


def _processors(ray: Any) -> int:
    return int(ray.cluster_resources().get("CPU", 0))
