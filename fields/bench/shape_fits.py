"""Fits of meshes by models and lengths, and the rows of their figures."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fields import fitting, tracing
from fields.progress import Silent
from fields.runs import ShapeRun
from fields.shapes import Shape
from fields.signals.shape import ShapeSignal

VIEW = (256, 256)
WORST = 0.005  # of the longest side: an error that is drawn in full red
_SCORES = (
    *("iou", "iou_near", "chamfer_l1", "chamfer_l2", "f_score", "f_score_01"),
    *("normal_consistency", "distance_error", "volume_error"),
)


@dataclass(frozen=True)
class FittedShape:
    """What is kept of the fits of a mesh that differ by their seed: figures of each, and how the
    first looks."""

    mesh: str
    model: str
    limit: float
    figures: list[dict[str, Any]]
    view: np.ndarray  # [height, width, 3] uint8
    errors: np.ndarray  # likewise, coloured by the distance from the mesh


def measure(meshes: list[tuple[Path, Shape]], options: argparse.Namespace) -> Iterator[FittedShape]:
    """Fits of meshes, with the files that they are from."""
    for path, shape in meshes:
        for model in dict.fromkeys(options.models):
            for limit in sorted(set(options.seconds)):
                print(f"fitting: {path.name}, {model}, {limit:g} s", file=sys.stderr, flush=True)
                yield _fitted(shape, path, model, limit, options)


def _fitted(
    shape: Shape, path: Path, model: str, limit: float, options: argparse.Namespace
) -> FittedShape:
    figures, view, errors = [], None, None
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            run = fitting.fit(
                shape,
                model,
                out=Path(folder, "run"),
                seconds=limit,
                seed=seed,
                threads=options.threads,
                progress=Silent(),
            )
        assert isinstance(run, ShapeRun)
        figures.append(run.metrics)
        if view is None:
            view, errors = run.render(VIEW), coloured_errors(run, shape)
    assert view is not None and errors is not None
    return FittedShape(path.stem, model, limit, figures, view, errors)


def coloured_errors(run: ShapeRun, shape: Shape) -> np.ndarray:
    """The shape as the field has it, white where it lies on the mesh and red where it is WORST away
    or more."""
    from fields.configs import ShapeOptions

    signal = ShapeSignal(shape, ShapeOptions(stores="udf"), torch.device("cpu"))
    worst = WORST * 0.9  # in unit cubes

    def colours(points: torch.Tensor) -> torch.Tensor:
        share = (signal.distance(points.clamp(0, 1)).abs() / worst).clamp(0, 1)[:, None]
        return torch.cat([torch.full_like(share, 0.95), 0.95 * (1 - share), 0.95 * (1 - share)], 1)

    return tracing.draw(
        run.tracer(), run.camera(VIEW), run.space, two_sided=not run.is_signed, colours=colours
    )


def rows(fitted: list[FittedShape]) -> list[dict[str, Any]]:
    """A row for each mesh, model and length: medians over the seeds, and every IoU."""
    found = []
    for one in fitted:
        first = one.figures[0]
        row = {
            "work": f"{one.mesh} {one.model} after {one.limit:g} s",
            "engine": "fields",
            "mesh": one.mesh,
            "model": one.model,
            "limit": one.limit,
            "parameters": first["parameters"],
            "bytes": first["bytes"],
        }
        for name in (*_SCORES, "seconds", "wall_seconds", "steps", "samples_per_second"):
            values = [figures[name] for figures in one.figures if figures.get(name) is not None]
            if values:
                row[name] = statistics.median(values)
        if "iou" in row:
            row["iou_of_seeds"] = [figures["iou"] for figures in one.figures]
        found.append(row)
    return found
