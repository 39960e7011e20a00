"""The command, run as its users run it."""

import os
import subprocess
import sys
from pathlib import Path

from small import TINY, one_line

ROOT = Path(__file__).parent.parent
SMALL = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]


def command(*arguments, cwd, env=None, **options):
    """Run the command; its stdout, stderr and status."""
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    line = [sys.executable, "-m", "fields", *map(str, arguments)]
    return subprocess.run(
        line, cwd=cwd, env=settings, capture_output=True, text=True, timeout=100, **options
    )


def fails(*arguments, cwd, run=command, **options):
    """The line of a command that must fail with status 2, print nothing else and write nothing."""
    before = sorted(cwd.rglob("*"))
    done = run(*arguments, cwd=cwd, **options)
    assert done.returncode == 2, done
    assert done.stdout == "" and sorted(cwd.rglob("*")) == before
    return one_line(done.stderr)
