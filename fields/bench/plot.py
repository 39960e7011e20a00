"""PSNR against seconds, as a picture."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from fields.pictures.replacing import replacing

INK, FAINT = "#22272e", "#9aa3ad"
Label = tuple[tuple[float, float], str, str]  # the end of a line, its name, its colour
COLOURS = ("#2458a6", "#d1692e", "#3f8f58", "#9b4f96", "#b8922b")  # told apart in grey as well


def save(path: Path, rows: list[dict[str, Any]]) -> None:
    """Draw what `fields bench image` measured and write a PNG, in one step.

    Each point of a line is a fit that was told to end after so many seconds; a ring is the median
    time of fits that were told to stop at a score.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names = [name for name, _ in groupby(rows, key=lambda row: row["picture"])]
    many = len(names) > len(COLOURS) + 1
    labels = []
    for i, name in enumerate(names):
        mine = [row for row in rows if row["picture"] == name]
        after = [(row["budget"], row["psnr"]) for row in mine if "psnr" in row]
        targets = [(row["seconds"], row["target"]) for row in mine if "seconds" in row]
        mean = name == "mean of all"
        if mean and not many:
            continue
        colour = INK if mean else FAINT if many else COLOURS[i % len(COLOURS)]
        strength = {"linewidth": 2.4 if mean else 0.9 if many else 1.8, "color": colour}
        if after:
            axes.plot(*zip(*after, strict=True), **strength, zorder=3 if mean else 2)
            if mean or not many:
                labels.append((after[-1], name, colour))
        if targets and (mean or not many):
            axes.plot(
                *zip(*targets, strict=True),
                linestyle="none",
                marker="o",
                markersize=6,
                markerfacecolor="white",
                markeredgewidth=1.6,
                color=colour,
                zorder=4,
            )
    log_axis(axes, (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500))
    axes.margins(x=0.02)
    label_ends(axes, labels)
    dress(axes, "seconds of training", "PSNR, dB", "What a fit reaches in how long")
    axes.text(
        0.99, 0.02, "line: told to end after so long    ring: told to stop at a score",
        transform=axes.transAxes, ha="right", color=FAINT, fontsize=8,
    )  # fmt: skip
    with replacing(path) as file:
        figure.savefig(file, format="png")


def log_axis(axes: Any, ticks: Iterable[float]) -> None:
    """A logarithmic x axis with those of the ticks that lie within, as plain numbers."""
    axes.set_xscale("log")
    shown = [tick for tick in ticks if _within(axes, tick)]
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axes.minorticks_off()


def label_ends(axes: Any, labels: list[Label]) -> None:
    """Names at the ends of lines; none overlap."""
    for height, ((x, y), name, colour) in zip(_apart(axes, labels), labels, strict=True):
        axes.annotate(
            name, (x, y), (8, height), textcoords="offset points", color=colour, va="center"
        )


def dress(axes: Any, x: str, y: str, title: str) -> None:
    """Names of the axes, a title, and a grid in place of a frame."""
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=12)
    axes.grid(color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, length=0)


def _within(axes: Any, x: float) -> bool:
    low, high = axes.get_xlim()
    return low <= x <= high


def _apart(axes: Any, labels: list[Label]) -> list[float]:
    """Points by which each label is lifted from the end of its line, so that none overlap."""
    low, high = axes.get_ylim()
    per_unit = 300 / (high - low)  # the axes are about 300 points high
    order = sorted(range(len(labels)), key=lambda i: labels[i][0][1])
    lifts, floor = [0.0] * len(labels), float("-inf")
    for i in order:
        wanted = labels[i][0][1] * per_unit
        height = max(wanted, floor)
        lifts[i], floor = height - wanted, height + 12
    return lifts
