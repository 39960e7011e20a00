"""Fits of small pictures within this process, whole ones as `fields.fit` makes them, to be set side
by side."""

import dataclasses
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fields import fitting
from fields.bench import sweep
from fields.configs import Config
from fields.pictures import Picture, find_source, probe
from fields.progress import Silent

MEAN = "mean of all"  # in place of a picture's name


@dataclass(frozen=True)
class Fitted:
    """What is kept of a fit: figures of its metrics.json, and the picture drawn from it."""

    psnr: float
    ssim: float | None
    parameters: int
    bytes: int
    steps: int
    seconds: float
    pixels: np.ndarray


def fit(picture: Picture, config: Config, folder: str, **asked: Any) -> Fitted:
    """Fit a field of `config`, as it is, to a picture; `asked` as fields.fit takes it."""
    run = fitting.fit(
        picture,
        config,
        out=Path(folder, "run"),
        overwrite=True,
        progress=Silent(),
        **asked,
    )
    found = {name: run.metrics[name] for name in
             ("psnr", "ssim", "parameters", "bytes", "steps", "seconds")}  # fmt: skip
    return Fitted(**found, pixels=run.render())


def figures(found: list[Fitted]) -> dict[str, Any]:
    """Those of a row: of fits that differ by their seed the mean score, the median of the rest."""
    result: dict[str, Any] = {
        "psnr": statistics.mean(one.psnr for one in found),
        "psnr_of_seeds": [one.psnr for one in found],
        "steps": statistics.median(one.steps for one in found),
        "seconds": statistics.median(one.seconds for one in found),
    }
    similar = [one.ssim for one in found if one.ssim is not None]
    return {**result, "ssim": statistics.mean(similar)} if similar else result


def mean_figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of rows of several pictures in one: means, seed by seed as well."""
    result = {
        name: statistics.mean(row[name] for row in rows)
        for name in ("psnr", "ssim", "steps", "seconds")
        if all(name in row for row in rows)
    }
    by_seed = zip(*(row["psnr_of_seeds"] for row in rows), strict=True)
    return {**result, "psnr_of_seeds": [statistics.mean(scores) for scores in by_seed]}


def squares(folder: str | None, samples: tuple[str, ...], most: int, side: int) -> list[Picture]:
    """The first `most` pictures of a folder, or of the samples: the square in the middle of each,
    by area average at most `side` pixels wide, of eight bits; no two of one name."""
    from fields.bench.image import find_pictures

    named = find_pictures(folder) if folder else {name: name for name in samples}
    result: dict[str, Picture] = {}
    for source in list(named.values())[:most]:
        size = probe(find_source(source))
        picture = sweep.picture_of(source, min(side, size.width, size.height))
        name = picture.name if picture.name not in result else f"{picture.name} {len(result) + 1}"
        result[name] = dataclasses.replace(picture, name=name)
    return list(result.values())
