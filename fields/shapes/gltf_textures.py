"""How a glTF lays its pictures on surfaces: what trimesh, which reads the rest, leaves out."""

from __future__ import annotations

import json
import math
import struct
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_WRAPS: dict[int | None, str] = {33071: "clamp", 33648: "mirror", 10497: "repeat"}
_UNNAMED = "material_0"  # as trimesh calls a material without a name


class Laid(NamedTuple):
    """The picture of a material's base colour; see `Texture`."""

    wraps: tuple[str, str] = ("repeat", "repeat")
    transform: np.ndarray | None = None
    coordinates: int = 0  # which set of them


def laid(file: BinaryIO) -> dict[str, Laid]:
    """Of each material of a glTF or a GLB that has a picture, by its name.

    glTF 2.0, sections 5.26 (samplers) and 5.30, and KHR_texture_transform. Of several materials of
    one name the last counts.
    """
    tree = _tree(file)
    result = {}
    for material in tree.get("materials", []):
        pbr = material.get("pbrMetallicRoughness", {})
        old = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness", {})
        info = pbr.get("baseColorTexture") or old.get("diffuseTexture")
        if info is not None:
            result[material.get("name") or _UNNAMED] = _of(tree, info)
    return result


def _tree(file: BinaryIO) -> dict[str, Any]:
    """The JSON of the file."""
    file.seek(0)
    head = file.read(20)
    if head[:4] == b"glTF":
        text = file.read(struct.unpack("<I", head[12:16])[0])
    else:
        text = head + file.read()
    return json.loads(text)


def _of(tree: dict[str, Any], info: dict[str, Any]) -> Laid:
    texture = tree["textures"][info["index"]]
    sampler = tree["samplers"][texture["sampler"]] if "sampler" in texture else {}
    u, v = (_WRAPS.get(sampler.get(axis), "repeat") for axis in ("wrapS", "wrapT"))
    moved = info.get("extensions", {}).get("KHR_texture_transform")
    number = info.get("texCoord", 0)
    if moved is None:
        return Laid((u, v), None, number)
    (du, dv), (su, sv) = moved.get("offset", (0, 0)), moved.get("scale", (1, 1))
    cos, sin = math.cos(moved.get("rotation", 0)), math.sin(moved.get("rotation", 0))
    transform = np.array([[cos * su, sin * sv, du], [-sin * su, cos * sv, dv]], np.float64)
    return Laid((u, v), transform, moved.get("texCoord", number))
