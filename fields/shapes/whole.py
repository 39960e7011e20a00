"""Refuses files that are cut short where their parser would take what is left for all."""

import importlib.util
import json
import re
import struct
from typing import BinaryIO

from fields.shapes import pcd
from fields.shapes.shape import Broken

_AGAIN = "copy or download it again"
_STL_HEAD, _STL_FACE, _GLB_HEAD = 84, 50, 20  # bytes
# Of the geometry of a glTF, and the library by which trimesh unpacks it.
_PACKINGS = {"KHR_draco_mesh_compression": "DracoPy", "EXT_meshopt_compression": None}
_PLY_BYTES = {
    **dict.fromkeys((b"char", b"uchar", b"int8", b"uint8"), 1),
    **dict.fromkeys((b"short", b"ushort", b"int16", b"uint16"), 2),
    **dict.fromkeys((b"int", b"uint", b"float", b"int32", b"uint32", b"float32"), 4),
    **dict.fromkeys((b"double", b"float64"), 8),
}
_PLY_FORMAT = re.compile(rb"^format\s+(ascii|binary_(little|big)_endian)\s", re.MULTILINE)
_BLANK = re.compile(rb"\n[ \t\r]*\n")
_ZERO = re.compile(rb"[ \t]0(?:[/\s]|\Z)")


def require_whole(file: BinaryIO, format_: str) -> None:
    """Broken, with what the header promises and what is there. An OBJ promises nothing, but its
    vertices are numbered from 1. The file is left at its start."""
    checks = {
        **{"off": _off, "ply": _ply, "stl": _stl, "obj": _obj},
        **{"glb": _glb, "gltf": _gltf, "pcd": pcd.require_whole},
    }
    check = checks.get(format_)
    if check is not None:
        file.seek(0)
        check(file.read())
    file.seek(0)


def _off(content: bytes) -> None:
    if b"#" in content:
        content = re.sub(rb"#[^\n]*", b"", content)
    head, _, body = content.partition(b"OFF")[2].lstrip().partition(b"\n")
    vertices, faces = (int(count) for count in head.split()[:2])
    if _are_there(body.lstrip(), vertices + faces):
        return
    found = [line for line in body.splitlines() if line.strip()]
    _require(min(len(found), vertices), vertices, "vertices")
    _require(_faces(found[vertices : vertices + faces]), faces, "faces")


def _ply(content: bytes) -> None:
    head, end, body = content.partition(b"end_header")
    if not end:
        raise Broken(f"is cut short: its header has no end (end_header); {_AGAIN}")
    if not _PLY_FORMAT.search(head):
        raise Broken(f"is damaged: its header names no format of PLY that is known; {_AGAIN}")
    if b"format ascii" not in head:
        return _binary_ply(head, len(body.partition(b"\n")[2]))
    elements = re.findall(rb"^element\s+(\w+)\s+(\d+)", head, re.MULTILINE)
    if _are_there(body.lstrip(), sum(int(count) for _, count in elements)):
        return
    lines = [line for line in body.splitlines() if line.strip()]
    before = 0
    for name, count in elements:
        found = lines[before : before + int(count)]
        there = _faces(found) if name == b"face" else len(found)
        _require(there, int(count), {b"vertex": "vertices", b"face": "faces"}.get(name, "lines"))
        before += int(count)


def _binary_ply(head: bytes, length: int) -> None:
    """By the least that each element takes: faces are triangles, other lists empty."""
    before = 0
    for element in re.split(rb"^element\s+", head, flags=re.MULTILINE)[1:]:
        name, count = element.split()[:2]
        size = 0
        for kind, rest in re.findall(rb"^property\s+(\w+)\s+([^\r\n]+)", element, re.MULTILINE):
            if kind == b"list":
                counter, item, of = rest.split()[:3]
                corners = 3 if of in (b"vertex_index", b"vertex_indices") else 0
                size += _PLY_BYTES.get(counter, 0) + corners * _PLY_BYTES.get(item, 0)
            else:
                size += _PLY_BYTES.get(kind, 0)
        if not size:
            return
        what = {b"vertex": "vertices", b"face": "faces"}.get(name, "elements")
        _require(min(max(length - before, 0) // size, int(count)), int(count), what)
        before += size * int(count)


def _glb(content: bytes) -> None:
    if len(content) < _GLB_HEAD:
        raise Broken(f"is cut short: it ends within its header; {_AGAIN}")
    version, length, of_json = struct.unpack_from("<III", content, 4)
    if version != 2:
        raise Broken(f"is a GLB of version {version}, and 2 is read; export it again")
    _require(len(content), length, "bytes")
    _gltf(content[_GLB_HEAD : _GLB_HEAD + of_json].rstrip(b"\0 "))


def _gltf(content: bytes) -> None:
    try:
        tree = json.loads(content)
    except ValueError:  # also of bytes that are no UTF-8
        raise Broken(f"is no glTF, or cut short: what it holds is not JSON; {_AGAIN}") from None
    if not isinstance(tree, dict):
        raise Broken(f"is no glTF: its JSON is no object; {_AGAIN}")
    version = str(tree.get("asset", {}).get("version", 2))
    if not version.startswith("2"):
        raise Broken(f"is a glTF of version {version[:9]}, and 2 is read; export it again")
    needed = tree.get("extensionsRequired", ())
    packing = next((name for name in _PACKINGS if name in needed), None)
    if packing is not None and not _can_unpack(packing):
        remedy = f"pip install {_PACKINGS[packing]}, or " if _PACKINGS[packing] else ""
        raise Broken(f"is compressed ({packing}), which is not read; {remedy}export it without")


def _can_unpack(packing: str) -> bool:
    library = _PACKINGS[packing]
    return library is not None and importlib.util.find_spec(library) is not None


def _are_there(body: bytes, count: int) -> bool:
    """So many lines, each to its end and none of them blank: told without splitting, which takes
    gigabytes for a large scan. What is not told so is split and counted."""
    return body.count(b"\n") >= count and not _BLANK.search(body)


def _stl(content: bytes) -> None:
    start = content[:4096].lstrip().lower()
    if start.startswith(b"solid") and (b"facet" in start or b"endsolid" in start):
        if b"endsolid" not in content[-4096:].lower():
            raise Broken(f"is cut short: its last line must begin with endsolid; {_AGAIN}")
        return
    if len(content) < _STL_HEAD:
        raise Broken(f"is no STL, or cut short: it ends before its first face; {_AGAIN}")
    promised = int.from_bytes(content[80:_STL_HEAD], "little")
    if start.startswith(b"solid") or b"\0" not in content:
        raise Broken(f"is no STL: it has text, but no facets; {_AGAIN}")
    _require((len(content) - _STL_HEAD) // _STL_FACE, promised, "faces")
    if len(content) > _STL_HEAD + _STL_FACE * promised:
        raise Broken(f"is damaged: it goes on behind its {promised:,} faces; {_AGAIN}")


def _obj(content: bytes) -> None:
    # A zero first and then its line: half the time of looking through every face.
    for zero in _ZERO.finditer(content):
        start = content.rfind(b"\n", 0, zero.start()) + 1
        if content[start : start + 2] in (b"f ", b"f\t"):
            raise Broken("has a face that names vertex 0, and its first is 1; export it again")


def _faces(lines: list[bytes]) -> int:
    """How many of these are whole: the last may lack some of the corners that it counts."""
    last = lines[-1].split() if lines else []
    return len(lines) - bool(last and len(last) <= int(last[0]))


def _require(there: int, promised: int, what: str) -> None:
    if there < promised:
        raise Broken(
            f"is cut short: its header promises {promised:,} {what}, and {there:,} are there; "
            f"{_AGAIN}"
        )
