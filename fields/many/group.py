"""A few shapes from their files to scored fields: the work of one process, or of one machine."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields import ops
from fields.errors import FieldsError
from fields.many.field import PlaneField, initial, key_of, spec_of
from fields.many.listing import Item
from fields.many.options import ManyOptions
from fields.many.pool import Pool, make_pool
from fields.many.score import score_field
from fields.shapes.space import ShapeSpace

_NAME_LENGTH = 60  # characters of a source's name, as in a run


@dataclass(frozen=True, eq=False)
class Group:
    """What came of some items, numbered as they stand in the list.

    Attributes:
        entries: what is known of each field, the same whenever it is fitted.
        planes, params: [n, 3, R, R, C] and [n, P], rows in the order of the entries.
        seconds: that each took, file to score.
        failures: (number, path, why), one line each.
    """

    entries: list[dict[str, Any]]
    planes: Tensor
    params: Tensor
    seconds: list[float]
    failures: list[tuple[int, str, str]] = field(default_factory=list)


def import_libraries() -> None:
    """Those that a group is read and scored with: once, before there are processes."""
    for name in ("trimesh", "scipy.sparse.csgraph", "skimage.measure"):
        importlib.import_module(name)


def fit_group(folder: Path, items: Sequence[tuple[int, Item]], options: ManyOptions) -> Group:
    """Fit the fields of (number, item) pairs whose paths begin at `folder`, all in one op.

    What cannot be read or has no inside to store becomes a failure. A field depends on the options,
    its mesh, path and copy alone: not on the others of its group, nor on threads.
    """
    pools, numbers, seconds, failures = [], [], [], []
    for number, item in items:
        begin = time.perf_counter()
        try:
            pools.append(make_pool(folder, item, options))
        except Exception as error:  # one of many shapes; a mistake of ours must not end the rest
            if not isinstance(error, FieldsError) and os.environ.get("FIELDS_TRACEBACK"):
                raise
            failures.append((number, item.path, line_of(error)))
            continue
        numbers.append(number)
        seconds.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    planes, params, finite = _fit(pools, options)
    each = (time.perf_counter() - begin) / max(1, len(pools))
    entries = []
    for i, (number, pool) in enumerate(zip(numbers, pools, strict=True)):
        begin = time.perf_counter()
        if not finite[i]:
            failures.append((number, pool.item.path, "its fit has left the finite numbers"))
            continue
        scores = score_field(PlaneField(options, planes[i], params[i]), pool.signal)
        seconds[i] += each + time.perf_counter() - begin
        entries.append(_entry(number, pool, options) | scores)
    kept = finite.tolist()
    seconds = [value for value, is_kept in zip(seconds, kept, strict=True) if is_kept]
    return Group(entries, planes[finite], params[finite], seconds, sorted(failures))


def line_of(error: Exception) -> str:
    """What is said of a shape that failed."""
    if isinstance(error, FieldsError):
        return str(error)
    first = str(error).splitlines()[0] if str(error) else ""
    return f"internal error, {type(error).__name__}: {first}; set FIELDS_TRACEBACK=1 to see where"


def _fit(pools: Sequence[Pool], options: ManyOptions) -> tuple[Tensor, Tensor, Tensor]:
    """Planes, parameters, and which of them [n] are numbers."""
    shared = options.init == "shared"
    keys = [key_of(options.seed) if shared else pool.key for pool in pools]
    drawn = [initial(options, key) for key in keys]
    shape = (3, options.resolution, options.resolution, options.channels)
    planes = torch.empty(len(pools), *shape)
    params = torch.empty(len(pools), options.num_params)
    for i, (of_planes, of_params) in enumerate(drawn):
        planes[i], params[i] = of_planes, of_params
    if not pools:
        return planes, params, torch.empty(0, dtype=torch.bool)
    losses = ops.fit_plane_fields(
        torch.stack([pool.samples for pool in pools]),
        torch.tensor([pool.key for pool in pools]),
        (planes, torch.zeros_like(planes), torch.zeros_like(planes)),
        (params, torch.zeros_like(params), torch.zeros_like(params)),
        spec_of(options),
        steps=options.steps,
        batch=options.batch,
        loss="clipped" if options.is_distance else "binary",
        lr_planes=options.lr_planes,
        lr_params=options.lr_params,
        final_share=options.final_share,
    )
    return planes, params, losses.isfinite().all(1)


def _entry(number: int, pool: Pool, options: ManyOptions) -> dict[str, Any]:
    source = pool.signal.source
    name = source.name[:_NAME_LENGTH]
    of = (pool.digest, name, source.up, pool.signal.space, source.box)
    return entry_of(number, pool.item, options, *of, scale=pool.scale)


def entry_of(
    number: int,
    item: Item,
    options: ManyOptions,
    digest: str,
    name: str,
    up: Any,
    space: ShapeSpace,
    box: Iterable[np.ndarray],
    scale: Sequence[float] = (1.0, 1.0, 1.0),
) -> dict[str, Any]:
    """What a line of the index says of a field before it is scored, whatever it stores."""
    return {
        "item": number,
        "path": item.path,
        "class": item.kind,
        "label": item.label,
        "split": item.split,
        "copy": item.copy,
        "scale": list(scale),
        "source_sha256": digest,
        "name": name,
        "up": up,
        "space": space.as_dict(),
        "box": [corner.tolist() for corner in box],
        "bytes": 4 * options.numbers,
    }
