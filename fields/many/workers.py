"""Processes of one thread that take jobs one after the other. They end with the one that made them,
however that ends."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch

from fields.errors import FieldsError

Job = TypeVar("Job")
Result = TypeVar("Result")
_LOOK_SECONDS = 0.2  # between two looks at whether to stop


def in_processes(
    count: int,
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    stopped: Callable[[], bool],
    called: Callable[[Job], str] = str,
) -> Iterator[tuple[Job, Result]]:
    """Do jobs in `count` processes; yields each with its result as they end, in any order.

    Args:
        work: done in a process, to which nothing is sent but the job.
        stopped: asked now and then; once true, jobs that are begun end and no other begins.
        called: what errors call a job.

    Raises FieldsError if a process is killed, which a job that takes too much memory is.
    With one process the work is done in this one.
    """
    if count <= 1 or len(jobs) <= 1:
        for job in jobs:
            if stopped():
                return
            yield job, work(job)
        return
    waiting = list(reversed(jobs))
    at_work: dict[Connection, Job] = {}
    with _workers(min(count, len(jobs)), work) as idle:
        while at_work or (waiting and not stopped()):
            while waiting and idle and not stopped():
                connection = idle.pop()
                at_work[connection] = waiting.pop()
                with contextlib.suppress(OSError):  # one that has died is met below
                    connection.send(at_work[connection])
            for ready in wait(list(at_work), _LOOK_SECONDS):
                assert isinstance(ready, Connection)
                job = at_work.pop(ready)
                yield job, _received(ready, called(job))
                idle.append(ready)


def _received(connection: Connection, name: str) -> Any:
    try:
        result, failure = connection.recv()
    except (EOFError, OSError):
        raise FieldsError(
            f"a process was killed at {name}, which may need more memory than there is; --resume"
            " goes on, --threads 1 takes less"
        ) from None
    if isinstance(failure, FieldsError):
        raise failure
    if failure is not None:
        raise RuntimeError(failure)
    return result


@contextlib.contextmanager
def _workers(count: int, work: Callable[[Any], Any]) -> Iterator[list[Connection]]:
    context = multiprocessing.get_context("fork")
    processes, ours = [], []
    try:
        for _ in range(count):
            our, their = context.Pipe()
            # A child has a copy of our ends of all pipes so far; unless it closes them, it would
            # wait for itself.
            process = context.Process(target=_serve, args=(their, [*ours, our], work), daemon=True)
            with warnings.catch_warnings():
                # Python 3.12 warns of locks that other threads may hold; a child uses none of them.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            their.close()
            processes.append(process)
            ours.append(our)
        yield list(ours)
    finally:
        for connection in ours:
            connection.close()
        for process in processes:
            process.terminate()
            process.join()


def _end_with_parent() -> None:
    """Where the system can, at once, even if the parent is killed; else at the end of a job."""
    with contextlib.suppress(OSError, AttributeError):
        set_death_signal = 1  # PR_SET_PDEATHSIG of Linux
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def _serve(connection: Connection, others: list[Connection], work: Callable[[Any], Any]) -> None:
    """The life of a process: until the other end of its pipe is closed."""
    for other in others:
        other.close()
    _end_with_parent()
    # Ctrl-C goes to all processes of a terminal; the one that made this decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    torch.set_num_threads(1)
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = (work(job), None)
        except FieldsError as error:
            answer = (None, error)
        except Exception:
            answer = (None, traceback.format_exc())
        sys.stdout.flush()
        try:
            connection.send(answer)
        except OSError:
            return
