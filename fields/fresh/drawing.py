"""The spectra and distances of a search, as a picture."""

import math
from pathlib import Path
from typing import Any

import torch

from fields.fresh.search import Search
from fields.pictures.replacing import replacing

INK, FAINT, GRID = "#22272e", "#9aa3ad", "#e6e9ed"
CHOSEN, USUAL = "#d1692e", "#2458a6"


def save(path: Path, search: Search, title: str) -> None:
    """Write a PNG, in one step: on the left the spectrum of the source and those of the candidates,
    on the right how far they are apart, with standard errors.

    `search` must have found something: its `reason` is None.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(wspace=0.06, h_pad=0.1)
    figure = Figure(figsize=(11, 4.6), dpi=150, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    _spectra(left, search)
    _distances(right, search)
    for axes in (left, right):
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(colors=INK, length=0)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=13)
    with replacing(path) as file:
        figure.savefig(file, format="png")


def _spectra(axes: Any, search: Search) -> None:
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    assert search.target is not None and search.spectra is not None
    cycles = range(1, search.bins + 1)
    drawn = torch.cat([search.target[None], search.spectra.nan_to_num(nan=1 / search.bins)])
    lowest, highest = drawn.min().item(), drawn.max().item()
    shades = LinearSegmentedColormap.from_list("", ["#d5dbe2", "#7d8894"])
    span = Normalize(min(search.candidates), max(search.candidates))
    for candidate, shares in zip(search.candidates, search.spectra, strict=True):
        axes.plot(cycles, 100 * shares, color=shades(span(candidate)), linewidth=0.8, zorder=2)
    for candidate, colour in ((search.usual, USUAL), (search.chosen, CHOSEN)):
        if candidate in search.candidates:
            shares = search.spectra[search.candidates.index(candidate)]
            axes.plot(
                cycles, 100 * shares, color=colour, linewidth=1.8, zorder=3,
                label=f"{search.setting} {candidate:g}, {_role(search, candidate)}",
            )  # fmt: skip
    axes.plot(cycles, 100 * search.target, color=INK, linewidth=2.4, zorder=4, label="source")
    axes.plot([], [], color=shades(0.5), linewidth=0.8, label="other candidates")
    axes.set_yscale("log")
    ticks = [digit * 10.0**power for power in range(-3, 2) for digit in (1, 2, 5)]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(max(70 * lowest, 1e-3), 150 * highest)
    axes.set_xlim(1, search.bins)
    axes.set_xlabel("cycles across the source, along all axes together", color=INK)
    axes.set_ylabel("share of the spectrum, %", color=INK)
    axes.legend(frameon=False, labelcolor=INK, fontsize=9)


def _role(search: Search, candidate: float) -> str:
    if search.chosen == search.usual:
        return "chosen, as usual"
    return "chosen" if candidate == search.chosen else "the usual one"


def _distances(axes: Any, search: Search) -> None:
    finite = [
        (candidate, distance, error)
        for candidate, distance, error in zip(
            search.candidates, search.distances, search.errors, strict=True
        )
        if math.isfinite(distance)
    ]
    x, y, errors = zip(*sorted(finite), strict=True)
    low, high = ([v + sign * e for v, e in zip(y, errors, strict=True)] for sign in (-1, 1))
    axes.fill_between(x, low, high, color=FAINT, alpha=0.35, linewidth=0)
    axes.plot(x, y, color=INK, linewidth=1.6, marker="o", markersize=3.5)
    if search.usual not in search.candidates:
        axes.axvline(search.usual, color=USUAL, linewidth=1.4, linestyle=":")
        axes.annotate(
            f" {search.usual:.3g}, the usual one", (search.usual, 0), (0, 6),
            textcoords="offset points", color=USUAL,
        )  # fmt: skip
    for candidate, colour in ((search.usual, USUAL), (search.chosen, CHOSEN)):
        distance = search.distance(candidate)
        if distance is not None and math.isfinite(distance):
            axes.plot(candidate, distance, "o", color=colour, markersize=9, zorder=4)
            axes.annotate(
                f"{candidate:g}", (candidate, distance), (0, 10), textcoords="offset points",
                ha="center", color=colour, fontweight="bold",
            )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.margins(x=0.03)
    axes.set_xlabel(search.setting, color=INK)
    axes.set_ylabel("distance from the source, bins", color=INK)
