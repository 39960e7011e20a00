"""A mesh file as triangles that can be drawn: placed in the middle, Z up, with its materials."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.pictures.silence import quiet_libraries
from fields.shapes.formats import find_format
from fields.shapes.read import Placed, read_parts, upright
from fields_scenes.drawing import from_srgb
from fields_scenes.patterns import marble
from fields_scenes.triangles import Triangles, smooth_normals

RADIUS = 1.15  # of the ball around the middle of a model's box that holds it: inside of +-1.5
_Z_UP = ("stl",)
_STAND_IN = (2, 2)  # of the grey picture that trimesh puts where a texture is missing
_NO_COLOUR = (102, 102, 102)  # of a material that trimesh puts where there is none
_GREY = 0.5  # linear light of a part without colours among others that have some
_CLAY = ((0.62, 0.36, 0.22), (0.80, 0.72, 0.58))


class Paint(NamedTuple):
    """Colours [F, 3, 3] and texture coordinates [F, 3, 2] of corners, and a texture or None."""

    colours: np.ndarray
    uv: np.ndarray
    texture: np.ndarray | None


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
    parts = [part._replace(y_up=False) for part in read_parts(path)]  # `up` is of the file
    vertices = [_z_up(part.vertices(), up or _default_up(path)) for part in parts]
    faces = [part.faces() for part in parts]
    used = np.concatenate([v[f.ravel()] for v, f in zip(vertices, faces, strict=True)])
    if not np.isfinite(used).all():
        raise FieldsError(f"{shown(path)} has vertices that are NaN or infinite; export it again")
    middle = (used.min(0) + used.max(0)) / 2
    farthest = float(np.sqrt(((used - middle) ** 2).sum(1).max()))
    if not farthest > 0:
        raise FieldsError(f"{shown(path)} has all its vertices in one place; export it again")
    scale = RADIUS / farthest
    corners = [
        ((v[f] - middle) * scale).astype(np.float32) for v, f in zip(vertices, faces, strict=True)
    ]
    linear = find_format(path) in ("glb", "gltf")
    with quiet_libraries():
        found = [_paint(part, c, linear, texel) for part, c in zip(parts, corners, strict=True)]
    plain = all(paint is None for paint in found)
    bare = 1.0 if plain else _GREY
    painted = [p or _bare(len(c), bare) for p, c in zip(found, corners, strict=True)]
    textures: list[np.ndarray] = []
    index = []
    for paint in painted:
        index.append(np.full(len(paint.uv), -1 if paint.texture is None else len(textures)))
        textures += [] if paint.texture is None else [paint.texture]
    together = np.concatenate(corners)
    return Triangles(
        corners=together,
        normals=smooth_normals(together),
        colours=np.concatenate([paint.colours for paint in painted]),
        texture=np.concatenate(index),
        uv=np.concatenate([paint.uv for paint in painted]),
        textures=tuple(textures),
        pattern=marble(*_CLAY, seed=7) if plain else None,
    )


def _default_up(path: Path) -> str:
    return "z" if find_format(path) in _Z_UP else "y"


def _z_up(vertices: np.ndarray, up: str) -> np.ndarray:
    """Vertices [V, 3] turned so that the axis `up` becomes z."""
    if up == "y":
        return upright(vertices)
    return np.roll(vertices, -1, axis=1) if up == "x" else vertices


def _paint(placed: Placed, corners: np.ndarray, linear: bool, texel: float) -> Paint | None:
    """What a file says of the colours of a part; None if it says nothing.

    `linear`: the file holds vertex colours and factors in linear light, as glTF does.
    """
    faces, visual = placed.faces(), placed.part.visual
    if visual.kind in ("vertex", "face"):
        own = np.asarray(visual.vertex_colors)
        bare = _bare(len(faces), 1.0)
        return bare._replace(colours=_light(own, linear)[faces]) if len(own) else None
    if visual.kind != "texture":
        return None
    material = visual.material
    own = getattr(visual, "vertex_attributes", {}).get("color")
    factor = getattr(material, "baseColorFactor", None)
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    has_picture = picture is not None and visual.uv is not None and picture.size != _STAND_IN
    diffuse = getattr(material, "diffuse", None)
    if factor is None and not has_picture and diffuse is not None:
        if tuple(np.asarray(diffuse)[:3]) != _NO_COLOUR:
            factor, linear = diffuse, False
    if own is None and factor is None and not has_picture:
        return None
    colours = np.ones((len(faces), 3, 3), np.float32)
    if own is not None:
        colours *= _light(np.asarray(own), linear)[faces]
    if factor is not None:
        colours *= _light(np.asarray(factor)[None], linear)[0]
    if not has_picture:
        return _bare(len(faces), 1.0)._replace(colours=colours)
    uv = np.asarray(visual.uv, np.float32)[:, :2][faces]
    return Paint(colours, uv, _texture(picture, corners, uv, texel))


def _bare(faces: int, light: float) -> Paint:
    """One grey all over."""
    return Paint(
        np.full((faces, 3, 3), light, np.float32), np.zeros((faces, 3, 2), np.float32), None
    )


def _light(colours: np.ndarray, linear: bool) -> np.ndarray:
    """Colours [N, 3 or 4], whole numbers or floats from 0 to 1, as linear light [N, 3] float32."""
    top = np.iinfo(colours.dtype).max if colours.dtype.kind in "ui" else 1
    values = colours[:, :3].astype(np.float32) / top
    return np.asarray(values if linear else from_srgb(values), np.float32)


def _texture(picture: Any, corners: np.ndarray, uv: np.ndarray, texel: float) -> np.ndarray:
    """[H, W, 3] float32 linear light, so coarse that a texel is about `texel` long."""
    pixels = from_srgb(np.asarray(picture.convert("RGB"), np.float32) / 255)
    height, width = pixels.shape[:2]
    size = np.array([width, height])
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = float(np.linalg.norm(across, axis=1).sum())
    a, b = ((uv[:, i] - uv[:, 0]) * size for i in (1, 2))
    texels = float(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
    factor = int(texel * np.sqrt(texels / area)) if area > 0 else 1
    factor = max(1, min(factor, height // 4, width // 4))
    whole = pixels[: height - height % factor, : width - width % factor]
    blocks = whole.reshape(height // factor, factor, width // factor, factor, 3)
    return np.asarray(blocks.mean((1, 3)), np.float32)
