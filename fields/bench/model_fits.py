"""Fits of pictures with models of one size, by steps and by seconds, and the rows of figures."""

import argparse
import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from fields.bench import fits
from fields.bench.fits import MEAN, Fitted
from fields.configs import Config
from fields.fresh.search import Search, search
from fields.pictures import Picture
from fields.signals.picture import PictureSignal

LEAST_BUDGET = 0.3  # seconds of the shortest fit of a curve


class Fits:
    """All fits of one picture with one model, whose frequency FreSh chooses once, if it has one.

    Attributes:
        search: what FreSh found, or None.
        by_steps: of each seed, those of equal steps.
        by_seconds: by seconds, those told to take so long; of each seed for the longest, of the
            first for the others.
    """

    def __init__(self, picture: Picture, model: str, config: Config):
        self.picture, self.model, self.config = picture, model, config
        self.search: Search | None = None
        if config.is_tunable:
            pixels = PictureSignal(picture, torch.device("cpu")).pixels
            self.search = found = search(pixels, config)
            self.config = dataclasses.replace(config, **{found.setting: found.chosen})
        self.by_steps: list[Fitted] = []
        self.by_seconds: dict[float, list[Fitted]] = {}

    @property
    def longest(self) -> Fitted:
        """The first seed's fit of the most seconds."""
        return self.by_seconds[max(self.by_seconds)][0]

    def rows(self) -> list[dict[str, Any]]:
        limits = [("steps", float(self.by_steps[0].steps), self.by_steps)]
        limits += [("seconds", limit, found) for limit, found in sorted(self.by_seconds.items())]
        return [self._row(by, limit, found) for by, limit, found in limits]

    def _row(self, by: str, limit: float, found: list[Fitted]) -> dict[str, Any]:
        first = found[0]
        row = {
            "work": f"{self.picture.name} {self.model} after {limit:g} {by}",
            "engine": "fields",
            "picture": self.picture.name,
            "model": self.model,
            "by": by,
            "limit": limit,
            "parameters": first.parameters,
            "bytes": first.bytes,
            "multiply_adds": self.config.multiply_adds,
            **fits.figures(found),
        }
        if self.search:
            row |= {"frequency": self.search.chosen, "search_seconds": self.search.seconds}
        return row


def budgets(longest: float) -> list[float]:
    """Seconds of the fits of a curve: the longest, half of it and so on."""
    found = [longest]
    while found[-1] / 2 >= LEAST_BUDGET:
        found.append(found[-1] / 2)
    return found


def measure(
    configs: Mapping[Picture, Mapping[str, Config]], options: argparse.Namespace
) -> Iterator[Fits]:
    """The fits of each picture with its configurations by model. Models take turns, so that all
    meet the same drift of speed."""
    with tempfile.TemporaryDirectory() as folder:
        first = next(iter(configs))
        for config in configs[first].values():  # what a process pays once
            fits.fit(first, config, folder, steps=2, threads=options.threads)
        for picture, sized in configs.items():
            print(f"fitting: {picture.name}", file=sys.stderr, flush=True)
            found = [Fits(picture, model, config) for model, config in sized.items()]
            for seed in range(options.seeds):
                for one in found:
                    config = dataclasses.replace(one.config, seed=seed)
                    common = {"seed": seed, "threads": options.threads}
                    one.by_steps.append(
                        fits.fit(picture, config, folder, steps=options.steps, **common)
                    )
                    for budget in budgets(options.seconds)[: None if seed == 0 else 1]:
                        timed = fits.fit(picture, config, folder, seconds=budget, **common)
                        one.by_seconds.setdefault(budget, []).append(timed)
            yield from found


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each model and length of a fit the means over pictures; of counts, the largest."""
    result = []
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        for by, limit in dict.fromkeys((row["by"], row["limit"]) for row in mine):
            found = [row for row in mine if (row["by"], row["limit"]) == (by, limit)]
            row = {
                "work": f"{MEAN} {model} after {limit:g} {by}",
                "engine": "fields",
                "picture": MEAN,
                "model": model,
                "by": by,
                "limit": limit,
            }
            for name in ("parameters", "bytes", "multiply_adds"):
                row[name] = max(one[name] for one in found)
            if all("search_seconds" in one for one in found):
                searches = (one["search_seconds"] for one in found)
                row["search_seconds"] = statistics.mean(searches)
            result.append(row | fits.mean_figures(found))
    return result
