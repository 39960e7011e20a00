"""What page and server say to one another.

To the server: JSON of at most 64 KiB, one of the messages below. To the page: JSON that tells, and
pictures behind a header of 40 bytes.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_BYTES = 64 * 1024  # of a message to the server
MOST_SIDE, MOST_PIXELS = 8192, 1 << 24  # of a view
MOST_TILES = 256  # wanted at once
TILE = 256  # pixels along a side of a tile of a flat picture
MOST_SHOTS = 10_000  # of a film

# Kinds of pictures: a whole frame, a part of a still one, a tile of a flat one, a film.
FRAME, PART, FLAT_TILE, FILM = range(4)
FIELD, PROXY, TRUTH = range(3)  # what was drawn
LAST, LOSSLESS = 1, 2  # flags
_HEADER = struct.Struct("<BBBBIIiiHHHHfII")
HEADER_BYTES = _HEADER.size

CLOSED_BY_TOKEN = 4401
CLOSED_AS_FULL = 4429


class Refused(ValueError):
    """A message that is none of ours; one line."""


@dataclass(frozen=True)
class Header:
    """In front of a picture; little endian, in this order.

    Attributes:
        kind, format, drawn, flags: see the constants of this module and of `encode`.
        id: of the view that it answers.
        step: of the training, that the field stood at.
        x, y: of a part, its corner in pixels; of a tile, its place in tiles.
        width, height: of the pixels that follow.
        whole_width, whole_height: of the frame at its full size.
        scale: of the frame; of a tile its level.
        draw_us, encode_us: microseconds.
    """

    kind: int
    format: int
    id: int
    width: int
    height: int
    drawn: int = FIELD
    flags: int = 0
    step: int = 0
    x: int = 0
    y: int = 0
    whole_width: int = 0
    whole_height: int = 0
    scale: float = 1.0
    draw_us: int = 0
    encode_us: int = 0

    def pack(self) -> bytes:
        return _HEADER.pack(
            *(self.kind, self.format, self.drawn, self.flags),
            *(self.id, self.step, self.x, self.y, self.width, self.height),
            *(self.whole_width, self.whole_height, self.scale),
            *(min(self.draw_us, 2**32 - 1), min(self.encode_us, 2**32 - 1)),
        )

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        v = _HEADER.unpack_from(data)
        return cls(
            kind=v[0], format=v[1], drawn=v[2], flags=v[3], id=v[4], step=v[5], x=v[6], y=v[7],
            width=v[8], height=v[9], whole_width=v[10], whole_height=v[11], scale=v[12],
            draw_us=v[13], encode_us=v[14],
        )  # fmt: skip


# Messages to the server: for each type its keys, and what each must be.


def _whole(low: int, high: int) -> Any:
    def check(value: Any) -> bool:
        return type(value) is int and low <= value <= high

    return check


def _number(low: float, high: float) -> Any:
    def check(value: Any) -> bool:
        sound = type(value) in (int, float) and math.isfinite(value)
        return sound and low <= value <= high

    return check


def _numbers(count: int, bound: float = 1e12) -> Any:
    each = _number(-bound, bound)

    def check(value: Any) -> bool:
        return isinstance(value, list) and len(value) == count and all(map(each, value))

    return check


def _text(most: int) -> Any:
    def check(value: Any) -> bool:
        return isinstance(value, str) and len(value) <= most

    return check


def _list(each: Any, most: int) -> Any:
    def check(value: Any) -> bool:
        return isinstance(value, list) and len(value) <= most and all(map(each, value))

    return check


def _shot(value: Any) -> bool:
    """[12 numbers of the matrix from camera to world, vertical field of view, time or -1]."""
    return _numbers(14)(value) and 0 < value[12] < 180


_ID = _whole(0, 2**32 - 1)
_TILE = _numbers(3, 2**31 - 1)


def _value(value: Any) -> bool:
    """Of a setting: the subject knows more."""
    simple = type(value) is bool or _number(-1e12, 1e12)(value) or _text(64)(value)
    return simple or value is None or _list(_number(-1e12, 1e12), 16)(value)


MESSAGES: dict[str, dict[str, Any]] = {
    "hello": {"token": _text(128)},
    "view": {
        "id": _ID,
        "c2w": _numbers(16),
        "fov": _number(1, 170),
        "w": _whole(1, MOST_SIDE),
        "h": _whole(1, MOST_SIDE),
    },
    # Of a flat picture: its size in pixels as it is shown, and the part of it that is seen.
    "flat": {"id": _ID, "size": _numbers(2, 1e9), "crop": _numbers(4, 1e9), "still": _whole(0, 1)},
    # Those that are missing; whether they are since the hand moves.
    "tiles": {"id": _ID, "want": _list(_TILE, MOST_TILES), "moving": _whole(0, 1)},
    "shown": {"id": _ID},
    "set": {"name": _text(32), "value": _value},
    "do": {"name": _text(32)},
    "shots": {"start": _whole(0, MOST_SHOTS), "shots": _list(_shot, 400)},
    "film": {
        "fps": _number(1, 120),
        "w": _whole(2, 4096),
        "h": _whole(2, 4096),
        "count": _whole(1, MOST_SHOTS),
    },
}


def parse(text: str | bytes) -> dict[str, Any]:
    """A message that was checked against MESSAGES; Refused for any other."""
    if not isinstance(text, str):
        raise Refused("messages are JSON, not bytes")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("this is no JSON") from None
    kind = message.get("type") if isinstance(message, dict) else None
    keys = MESSAGES.get(kind) if isinstance(kind, str) else None
    if keys is None:
        raise Refused("there is no such type of message")
    if message.keys() != {"type", *keys}:
        raise Refused(f"a message {kind!r} has the keys type, {', '.join(keys)}")
    for name, check in keys.items():
        if not check(message[name]):
            raise Refused(f"{name} of a message {kind!r} is not what it must be")
    if kind == "view":
        if message["w"] * message["h"] > MOST_PIXELS:
            raise Refused(f"a view has at most {MOST_PIXELS:,} pixels")
        turn = np.array(message["c2w"], float).reshape(4, 4)[:3, :3]
        if np.abs(turn.T @ turn - np.eye(3)).max() > 1e-3:
            raise Refused("c2w of a view does not turn, it bends")
    return message
