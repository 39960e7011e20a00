"""OFF files of nothing but vertices and triangles, which most are, read at the speed of NumPy."""

import re
import warnings

import numpy as np


def without_comments(text: bytes) -> bytes:
    """An OFF file without what stands behind `#`, nor lines that hold nothing else."""
    if b"#" not in text:
        return text
    return re.sub(rb"\n\s*(?=\n)", b"", re.sub(rb"#[^\r\n]*", b"", text))


def read_plain_off(text: bytes) -> tuple[np.ndarray, np.ndarray] | None:
    """Vertices [V, 3] float64 and faces [F, 3] int64 of an OFF file without comments; None where it
    holds anything else, such as colours, quadrilaterals or another header, or less than it says.
    """
    if text[:3] != b"OFF":
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            numbers = np.fromstring(text[3:], sep=" ")
        except (DeprecationWarning, ValueError):  # what is no number
            return None
    if len(numbers) < 3 or not (numbers[:2] >= 0).all():
        return None
    count, faces = int(numbers[0]), int(numbers[1])
    if len(numbers) != 3 + 3 * count + 4 * faces:
        return None
    rows = numbers[3 + 3 * count :].reshape(faces, 4)
    if not (rows == np.floor(rows)).all() or not (rows[:, 0] == 3).all():
        return None
    return numbers[3 : 3 + 3 * count].reshape(count, 3), rows[:, 1:].astype(np.int64)
