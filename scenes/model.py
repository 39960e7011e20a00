"""A mesh file as triangles that can be drawn: placed in the middle, Z up, with its materials."""

from pathlib import Path
from typing import Any

import numpy as np
from fields_scenes.drawing import from_srgb
from fields_scenes.patterns import marble
from fields_scenes.triangles import Triangles, smooth_normals

from fields.errors import FieldsError
from fields.pictures.naming import shown
from fields.pictures.silence import quiet_libraries
from fields.shapes.formats import find_format
from fields.shapes.read import Placed, read_parts, upright

RADIUS = 1.15  # of the ball around the middle of a model's box that holds it: inside of +-1.5
_Z_UP = ("stl",)
_STAND_IN = (2, 2)  # of the grey picture that trimesh puts where a texture is missing
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
        painted = [_paint(part, c, linear, texel) for part, c in zip(parts, corners, strict=True)]
    textures: list[np.ndarray] = []
    index = []
    for (_, _, texture), mine in zip(painted, corners, strict=True):
        index.append(np.full(len(mine), -1 if texture is None else len(textures)))
        textures += [] if texture is None else [texture]
    together = np.concatenate(corners)
    colours = np.concatenate([colour for colour, _, _ in painted])
    plain = not textures and (colours == colours[:1, :1]).all()
    return Triangles(
        corners=together,
        normals=smooth_normals(together),
        colours=np.ones_like(colours) if plain else colours,
        texture=np.concatenate(index),
        uv=np.concatenate([uv for _, uv, _ in painted]),
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


def _paint(
    placed: Placed, corners: np.ndarray, linear: bool, texel: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Colours [F, 3, 3] and texture coordinates [F, 3, 2] of corners, and the texture.

    `linear`: the file holds vertex colours and factors in linear light, as glTF does.
    """
    faces, visual = placed.faces(), placed.part.visual
    colours = np.full((len(faces), 3, 3), 0.5, np.float32)
    uv = np.zeros((len(faces), 3, 2), np.float32)
    if visual.kind in ("vertex", "face"):
        own = np.asarray(visual.vertex_colors)
        return (_light(own, linear)[faces] if len(own) else colours), uv, None
    if visual.kind != "texture":
        return colours, uv, None
    material = visual.material
    own = getattr(visual, "vertex_attributes", {}).get("color")
    factor = getattr(material, "baseColorFactor", None)
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if own is not None:
        colours = _light(np.asarray(own), linear)[faces]
    if factor is not None:
        tint = _light(np.asarray(factor)[None], linear)[0]
        colours = (colours if own is not None else np.ones_like(colours)) * tint
    if picture is None or visual.uv is None or picture.size == _STAND_IN:
        diffuse = getattr(material, "diffuse", None)
        if own is None and factor is None and picture is None and diffuse is not None:
            colours = np.tile(_light(np.asarray(diffuse)[None], False), (len(faces), 3, 1))
        return colours.astype(np.float32), uv, None
    if own is None and factor is None:
        colours = np.ones_like(colours)
    uv = np.asarray(visual.uv, np.float32)[:, :2][faces]
    return colours.astype(np.float32), uv, _texture(picture, corners, uv, texel)


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
