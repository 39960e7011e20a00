"""`fields bench` as a user runs it, and what its rows have in common."""

import json
import os
import subprocess
import sys


def check_rows(rows):
    """Every row is of the form {"work", "engine", and figures}, ready for JSON."""
    assert rows
    for row in rows:
        assert isinstance(row["work"], str) and isinstance(row["engine"], str)
        for name, value in row.items():
            if not isinstance(value, str):
                assert isinstance(value, (int, float)), name
                assert value == value and abs(value) < float("inf"), name
    assert json.loads(json.dumps(rows)) == rows


def command(*arguments):
    environment = {k: v for k, v in os.environ.items() if k != "FIELDS_CPU"}
    return subprocess.run(
        [sys.executable, "-m", "fields", "bench", *arguments],
        capture_output=True,
        text=True,
        env=environment,
    )
