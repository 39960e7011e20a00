"""Whatever goes wrong becomes one line on stderr and an exit status."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from typing import TextIO

from fields.errors import Cancelled, FieldsError, Interrupted, SettingError

TRACEBACK_VARIABLE = "FIELDS_TRACEBACK"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# As torch's allocators and C++ say it, which raise a RuntimeError.
_NO_MEMORY = ("can't allocate memory", "out of memory", "bad_alloc")


def status_of(command: Callable[[], None]) -> int:
    """Run a command; its exit status."""
    status = _status_of(command)
    if not _is_written(sys.stderr):
        _drop(2)
    return status


def _status_of(command: Callable[[], None]) -> int:
    try:
        command()
        if sys.stdout is not None:
            sys.stdout.flush()
        return 0
    except BrokenPipeError:
        _drop(1)
        return _say("the output was closed before all was written", 1)
    except Interrupted as stop:
        return _say(str(stop), 128 + stop.number)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except SettingError as error:
        return _say(error.with_flags(), 2)
    except (FieldsError, Cancelled) as error:
        return _say(str(error), 2)
    except MemoryError:
        return _say("memory is used up; try a smaller --size, --size-kb or --downscale 2", 2)
    except UnicodeEncodeError as error:
        name = error.object.encode("unicode_escape").decode()
        return _say(f"this locale cannot name {name}; set LC_ALL=C.UTF-8", 2)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        # Files are written by name. An unbuffered stream keeps nothing that could be tried again.
        if not name and (error.errno in _FULL or not _is_written(sys.stdout)):
            _drop(1)
            name = "standard output cannot be written: "
        return _say(f"{name}{error.strerror or error}", 2)
    except ImportError as error:
        return _say(str(error), 2)
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    if os.environ.get(TRACEBACK_VARIABLE):
        raise error
    text = str(error).splitlines()[0] if str(error) else ""
    if any(words in text for words in _NO_MEMORY):
        return _say("memory is used up; try a smaller --size, --size-kb or --downscale 2", 2)
    where = f"set {TRACEBACK_VARIABLE}=1 to see where"
    return _say(f"internal error, {type(error).__name__}: {text}; {where}", 1)


def _is_written(stream: TextIO | None) -> bool:
    """Whether what a stream still holds can be written: it cannot be, where writing has failed."""
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _say(line: str, status: int) -> int:
    if sys.stderr is not None:  # print takes None for stdout
        with contextlib.suppress(OSError):
            print(f"fields: {' '.join(line.split())}", file=sys.stderr, flush=True)
    return status


def _drop(descriptor: int) -> None:
    """Let the interpreter's own flush at exit succeed: it would turn the status into 120."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, descriptor)
    os.close(sink)
