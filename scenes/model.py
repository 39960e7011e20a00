"""A mesh file as triangles that can be drawn: placed in the middle, Z up, with its materials."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.shapes import read_shape
from fields.shapes.colours import MeshColours, Painted, Texture
from fields.shapes.formats import find_format
from fields.shapes.read import upright
from fields.shapes.srgb import from_linear, to_linear
from fields_scenes.patterns import marble
from fields_scenes.triangles import Triangles, smooth_normals

RADIUS = 1.15  # of the ball around the middle of a model's box that holds it: inside of +-1.5
_CLAY = ((0.62, 0.36, 0.22), (0.80, 0.72, 0.58))


def read_model(path: Path, *, up: str | None = None, texel: float = 0.003) -> Triangles:
    """Read OBJ, PLY, STL, OFF, GLB or glTF.

    Args:
        path: the file.
        up: the axis that points up in it, "x", "y" or "z"; by default z of STL, else y.
        texel: textures finer than this, in units of the scene, are made coarser: they would
            shimmer.

    The middle of its box comes to the origin, its farthest vertex to the distance 1.15. What has no
    colours of its own is painted. Raises FieldsError, one line.
    """
    shape = read_shape(path)
    if shape.kind == "points":
        raise FieldsError(
            f"{shown(path)} is no shape that is known here: points have no faces; name a mesh"
        )
    painted = shape.colours.parts if isinstance(shape.colours, MeshColours) else None
    stored = painted or (_white(shape.vertices, shape.faces),)
    turned = find_format(path) in ("glb", "gltf")  # to Z up, as they were read
    parts = [_whole(part) for part in stored]
    corners = [_z_up(part.vertices, up, shape.up, turned)[part.faces] for part in parts]
    used = np.concatenate([own.reshape(-1, 3) for own in corners])
    middle = (used.min(0) + used.max(0)) / 2
    farthest = float(np.sqrt(((used - middle) ** 2).sum(1).max()))
    scale = RADIUS / farthest
    placed = [((own - middle) * scale).astype(np.float32) for own in corners]
    textures: list[Texture] = []
    index, uvs = [], []
    for part, own in zip(parts, placed, strict=True):
        uv = np.zeros((len(part.vertices), 2)) if part.uv is None else part.uv
        uvs.append(uv[part.faces].astype(np.float32))
        index.append(np.full(len(own), -1 if part.texture is None else len(textures)))
        if part.texture is not None:
            textures.append(_coarser(part.texture, own, uvs[-1], texel))
    together = np.concatenate(placed)
    return Triangles(
        corners=together,
        normals=smooth_normals(together),
        colours=np.concatenate([part.light[part.lit_by] for part in parts]).astype(np.float32),
        texture=np.concatenate(index),
        uv=np.concatenate(uvs),
        textures=tuple(textures),
        pattern=marble(*_CLAY, seed=7) if painted is None else None,
    )


def _white(vertices: np.ndarray, faces: np.ndarray) -> Painted:
    return Painted(vertices, faces, np.ones((1, 3)), np.broadcast_to(np.int64(0), faces.shape))


def _whole(part: Painted) -> Painted:
    """A part as it was stored, without the faces that have no place."""
    known = np.isfinite(part.vertices[part.faces]).all((1, 2))
    return replace(part, faces=part.faces[known], lit_by=part.lit_by[known])


def _z_up(vertices: np.ndarray, up: str | None, known: str, turned: bool) -> np.ndarray:
    """Vertices [V, 3] of a shape turned so that the axis `up` of its file becomes z; None is the
    axis that is `known` to point up. `turned`: those of the file were turned from Y up to Z up."""
    if turned and up is not None:
        vertices = np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], axis=1)
    up = up or known
    if up == "y":
        return upright(vertices)
    return np.roll(vertices, -1, axis=1) if up == "x" else vertices


def _coarser(texture: Texture, corners: np.ndarray, uv: np.ndarray, texel: float) -> Texture:
    """The texture so coarse that a texel is about `texel` long."""
    height, width = texture.pixels.shape[:2]
    size = np.array([width, height])
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = float(np.linalg.norm(across, axis=1).sum())
    a, b = ((uv[:, i] - uv[:, 0]) * size for i in (1, 2))
    texels = float(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
    factor = int(texel * np.sqrt(texels / area)) if area > 0 else 1
    factor = max(1, min(factor, height // 4, width // 4))
    if factor == 1:
        return texture
    whole = texture.pixels[: height - height % factor, : width - width % factor]
    blocks = whole.reshape(height // factor, factor, width // factor, factor, 3)
    light = to_linear(blocks.astype(np.float32) / 255).mean((1, 3))
    return replace(texture, pixels=np.rint(from_linear(light) * 255).astype(np.uint8))
