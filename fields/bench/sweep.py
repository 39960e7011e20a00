"""Fits with every frequency that FreSh chooses from, beside what it chose."""

import dataclasses
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields import catalogue, steps
from fields.configs import Config
from fields.fresh import untrained
from fields.fresh.options import Fresh
from fields.fresh.search import Search, search
from fields.pictures import Picture, read_picture
from fields.request import Request
from fields.signals.picture import PictureSignal

SIDE = 128
DRAWN = (30.0, 60.0, 100.0, 150.0)  # frequencies of sirens whose pictures are searched


@dataclass(frozen=True)
class Sweep:
    """One picture and one model: PSNR of a short fit with each candidate."""

    picture: str
    model: str
    search: Search
    psnr: dict[float, float]  # by frequency; the usual one may be no candidate

    def row(self) -> dict[str, Any]:
        found, best = self.search, max(self.psnr, key=lambda value: self.psnr[value])
        return {
            "work": f"{self.picture} {SIDE}x{SIDE} {self.model}",
            "engine": "fields",
            "picture": self.picture,
            "model": self.model,
            "setting": found.setting,
            "chosen": found.chosen,
            "best": best,
            "usual": found.usual,
            "psnr_chosen": self.psnr[found.chosen],
            "psnr_best": self.psnr[best],
            "psnr_usual": self.psnr[found.usual],
            "rank_correlation": self.rank_correlation(),
            "candidates": list(found.candidates),
            "psnr": [self.psnr[candidate] for candidate in found.candidates],
            "distances": found.as_dict()["distances"],
            "search_seconds": found.seconds,
        }

    def rank_correlation(self) -> float | None:
        """Spearman's, of distance and PSNR over the candidates: -1 where the nearer always fits
        better. None for a picture without a spectrum, or where all are equal."""
        if self.search.reason is not None or len(self.search.candidates) < 2:
            return None
        psnr = [self.psnr[candidate] for candidate in self.search.candidates]
        ranks = _ranks(self.search.distances), _ranks(psnr)
        if any(len(set(values)) == 1 for values in ranks):
            return None
        return statistics.correlation(*ranks)


def _ranks(values: Any) -> list[float]:
    """The place of each value in order; of equals, the mean of theirs."""
    ordered = sorted(values)
    return [ordered.index(v) + (ordered.count(v) - 1) / 2 for v in values]


def picture_of(source: str, size: int = SIDE) -> Picture:
    """The square in the middle of a picture, by area average `size` pixels wide, of eight bits."""
    whole = read_picture(source)
    side = min(whole.width, whole.height)
    top, left = (whole.height - side) // 2, (whole.width - side) // 2
    square = np.ascontiguousarray(whole.pixels[top : top + side, left : left + side])
    values = torch.from_numpy(square).double().movedim(-1, 0)
    small = torch.nn.functional.adaptive_avg_pool2d(values, size).movedim(0, -1)
    scale = 1.0 if square.dtype == np.uint8 else 255 / max(small.max().item(), 1e-9)
    pixels = (small * scale).round().clamp(0, 255).to(torch.uint8).numpy()
    return Picture(np.ascontiguousarray(pixels), whole.name, "png")


def sweep(
    picture: Picture, model: str, *, width: int, batch: int, seed: int, count: int, every: int
) -> Sweep:
    """Search among every `every`-th candidate; fit `count` steps with each and the usual one."""
    signal = PictureSignal(picture, torch.device("cpu"))
    kind = catalogue.find(model).config
    config = kind.for_signal(signal.channels, signal.shape, width=width, seed=seed)
    found = search(signal.pixels, config, Fresh(candidates=kind.candidates[::every]))
    request = Request(model=model, steps=count, batch=batch, seed=seed)
    psnr = {
        value: _fitted(signal, dataclasses.replace(config, **{found.setting: value}), request)
        for value in dict.fromkeys((*found.candidates, found.usual))
    }
    return Sweep(picture.name, model, found, psnr)


def _fitted(signal: PictureSignal, config: Config, request: Request) -> float:
    """The PSNR of a field after the fit that was asked for, which ends by steps; its rate does not
    fall, as in the experiments of Kania et al. 2024."""
    plan = request.plan(signal)
    field = catalogue.build(config)
    take = steps.choose(field, signal, plan, signal.loss)
    count = plan.stop.steps
    assert count is not None
    for step in range(count):
        take(step + 1, 1.0)
    return signal.score(field)


def known_frequencies() -> list[dict[str, Any]]:
    """Pictures drawn by untrained sirens, and the frequency that a search finds in each."""
    kind = catalogue.find("siren").config
    rows = []
    for omega in DRAWN:
        drawn = catalogue.build(kind(3, seed=1000, width=64, omega=omega))  # pyright: ignore
        with torch.no_grad():
            values: Tensor = drawn(untrained.grid(2, SIDE, torch.device("cpu")))
        found = search(values.reshape(SIDE, SIDE, 3), kind(3, width=64))  # pyright: ignore
        rows.append(
            {
                "work": f"drawn by a siren of omega {omega:g}",
                "engine": "fields",
                "drawn_with": omega,
                "chosen": found.chosen,
            }
        )
    return rows
