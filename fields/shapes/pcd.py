"""What the header of a PCD promises, set against what is there: open3d fills what is missing with
whatever lies in memory."""

import re
import struct
from typing import NamedTuple

from fields.shapes import columns
from fields.shapes.shape import Broken

_HEADER_BYTES = 1 << 16
_DATA = re.compile(rb"^DATA[ \t]+(\S+)[ \t]*\r?\n?", re.MULTILINE)
_KINDS = ("ascii", "binary", "binary_compressed")
_SIZES = {"1", "2", "4", "8"}
_AGAIN = "copy or download it again"


class Header(NamedTuple):
    """Of a PCD 0.7: `points` of `numbers` each, which take `stride` bytes where they are binary;
    `kind` of data, which begins at byte `start`."""

    points: int
    numbers: int
    stride: int
    kind: str
    start: int


def require_whole(content: bytes) -> None:
    """Broken, with what the header promises and what is there."""
    header = _header(content)
    if header.kind == "ascii":
        there = _rows(content, header)
    elif header.kind == "binary":
        there = (len(content) - header.start) // header.stride
    else:
        return _require_packed(content, header)
    if there < header.points:
        raise Broken(
            f"is cut short: its header promises {header.points:,} points, and {there:,} are there;"
            f" {_AGAIN}"
        )


def _header(content: bytes) -> Header:
    """Broken where it says nothing that points could be read by."""
    data = _DATA.search(content[:_HEADER_BYTES])
    if data is None:
        raise Broken(f"is no PCD, or cut short: its header has no line DATA; {_AGAIN}")
    entries = {
        words[0]: words[1:]
        for line in content[: data.start()].decode("latin-1").splitlines()
        if (words := line.split())
    }
    fields = entries.get("FIELDS") or entries.get("COLUMNS") or []
    if not {"x", "y", "z"} <= set(fields):
        raise Broken("has no x, y and z among the FIELDS of its header; export it again")
    sizes, counts = entries.get("SIZE", []), entries.get("COUNT", ["1"] * len(fields))
    kind = data[1].decode("latin-1")
    points = "".join(entries.get("POINTS") or entries.get("WIDTH") or [])
    sound = (
        len(sizes) == len(counts) == len(entries.get("TYPE", [])) == len(fields)
        and set(sizes) <= _SIZES
        and set(entries["TYPE"]) <= {"F", "I", "U"}
        and all(count.isascii() and count.isdigit() for count in [*counts, points])
        and kind in _KINDS
    )
    if not sound:
        raise Broken(f"is damaged: its header does not say how its points are stored; {_AGAIN}")
    each = list(map(int, counts))
    stride = sum(int(size) * count for size, count in zip(sizes, each, strict=True))
    return Header(int(points), sum(each), stride, kind, data.end())


def _rows(content: bytes, header: Header) -> int:
    """How many points lines of text hold; Broken where one of them holds none, but for the last,
    within which the file may be cut."""
    body = content[header.start :].decode("latin-1").splitlines()
    texts = [line for line in body if line.strip()][: header.points]
    if texts and len(texts[-1].split()) < header.numbers:
        texts.pop()
    if len(texts) < header.points:
        return len(texts)
    first = content.count(b"\n", 0, header.start) + 1
    return len(columns.read(lambda: body, [header.numbers], first=first, most=header.points))


def _require_packed(content: bytes, header: Header) -> None:
    """Of compressed data, which begins with two sizes: its own, and that of what is packed."""
    packed = len(content) - header.start - 8
    if packed < 0:
        raise Broken(f"is cut short: it ends before its points; {_AGAIN}")
    promised, whole = struct.unpack_from("<II", content, header.start)
    if whole != header.points * header.stride:
        raise Broken(
            f"is damaged: its header promises {header.points:,} points of {header.stride} bytes,"
            f" and its data says that it holds {whole:,} bytes; {_AGAIN}"
        )
    if packed < promised:
        raise Broken(
            f"is cut short: its points take {promised:,} bytes, and {packed:,} are there; {_AGAIN}"
        )
