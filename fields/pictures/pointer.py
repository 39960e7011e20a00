"""Files that stand for others, which Git LFS keeps elsewhere until they are asked for."""

START = b"version https://git-lfs"


def is_pointer(start: bytes) -> bool:
    """Whether a file that begins so is a pointer."""
    return start.startswith(START)


def said_of_pointer(what: str) -> str:
    """The clause that goes behind the name of a pointer, `what` it should have been."""
    return f"is a Git LFS pointer, not the {what}; run `git lfs pull`"
