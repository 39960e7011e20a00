"""Writes GLB, the binary form of glTF 2.0, with 16-bit colours and the centre in double.

Libraries write vertices where they stand, as 32-bit floats, and colours in 8 bits, of which linear
light needs more in the dark.
"""

import json
import struct

import numpy as np

from fields.shapes.srgb import to_linear

_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125  # componentType
_VERTICES, _INDICES = 34962, 34963  # target of a bufferView


def encode(
    vertices: np.ndarray,
    faces: np.ndarray,
    normals: np.ndarray | None = None,
    colours: np.ndarray | None = None,
) -> bytes:
    """The bytes of a GLB.

    Args:
        vertices: [V, 3] float64, Z up; written Y up, around their centre, which is the node's
            translation.
        faces: [F, 3] integers.
        normals: [V, 3] of unit length.
        colours: [V, 3] uint8 sRGB.

    glTF 2.0, sections 3.6 (buffers), 3.7 (meshes) and 4.4 (layout).
    """
    turned = y_up(vertices)
    centre = (turned.min(0) + turned.max(0)) / 2
    file = _Buffers()
    position = file.add((turned - centre).astype("<f4"), "VEC3", _FLOAT, bounds=True)
    attributes = {"POSITION": position}
    if normals is not None:
        attributes["NORMAL"] = file.add(y_up(np.asarray(normals)).astype("<f4"), "VEC3", _FLOAT)
    if colours is not None:
        attributes["COLOR_0"] = file.add(_linear(colours), "VEC4", _UINT16, normalized=True)
    indices = file.add(faces.astype("<u4").reshape(-1), "SCALAR", _UINT32, target=_INDICES)
    primitive = {"attributes": attributes, "indices": indices, "material": 0}
    return file.pack(
        {
            "asset": {"version": "2.0", "generator": "fields"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "translation": centre.tolist()}],
            "meshes": [{"primitives": [primitive]}],
            "materials": [
                {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.8}}
            ],
        }
    )


def y_up(vectors: np.ndarray) -> np.ndarray:
    """Vectors [V, 3] of a world whose Z axis points up, in one whose Y axis does."""
    return np.stack([vectors[:, 0], vectors[:, 2], -vectors[:, 1]], axis=1)


def _linear(colours: np.ndarray) -> np.ndarray:
    """uint8 sRGB [V, 3] -> linear RGBA [V, 4] uint16."""
    table = np.round(to_linear(np.arange(256) / 255) * 65535).astype("<u2")
    result = np.full((len(colours), 4), 65535, "<u2")
    result[:, :3] = table[colours]
    return result


class _Buffers:
    """Arrays one behind the other, with what glTF says of each."""

    def __init__(self):
        self._data: list[bytes] = []
        self._length = 0
        self._views: list[dict] = []
        self._accessors: list[dict] = []

    def add(
        self,
        array: np.ndarray,
        kind: str,
        component: int,
        *,
        target: int = _VERTICES,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        """Append an array; returns the number of its accessor."""
        data = array.tobytes()  # all elements have 4, 8 or 12 bytes: aligned without padding
        self._views.append(
            {
                "buffer": 0,
                "byteOffset": self._length,
                "byteLength": len(data),
                "target": target,
            }
        )
        accessor = {
            "bufferView": len(self._views) - 1,
            "componentType": component,
            "count": len(array),
            "type": kind,
        }
        if bounds:
            accessor |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        if normalized:
            accessor["normalized"] = True
        self._accessors.append(accessor)
        self._data.append(data)
        self._length += len(data)
        return len(self._accessors) - 1

    def pack(self, tree: dict) -> bytes:
        """The file: a header, the tree as JSON, the arrays."""
        tree |= {
            "buffers": [{"byteLength": self._length}],
            "bufferViews": self._views,
            "accessors": self._accessors,
        }
        text = json.dumps(tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + self._length
        return b"".join(
            [
                struct.pack("<4sII", b"glTF", 2, total),
                struct.pack("<I4s", len(text), b"JSON"),
                text,
                struct.pack("<I4s", self._length, b"BIN\0"),
                *self._data,
            ]
        )
