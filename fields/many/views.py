"""A few scenes from their views to scored radiance fields, one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fields import ops
from fields.errors import FieldsError
from fields.many.field import PlaneField, initial, key_of
from fields.many.group import Group, entry_of, line_of
from fields.many.listing import Item
from fields.many.options import ManyOptions
from fields.many.pool import digest_of
from fields.occupancy import Occupancy
from fields.ops import MarchSpec
from fields.pictures.naming import shown
from fields.scenes import Scene, load_images, read_scene
from fields.signals.scene import BLACK, WHITE, over
from fields.signals.view_score import shown_over, view_psnr
from fields.signals.views import Views, rays_of

_CELLS = 64  # of the occupancy, along an axis
_MARCH = MarchSpec(_CELLS, step=3**0.5 / 256)
_PER_RAY = 16  # samples, in the mean, at most: before empty space is known there are more
_EVERY, _LOOKS = 16, 1 << 15  # steps between two looks at so many cells
_KNOWN = 64  # steps until the first, at all: before, what is dense says nothing of the thing
_EMPTY = 1.0  # up to that density: a step of the march takes 0.7 % of the light
_PLACES = 4  # of each cell, that are looked at before views are drawn
# Where silhouettes say that there is nothing: what a ray of that length may not lose of its light,
# and how much that weighs beside colours.
_LENGTH, _NOTHING = 0.05, 0.01
_BETAS, _EPS = (0.9, 0.99), 1e-15


def fit_scenes(folder: Path, items: Sequence[tuple[int, Item]], options: ManyOptions) -> Group:
    """Fit the radiance fields of (number, item) pairs, whose paths are folders of scenes below
    `folder`, one after the other.

    What cannot be read becomes a failure. A field depends on the options, its scene and its path
    alone, and is the same bits for any number of threads.
    """
    entries, planes, params, seconds, failures = [], [], [], [], []
    for number, item in items:
        begin = time.perf_counter()
        try:
            views = _read(folder / item.path)
        except FieldsError as error:
            failures.append((number, item.path, line_of(error)))
            continue
        key = key_of(options.seed, item.path, item.copy)
        shared = options.init == "shared"
        field = PlaneField(options, *initial(options, key_of(options.seed) if shared else key))
        if not _fit(field, views, options, key % 2**31):
            failures.append((number, item.path, "its fit has left the finite numbers"))
            continue
        entries.append(_entry(number, item, views, options) | {"psnr": score_views(field, views)})
        planes.append(field.planes.detach())
        params.append(field.params.detach())
        seconds.append(time.perf_counter() - begin)
    shape = (3, options.resolution, options.resolution, options.channels)
    return Group(
        entries,
        torch.stack(planes) if planes else torch.empty(0, *shape),
        torch.stack(params) if params else torch.empty(0, options.num_params),
        seconds,
        failures,
    )


@dataclass(frozen=True, eq=False)
class ReadScene:
    """A scene whose training views are in memory, and the hash of its files."""

    scene: Scene
    train: Views
    digest: str


def _read(path: Path) -> ReadScene:
    scene = read_scene(path)
    if scene.moves or scene.unbounded:
        what = "moves" if scene.moves else "has no end"
        raise FieldsError(f"{shown(path)} {what}; sets are made of scenes of one thing at rest")
    images = load_images(scene, "train")
    views = Views.of(scene.splits["train"], images, scene.space, torch.device("cpu"))
    digest = digest_of(path)
    if digest is None:
        raise FieldsError(f"{shown(path)} is gone")
    return ReadScene(scene, views, digest)


def _fit(field: PlaneField, read: ReadScene, options: ManyOptions, seed: int) -> bool:
    """All steps, in place; whether the loss stayed a number."""
    occupancy = Occupancy(_CELLS, threshold=_EMPTY)
    empty = torch.empty(0, 3)
    if read.scene.alpha and read.train.directions is None:
        outside = _outside(read.train, occupancy.centres())
        occupancy.hide(outside)
        empty = occupancy.centres()[outside]
    generator = torch.Generator().manual_seed(seed)
    rates = {field.planes: options.lr_planes, field.params: options.lr_params}
    adam = torch.optim.Adam(
        [{"params": [tensor], "lr": rate} for tensor, rate in rates.items()],
        betas=_BETAS, eps=_EPS, foreach=True,
    )  # fmt: skip
    background = None if read.scene.alpha else BLACK
    loss = torch.zeros(())
    for step in range(1, options.steps + 1):
        if step % _EVERY == 0 and step >= _KNOWN:
            looks = None if step == _KNOWN else _LOOKS
            occupancy.update(lambda x: density(field, x), seed=seed, step=step, samples=looks)
        for group, rate in zip(adam.param_groups, rates.values(), strict=True):
            group["lr"] = rate * options.final_share ** (step / options.steps)
        rays = read.train.rays(options.batch, seed, step, background)
        coords, t, dt, _, offsets = ops.march_rays(
            rays.origins, rays.directions, occupancy.bits, _MARCH, seed=seed, step=step
        )
        # As many of the rays, from the first on, as there is room for their samples.
        count = int((offsets <= _PER_RAY * options.batch).sum()) - 1
        kept = int(offsets[count])
        if kept == 0:
            continue
        values = field(coords[:kept])
        colour, opacity, _, _ = ops.composite(
            values[:, 0], values[:, 1:], t[:kept], dt[:kept], offsets[: count + 1]
        )
        seen = colour + (1 - opacity)[:, None] * rays.backgrounds[:count]
        loss = (seen - rays.colours[:count]).square().mean()
        if len(empty):  # no ray comes there any more
            some = empty[torch.randint(len(empty), (options.batch,), generator=generator)]
            place = (torch.rand(options.batch, 3, generator=generator) - 0.5) / _CELLS
            left = torch.exp(-_LENGTH * field(some + place)[:, 0])
            loss = loss + _NOTHING * (1 - left).mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
    return bool(loss.isfinite())


def _outside(views: Views, centres: Tensor) -> Tensor:
    """Which cells [1, n, n, n] lie where some view shows nothing: outside of the hull that
    silhouettes leave (Laurentini 1994)."""
    places = centres.reshape(-1, 3)
    left = torch.arange(len(places))
    height, width = views.pixels.shape[1:3]
    for pixels, pose, camera in zip(views.pixels, views.poses, views.intrinsics, strict=True):
        local = (places[left] - pose[:, 3]) @ pose[:, :3]
        ahead = -local[:, 2]
        x = (camera[0] * local[:, 0] / ahead + camera[2]).long()
        y = (camera[3] - camera[1] * local[:, 1] / ahead).long()
        seen = (ahead > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        # Half a cell about, and a pixel for what lies between their middles.
        about = camera[:2].max() / _CELLS / ahead[seen].min().clamp(min=0.1) if seen.any() else 0
        reach = 2 * int(about) + 3
        cover = pixels[None, ..., 3].float()
        cover = torch.nn.functional.max_pool2d(cover, reach, 1, reach // 2)[0]
        empty = torch.zeros_like(seen)
        empty[seen] = cover[y[seen], x[seen]] == 0
        left = left[~empty]
    outside = torch.ones(len(places), dtype=torch.bool)
    outside[left] = False
    return outside.view(centres.shape[:-1])


@torch.no_grad()
def density(field: PlaneField, coords: Tensor) -> Tensor:
    """[N] of a radiance field at coords [N, 3], over a length of the unit cube."""
    return field(coords)[:, 0]


@torch.no_grad()
def score_views(field: PlaneField, read: ReadScene) -> float:
    """PSNR in dB, the mean over the test views, over white where opacity is known.

    Where the field is empty is asked of it anew: the score hangs on its weights alone.
    """
    scene = read.scene
    occupancy = Occupancy(_CELLS, threshold=_EMPTY)
    for step in range(_PLACES):
        occupancy.update(lambda x: density(field, x), seed=0, step=step, decay=1.0)
    frames, images = scene.splits["test"], load_images(scene, "test")
    background = WHITE if scene.alpha else BLACK
    scores = []
    for i, frame in enumerate(frames):
        origins, directions = rays_of(frame.camera, scene.space, torch.device("cpu"))
        coords, t, dt, _, offsets = ops.march_rays(origins, directions, occupancy.bits, _MARCH)
        values = field(coords)
        colour, opacity, _, _ = ops.composite(values[:, 0], values[:, 1:], t, dt, offsets)
        drawn = shown_over(colour, opacity, background).numpy()
        photo = over(images.image(i), background)
        scores.append(view_psnr(drawn.reshape(photo.shape), photo))
    return round(sum(scores) / len(scores), 4)


def _entry(number: int, item: Item, read: ReadScene, options: ManyOptions) -> dict[str, Any]:
    scene = read.scene
    of = (read.digest, scene.name, list(scene.up), scene.space, scene.box)
    return entry_of(number, item, options, *of)
