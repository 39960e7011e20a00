"""From a mesh to the samples that its field is fitted to."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fields import ops
from fields.configs.shape import ShapeOptions
from fields.errors import FieldsError
from fields.many.field import key_of
from fields.many.listing import Item
from fields.many.options import SCALES, SOFTNESS, TRUNCATION, ManyOptions
from fields.pictures.naming import shown
from fields.shapes import Shape, read_shape
from fields.signals.shape import ShapeSignal

# (share of the pool, of it on the surface, near it and in the cube, jitter, sigma): most samples
# lie where the surface is decided, in lengths of the unit cube.
_PARTS = (
    (0.6, 0.25, 0.35, 0.0, 0.0025, 0.01),
    (0.4, 0.0, 0.2, 0.2, 0.0, 0.05),
)
_OF_SCENES = (".json", ".png", ".jpg", ".jpeg", ".webp", ".bin", ".txt")


@dataclass(frozen=True, eq=False)
class Pool:
    """A shape that is ready to be fitted.

    Attributes:
        item: what it is of.
        key: from which its weights and batches are drawn.
        scale: [3] of its axes, that it was scaled by.
        digest: SHA-256 of the file.
        signal: the mesh, to be scored against.
        samples: [S, 4] coordinates and targets.
    """

    item: Item
    key: int
    scale: tuple[float, float, float]
    digest: str
    signal: ShapeSignal
    samples: Tensor


def make_pool(folder: Path, item: Item, options: ManyOptions) -> Pool:
    """Read a mesh and sample it; FieldsError, one line that names it, where that cannot be."""
    shape, digest = _read(folder / item.path)
    key = key_of(options.seed, item.path, item.copy)
    scale = _scale(item, key)
    if item.copy:
        shape = dataclasses.replace(shape, vertices=shape.vertices * scale)
    wanted = ShapeOptions(stores=options.stores, sign=options.sign)
    signal = ShapeSignal(shape, wanted, torch.device("cpu"))
    drawn = [
        ops.sample_shape(
            signal.bvh,
            round(share * options.pool),
            key & 0x7FFFFFFF,
            number,
            surface=surface,
            near=near,
            uniform=uniform,
            jitter=jitter,
            sigma=sigma,
            sign=signal.sign,
        )
        for number, (share, surface, near, uniform, jitter, sigma) in enumerate(_PARTS)
    ]
    samples = torch.cat([torch.cat(part, 1) for part in drawn])
    if options.is_distance:
        samples[:, 3].div_(TRUNCATION).clamp_(-1, 1)
    else:
        samples[:, 3] = torch.sigmoid(samples[:, 3] / -SOFTNESS)
    return Pool(item, key, scale, digest, signal, samples)


def digest_of(path: Path) -> str | None:
    """SHA-256 of a file, or of cameras and pictures in a scene's folder; None where it cannot be
    read."""
    try:
        if path.is_dir():
            found = hashlib.sha256()
            for file in sorted(p for p in path.rglob("*") if p.suffix in _OF_SCENES):
                found.update(f"{file.relative_to(path).as_posix()} {digest_of(file)}\n".encode())
            return found.hexdigest()
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


@functools.lru_cache(maxsize=1)  # the copies of a shape follow one another
def _read(path: Path) -> tuple[Shape, str]:
    shape = read_shape(path).without_colours()
    if shape.kind != "mesh":
        raise FieldsError(f"{shown(path)} holds points; sets are made of meshes")
    digest = digest_of(path)
    if digest is None:
        raise FieldsError(f"{shown(path)} is gone")
    return shape, digest


def _scale(item: Item, key: int) -> tuple[float, float, float]:
    if not item.copy:
        return (1.0, 1.0, 1.0)
    x, y, z = np.random.default_rng(key).uniform(*SCALES, 3)
    return (float(x), float(y), float(z))
