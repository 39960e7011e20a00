"""From the materials of a mesh, as trimesh has read them, to the colours of its surface."""

from __future__ import annotations

from typing import Any

import numpy as np

from fields.pictures.naming import plain
from fields.shapes.colours import Painted, Texture
from fields.shapes.gltf_textures import Laid
from fields.shapes.srgb import to_linear

BARE = 204  # of 255, sRGB: the grey of a part without colours, where others have some


class Materials:
    """Paints the parts of a mesh.

    In a glTF the picture, the colours of vertices and that of the material are multiplied. In other
    formats the first of these alone counts: programs write grey beside a picture, which they show
    as it is.

    Args:
        of_gltf: how pictures are laid, by the names of materials; None of other formats, whose
            colours are sRGB throughout.

    Attributes:
        notes: lines for the user: what could not be read.
    """

    def __init__(self, of_gltf: dict[str, Laid] | None):
        self.notes: list[str] = []
        self._laid = of_gltf
        self._pictures: dict[int, np.ndarray | None] = {}

    def painted(self, part: Any, vertices: np.ndarray, faces: np.ndarray) -> Painted | None:
        """A part with its colours, or None where it has none of its own."""
        visual = part.visual
        if visual.kind == "face":
            light = self._light(visual.face_colors)
            by = np.broadcast_to(np.arange(len(faces))[:, None], faces.shape)
            return Painted(vertices, faces, light, by) if len(light) == len(faces) else None
        if visual.kind == "vertex":
            light = self._light(visual.vertex_colors)
            return Painted(vertices, faces, light, faces) if len(light) == len(vertices) else None
        if visual.kind != "texture":
            return None
        material = visual.material
        texture = self._texture(material, visual.uv, len(vertices))
        own, factor = _own(part), self._factor(material)
        if own is not None and len(own) != len(vertices):
            own = None
        if self._laid is None:  # elsewhere the first of them counts alone
            own = None if texture is not None else own
            factor = None if texture is not None or own is not None else factor
        if texture is None and factor is None and own is None:
            return None
        light = np.ones((1, 3)) if factor is None else factor
        by = np.broadcast_to(np.int64(0), faces.shape)
        if own is not None:
            light, by = light * self._light(np.asarray(own)), faces
        if texture is None:
            return Painted(vertices, faces, light, by)
        uv = np.asarray(visual.uv, np.float64) * [1, -1] + [0, 1]  # trimesh has v go up
        return Painted(vertices, faces, light, by, uv, texture)

    @staticmethod
    def bare(vertices: np.ndarray, faces: np.ndarray) -> Painted:
        """A part that nobody painted."""
        light = to_linear(np.full((1, 3), BARE / 255))
        return Painted(vertices, faces, light, np.broadcast_to(np.int64(0), faces.shape))

    def _light(self, colours: np.ndarray) -> np.ndarray:
        """Colours [N, 3 or 4], whole numbers of any size or floats from 0 to 1 -> [N, 3] linear."""
        colours = np.asarray(colours)[:, :3]
        kind = colours.dtype.kind  # signed: text has them, up to 255
        top = np.iinfo(colours.dtype).max if kind == "u" else 255 if kind == "i" else 1
        values = np.nan_to_num(colours.astype(np.float64) / top).clip(0, 1)
        return to_linear(values) if self._laid is None else values

    def _factor(self, material: Any) -> np.ndarray | None:
        """[1, 3] linear light of a whole part, where the file says it."""
        if hasattr(material, "baseColorFactor"):
            factor = material.baseColorFactor
        else:
            factor = material.diffuse if "kd" in getattr(material, "kwargs", {}) else None
        return None if factor is None else self._light(np.asarray(factor)[None])

    def _texture(self, material: Any, uv: Any, vertices: int) -> Texture | None:
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        laid = (self._laid or {}).get(material.name, Laid())
        if image is None or image.format is None:  # the stand-in of trimesh, made in memory
            if self._laid and material.name in self._laid:
                self._say(material, "its picture cannot be read")
            return None
        if laid.coordinates:
            self._say(material, "its picture has texture coordinates of a second set, not read")
            return None
        if uv is None or len(uv) != vertices:
            self._say(material, "its picture has no texture coordinates")
            return None
        if id(image) not in self._pictures:
            self._pictures[id(image)] = _pixels(image)
        pixels = self._pictures[id(image)]
        if pixels is None:
            self._say(material, "its picture is damaged")
            return None
        return Texture(pixels, laid.wraps, laid.transform)

    def _say(self, material: Any, what: str) -> None:
        line = f"material {plain(str(material.name))}: {what}; its plain colour is taken"
        if line not in self.notes:
            self.notes.append(line)


def _own(part: Any) -> np.ndarray | None:
    """The colours of the vertices of a part that has a material as well."""
    own = getattr(part.visual, "vertex_attributes", {}).get("color")
    if own is not None:
        return np.asarray(own)
    raw = part.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    try:
        return np.stack([np.ravel(raw[name]) for name in ("red", "green", "blue")], 1)
    except (TypeError, ValueError, KeyError):  # no PLY, or one without
        return None


def _pixels(image: Any) -> np.ndarray | None:
    """[H, W, 3] uint8 of a picture; None if it does not decode."""
    try:
        if image.mode.startswith("I;16"):
            grey = np.asarray(image).astype(np.uint16) >> 8
            return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
        return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError):  # as Pillow has it
        return None
