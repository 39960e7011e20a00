"""FreSh: of some frequencies, the one whose untrained fields look most like the signal.

    for each candidate:  W = mean over ten initialisations of
                             wasserstein(spectrum(signal), spectrum(field(all points of a grid)))
    chosen = the first candidate of the least W

Every candidate gets the same seeds. Nothing is differentiated, and no random number is drawn but
by the fields' own seeds.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fields.configs import Config
from fields.errors import FieldsError
from fields.fresh import untrained
from fields.fresh.distance import wasserstein
from fields.fresh.options import LEAST_BINS, Fresh, no_frequency
from fields.fresh.spectrum import default_bins, side_of, spectrum, squared

INITIALISATIONS = 10
# By default (see Fresh.published) only the KEPT nearest after FIRST initialisations get them all:
# half the work, and on photographs always the same choice.
FIRST, KEPT = 3, 5


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        setting: the name of the frequency in the configuration.
        chosen: its value: that of the least distance, or the usual default.
        usual: its value without a search.
        reason: why the usual default was taken without a search, or None.
        bins, quadrants: of the spectra.
        candidates: what there was to choose from.
        distances, errors: of each candidate, in bins: mean over the initialisations and the
            standard error of that mean. Infinite where an output has no waves.
        target: [bins], the signal's spectrum; None where it has none.
        spectra: [candidates, bins], mean over the initialisations.
        seconds: that it took.
    """

    setting: str
    chosen: float
    usual: float
    reason: str | None
    bins: int
    quadrants: str
    candidates: tuple[float, ...]
    distances: tuple[float, ...]
    errors: tuple[float, ...]
    target: Tensor | None
    spectra: Tensor | None
    seconds: float

    def distance(self, candidate: float) -> float | None:
        """The distance of a candidate; None of what was none."""
        return dict(zip(self.candidates, self.distances, strict=False)).get(candidate)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: all but the spectra; None for an infinite distance."""

        def plain(values: tuple[float, ...]) -> list[float | None]:
            return [round(value, 4) if math.isfinite(value) else None for value in values]

        return {
            "setting": self.setting,
            "chosen": self.chosen,
            "usual": self.usual,
            "reason": self.reason,
            "bins": self.bins,
            "quadrants": self.quadrants,
            "candidates": list(self.candidates),
            "distances": plain(self.distances),
            "errors": plain(self.errors),
            "seconds": round(self.seconds, 4),
        }

    def __str__(self) -> str:
        if self.reason:
            return f"FreSh: {self.setting} {self.chosen:g}, as usual: {self.reason}"
        usual = self.distance(self.usual)
        beside = ""
        if usual is not None and self.chosen != self.usual:
            beside = f" ({usual:.1f} with the usual {self.usual:g})"
        return (
            f"FreSh: {self.setting} {self.chosen:g} of {min(self.candidates):g} to"
            f" {max(self.candidates):g}: its spectrum is {self.distance(self.chosen):.1f} bins from"
            f" the source's{beside}; {self.seconds:.2f} s"
        )


def search(signal: Tensor, config: Config, options: Fresh | None = None) -> Search:
    """Choose the frequency of a field for a signal.

    Args:
        signal: [..., C] on an even grid, the axes in the reverse order of the coordinates: a
            picture [H, W, C], a clip, a volume, a sound; or on a grid of fewer axes, as slices of a
            shape are. Its scale and offset do not matter.
        config: of the field, with the usual frequency; `config.frequency` names the setting.
        options: by default as published, at less cost (see Fresh).

    A pure function of its arguments. Where the signal is constant or too small for a spectrum, the
    frequency of `config` is the choice, and `reason` says why.
    Raises FieldsError for a candidate or a number of bins that is of no use here, and for a model
    that has no frequency. FreSh, arXiv 2410.05050.
    """
    started = time.perf_counter()
    options = options or Fresh()
    if config.frequency is None or not config.is_tunable:
        raise FieldsError(no_frequency(config))
    candidates = options.candidates_of(config)
    shape = tuple(signal.shape[:-1])
    bins = _bins(shape, options)
    usual = getattr(config, config.frequency)
    chosen, reason, target, asked = usual, None, None, None
    if bins < LEAST_BINS:
        least = 2 * LEAST_BINS
        reason = f"{min(shape)} samples a side are too few for a spectrum, {least} the least"
    else:
        target = spectrum(squared(signal), bins, options.quadrants)
    if reason is None and target is None:
        reason = f"the source has no waves of 1 to {bins} cycles"
    if target is not None:
        ask = partial(
            untrained.spectra,
            config if options.published else untrained.narrow(config),
            side=side_of(shape) if options.published else 2 * bins,
            bins=bins,
            quadrants=options.quadrants,
            device=signal.device,
            axes=len(shape),
        )
        asked = _ask(target, candidates, ask, INITIALISATIONS if options.published else FIRST)
        best = min(asked.final, key=lambda i: asked.means[i])  # the first of equals
        if math.isfinite(asked.means[best]):
            chosen = candidates[best]
        else:
            reason = "untrained, the field has no waves"
    return Search(
        setting=config.frequency,
        chosen=chosen,
        usual=usual,
        reason=reason,
        bins=bins,
        quadrants=options.quadrants,
        candidates=candidates,
        distances=() if asked is None else tuple(asked.means),
        errors=() if asked is None else tuple(asked.errors),
        target=target,
        spectra=None if asked is None else asked.spectra,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class _Asked:
    """By candidate; `final` are the indices of those that had every initialisation."""

    final: list[int]
    means: list[float]
    errors: list[float]
    spectra: Tensor


def _ask(
    target: Tensor, candidates: tuple[float, ...], ask: Callable[..., Tensor], first: int
) -> _Asked:
    """Every candidate is asked `first` times, those that are then the nearest the other times."""
    spectra = list(ask(candidates, range(first)))
    final = list(range(len(candidates)))
    if first < INITIALISATIONS:
        so_far = [wasserstein(target, each).mean().nan_to_num(math.inf) for each in spectra]
        final = sorted(sorted(final, key=lambda i: so_far[i])[:KEPT])
        more = ask(tuple(candidates[i] for i in final), range(first, INITIALISATIONS))
        for i, each in zip(final, more, strict=True):
            spectra[i] = torch.cat([spectra[i], each])
    distances = [wasserstein(target, each) for each in spectra]
    return _Asked(
        final,
        [distance.mean().nan_to_num(math.inf).item() for distance in distances],
        [distance.std().item() / len(distance) ** 0.5 for distance in distances],
        torch.stack([each.mean(0) for each in spectra]),
    )


def _bins(shape: tuple[int, ...], options: Fresh) -> int:
    most = side_of(shape) // 2
    if options.bins is None or most < LEAST_BINS:
        return default_bins(shape)
    if options.bins > most:
        raise FieldsError(
            f"--fresh-bins {options.bins} needs {2 * options.bins} samples a side, here are"
            f" {2 * most}; {most} is the most"
        )
    return options.bins
