"""Fits of small pictures within this process, whole ones as `fields.fit` makes them, to be set side
by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fields import fitting
from fields.bench import sweep
from fields.configs import Config
from fields.errors import FieldsError
from fields.pictures import Picture, find_source, probe
from fields.progress import Silent


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
    frequency: float | None  # that FreSh chose


def fit(picture: Picture, config: Config, folder: str, **asked: Any) -> Fitted:
    """Fit a field of `config` to a picture; `asked` as fields.fit takes it.

    FreSh chooses the frequency where the model has one, as it does for who names the model alone.
    """
    run = fitting.fit(
        picture,
        config,
        out=Path(folder, "run"),
        overwrite=True,
        fresh=config.is_tunable or None,
        progress=Silent(),
        **asked,
    )
    found = {name: run.metrics[name] for name in
             ("psnr", "ssim", "parameters", "bytes", "steps", "seconds")}  # fmt: skip
    frequency = run.metrics["fresh"]["chosen"] if "fresh" in run.metrics else None
    return Fitted(**found, pixels=run.render(), frequency=frequency)


def squares(folder: str | None, samples: tuple[str, ...], most: int, side: int) -> list[Picture]:
    """The first `most` pictures of a folder, or of the samples: the square in the middle of each,
    by area average at most `side` pixels wide, eight bits deep."""
    from fields.bench.image import find_pictures

    named = find_pictures(folder) if folder else {name: name for name in samples}
    result = []
    for source in list(named.values())[:most]:
        size = probe(find_source(source))
        result.append(sweep.picture_of(source, min(side, size.width, size.height)))
    return result


def check_numbers(options: Any, *names: str) -> None:
    """FieldsError where one of the options is less than 1, or `seconds` not a length of time."""
    for name in names:
        if getattr(options, name) < 1:
            given = getattr(options, name)
            raise FieldsError(f"--{name.replace('_', '-')} must be at least 1, got {given}")
    if not 0 < options.seconds < float("inf"):
        raise FieldsError(f"--seconds must be more than 0 and finite, got {options.seconds:g}")
