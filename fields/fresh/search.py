"""FreSh: of some frequencies, the one whose untrained fields look most like the signal.

    for each candidate:  W = mean over ten initialisations of
                             wasserstein(spectrum(signal), spectrum(field(all points of a grid)))
    chosen = the first candidate of the least W

Every candidate gets the same seeds. Nothing is differentiated, and no random number is drawn but
by the fields' own seeds.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fields.configs import Config
from fields.errors import FieldsError
from fields.fresh import untrained
from fields.fresh.distance import wasserstein
from fields.fresh.options import LEAST_BINS, Fresh, no_frequency
from fields.fresh.spectrum import default_bins, side_of, spectrum, squared

INITIALISATIONS = 10


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
        beside = (
            "" if usual is None or self.chosen == self.usual else f" ({self.usual:g}: {usual:.1f})"
        )
        return (
            f"FreSh: {self.setting} {self.chosen:g} of {min(self.candidates):g} to"
            f" {max(self.candidates):g}: its spectrum is {self.distance(self.chosen):.1f} bins from"
            f" the source's{beside}; {self.seconds:.2f} s"
        )


def search(signal: Tensor, config: Config, options: Fresh | None = None) -> Search:
    """Choose the frequency of a field for a signal.

    Args:
        signal: [..., C] on an even grid, the axes in the reverse order of the coordinates: a
            picture [H, W, C], a clip, a volume, a sound. Its scale and offset do not matter.
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
    chosen, reason, target = usual, None, None
    means = errors = each = None
    if bins < LEAST_BINS:
        least = 2 * LEAST_BINS
        reason = f"{min(shape)} samples a side are too few for a spectrum, {least} the least"
    else:
        target = spectrum(squared(signal), bins, options.quadrants)
    if reason is None and target is None:
        reason = f"the source has no waves of 1 to {bins} cycles"
    if target is not None:
        side = side_of(shape) if options.published else 2 * bins
        asked = config if options.published else untrained.narrow(config)
        each = untrained.spectra(
            asked, candidates, INITIALISATIONS, side, bins, options.quadrants, signal.device
        )
        distances = wasserstein(target, each)
        means, errors = distances.mean(1), distances.std(1) / INITIALISATIONS**0.5
        means = means.nan_to_num(nan=math.inf)
        if means.isfinite().any():
            chosen = candidates[int(means.argmin())]  # the first of equals
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
        distances=() if means is None else tuple(means.tolist()),
        errors=() if errors is None else tuple(errors.tolist()),
        target=target,
        spectra=None if each is None else each.mean(1),
        seconds=time.perf_counter() - started,
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
