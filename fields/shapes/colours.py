"""The colours of a surface, asked at points that are drawn on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from fields.shapes.srgb import from_linear, to_linear

_CHUNK = 1 << 20  # faces at once
_LIGHT = to_linear(np.arange(256) / 255).astype(np.float32)


class Samples(NamedTuple):
    """Points of a surface [N, 3] float64 in units of the source, in random order, the unit normals
    there [N, 3] (0 where none is known), and their colours [N, 3] float32 in sRGB from 0 to 1."""

    points: np.ndarray
    normals: np.ndarray
    colours: np.ndarray


class Colours(Protocol):
    """What knows the colours of a shape."""

    def sample(self, count: int, seed: int = 0) -> Samples:
        """About `count` points; the same for the same seed."""
        ...

    def update(self, digest: Any) -> None:
        """Hash what was read, before any arithmetic: that may round otherwise on another CPU."""
        ...


def _hash(digest: Any, *arrays: np.ndarray | None) -> None:
    """Shapes and types as well, so that no array runs into the next."""
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture that is laid on a surface.

    Args:
        pixels: [H, W, 3] uint8 sRGB.
        wraps: what is beyond its borders along u and v: repeat, mirror or clamp.
        transform: [2, 3], applied to (u, v, 1) first.
    """

    pixels: np.ndarray
    wraps: tuple[str, str] = ("repeat", "repeat")
    transform: np.ndarray | None = None

    def light(self, uv: np.ndarray) -> np.ndarray:
        """Linear light [N, 3] float32 at uv [N, 2]: (0, 0) is the upper left corner of the picture,
        v goes down. Interpolated between the centres of its pixels, in linear light."""
        if self.transform is not None:
            uv = uv @ self.transform[:, :2].T + self.transform[:, 2]
        height, width = self.pixels.shape[:2]
        columns, across = _between(uv[:, 0], width, self.wraps[0])
        rows, down = _between(uv[:, 1], height, self.wraps[1])
        result = np.zeros((len(uv), 3), np.float32)
        for row, share in zip(rows, (1 - down, down), strict=True):
            for column, other in zip(columns, (1 - across, across), strict=True):
                result += (share * other)[:, None] * _LIGHT[self.pixels[row, column]]
        return result

    def update(self, digest: Any) -> None:
        digest.update(" ".join(self.wraps).encode())
        laid = None if self.transform is None else self.transform.round(9)  # of sines
        _hash(digest, self.pixels, laid)


def _between(at: np.ndarray, size: int, wrap: str) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The two pixels that a coordinate along an axis lies between, and the share of the second."""
    position = np.nan_to_num(np.clip(at, -1e6, 1e6)) * size - 0.5
    first = np.floor(position).astype(np.int64)
    return tuple(_wrapped(first + i, size, wrap) for i in (0, 1)), (position - first).astype("f4")


def _wrapped(index: np.ndarray, size: int, wrap: str) -> np.ndarray:
    if wrap == "clamp":
        return index.clip(0, size - 1)
    if wrap == "mirror":
        index = index % (2 * size)
        return np.minimum(index, 2 * size - 1 - index)
    return index % size


@dataclass(frozen=True, eq=False)
class Painted:
    """Triangles with their colours; the product of `light` and the texture, as in glTF.

    Args:
        vertices, faces: [V, 3] float64 in units of the source, [F, 3]; as stored, not mended.
        light: [L, 3] linear light.
        lit_by: [F, 3], which of them the corners of the faces have.
        uv: [V, 2] of `texture`, see there.
    """

    vertices: np.ndarray
    faces: np.ndarray
    light: np.ndarray
    lit_by: np.ndarray
    uv: np.ndarray | None = None
    texture: Texture | None = None

    def crosses(self, faces: np.ndarray | slice, unit: float) -> np.ndarray:
        """[N, 3] of some faces, along their normals and twice as long as their areas in square
        `unit`s; 0 where they are not finite."""
        with np.errstate(invalid="ignore", over="ignore"):
            a, b, c = (self.vertices[self.faces[faces, corner]] / unit for corner in range(3))
            crosses = np.cross(b - a, c - a)
            return np.where(np.isfinite(crosses).all(1, keepdims=True), crosses, 0)

    def areas(self, unit: float) -> np.ndarray:
        """[F], twice those of the faces, in square `unit`s."""
        parts = [slice(i, i + _CHUNK) for i in range(0, len(self.faces), _CHUNK)]
        return np.concatenate([np.linalg.norm(self.crosses(p, unit), axis=1) for p in parts])

    @property
    def longest(self) -> float:
        """The longest side of its box."""
        used = self.vertices[np.isfinite(self.vertices).all(1)]
        with np.errstate(over="ignore"):
            return float(np.ptp(used, axis=0).max()) if len(used) else 0.0

    def at(self, face: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points [N, 3] and linear light [N, 3] on faces [N], at barycentric `weights` [N, 3]."""
        corners = self.faces[face]
        light = _mixed(self.light[self.lit_by[face]], weights)
        if self.texture is not None and self.uv is not None:
            light = light * self.texture.light(_mixed(self.uv[corners], weights))
        return _mixed(self.vertices[corners], weights), light

    def update(self, digest: Any) -> None:
        # Light may come of a power, whose last digits differ between CPUs.
        _hash(digest, self.light.round(9), self.lit_by, self.uv)
        if self.texture is not None:
            self.texture.update(digest)


def _mixed(corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[N, 3, K] at the corners of faces -> [N, K]."""
    return np.einsum("nck,nc->nk", corners, weights)


@dataclass(frozen=True, eq=False)
class MeshColours:
    """The colours of a mesh, of all its parts."""

    parts: tuple[Painted, ...]

    @cached_property
    def _unit(self) -> float:
        """The longest side: areas in squares of it neither vanish nor overflow."""
        return max(part.longest for part in self.parts) or 1.0

    @cached_property
    def _steps(self) -> np.ndarray:
        """Sums of the areas of all faces so far."""
        return np.cumsum(np.concatenate([part.areas(self._unit) for part in self.parts]))

    @property
    def has_area(self) -> bool:
        return bool(self._steps[-1] > 0)

    def sample(self, count: int, seed: int = 0) -> Samples:
        """Points drawn by area, one from each of `count` equal shares of it."""
        random = np.random.default_rng(seed)
        steps = self._steps
        places = (np.arange(count) + random.random(count)) / count * steps[-1]
        chosen = np.searchsorted(steps, places, side="right").clip(max=len(steps) - 1)
        root, v = np.sqrt(random.random(count)), random.random(count)
        weights = np.stack([1 - root, root * (1 - v), root * v], axis=1)
        points, normals, light = (np.zeros((count, 3)) for _ in range(3))
        start = 0
        for part in self.parts:
            own = slice(*np.searchsorted(chosen, [start, start + len(part.faces)]))
            face = chosen[own] - start
            points[own], light[own] = part.at(face, weights[own])
            cross = part.crosses(face, self._unit)
            normals[own] = cross / np.maximum(np.linalg.norm(cross, axis=1), 1e-300)[:, None]
            start += len(part.faces)
        order = random.permutation(count)
        colours = from_linear(light[order]).astype(np.float32)
        return Samples(points[order], normals[order], colours)

    def update(self, digest: Any) -> None:
        for part in self.parts:
            part.update(digest)


@dataclass(frozen=True, eq=False)
class PointColours:
    """The colours [N, 3] uint8 sRGB of points [N, 3], whose normals [N, 3] may be known."""

    points: np.ndarray
    normals: np.ndarray | None
    colours: np.ndarray

    def sample(self, count: int, seed: int = 0) -> Samples:
        """All points if they are fewer than `count`, else so many of them."""
        order = np.random.default_rng(seed).permutation(len(self.points))[:count]
        normals = np.zeros((len(order), 3)) if self.normals is None else self.normals[order]
        return Samples(self.points[order], normals, self.colours[order] / np.float32(255))

    def update(self, digest: Any) -> None:
        _hash(digest, self.colours)


def of_parts(parts: list[Painted | None], bare: Callable[[int], Painted]) -> MeshColours | None:
    """The colours of a mesh whose parts have some or none.

    Args:
        parts: None for a part without colours.
        bare: gives the part of an index in the colour of those that have none.

    None where no part has any, the whole has no area, or all have one grey: programs
    write that where nobody painted.
    """
    known = [part for part in parts if part is not None]
    if not known or (len(known) == len(parts) and _is_one_grey(known)):
        return None
    colours = MeshColours(tuple(part or bare(i) for i, part in enumerate(parts)))
    return colours if colours.has_area else None


def _is_one_grey(parts: list[Painted]) -> bool:
    if any(part.texture is not None for part in parts):
        return False
    first = parts[0].light[:1]
    return bool(np.ptp(first) == 0) and all((part.light == first).all() for part in parts)
