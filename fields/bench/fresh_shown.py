"""What `fields bench fresh` measured, as tables and as a picture."""

from pathlib import Path
from typing import Any

from rich.table import Table

from fields.bench.plot import FAINT, INK
from fields.bench.report import Result, console, heading
from fields.bench.sweep import Sweep
from fields.fresh.drawing import CHOSEN, GRID, USUAL
from fields.pictures import Picture
from fields.pictures.replacing import replacing


def table(result: Result) -> None:
    """Small sweeps, their means, known frequencies, and whole fits."""
    out = console()
    heading(out, result)
    rows = result["rows"]
    sweeps = Table(title="small pictures, all frequencies", title_justify="left")
    for title in ("picture", "model", "FreSh", "dB", "best", "dB", "usual", "dB", "rank corr."):
        sweeps.add_column(title, justify="left" if title in ("picture", "model") else "right")
    for row in (row for row in rows if "candidates" in row):
        cells = [row["picture"], row["model"]]
        for which in ("chosen", "best", "usual"):
            cells += [f"{row[which]:.3g}", f"{row[f'psnr_{which}']:.2f}"]
        rank = row["rank_correlation"]
        sweeps.add_row(*cells, "" if rank is None else f"{rank:.2f}")
    out.print(sweeps)
    for row in (row for row in rows if "mean_of" in row):
        rank = row["rank_correlation"]
        out.print(
            f"{row['work']}: {row['lost_to_best']:.2f} dB below the best on average, at most"
            f" {row['lost_to_best_most']:.2f}; {row['won_over_usual']:+.2f} dB over the usual"
            f" frequency; rank correlation {'-' if rank is None else format(rank, '.2f')}"
        )
    drawn = [f"{r['drawn_with']:g}: {r['chosen']:g}" for r in rows if "drawn_with" in r]
    out.print(f"found in pictures drawn by sirens of known omega: {', '.join(drawn)}\n")
    whole = [row for row in rows if "whole" in row]
    if not whole:
        return
    fits = Table(title="whole pictures, fits as long as by default", title_justify="left")
    for title in ("picture", "model", "FreSh", "dB", "usual", "dB", "seconds", "search s", "share"):
        fits.add_column(title, justify="left" if title in ("picture", "model") else "right")
    for row in whole:
        fits.add_row(
            row["whole"],
            row["model"],
            f"{row['chosen']:.3g}",
            f"{row['psnr_chosen']:.2f}",
            f"{row['usual']:.3g}",
            f"{row['psnr_usual']:.2f}",
            f"{row['seconds']:.1f}",
            f"{row['search_seconds']:.2f}",
            f"{100 * row['search_share']:.1f} %",
        )
    out.print(fits)


def save(path: Path, sweeps: list[Sweep], pictures: dict[str, Picture]) -> None:
    """Write a PNG, in one step: a column for each picture, a row for each model; in each field PSNR
    and distance by frequency."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    names = list(dict.fromkeys(one.picture for one in sweeps))
    models = list(dict.fromkeys(one.model for one in sweeps))
    shown = {picture.name: picture for picture in pictures.values()}
    figure = Figure(
        figsize=(2.3 * len(names) + 0.8, 1.9 * len(models) + 1.9),
        dpi=150,
        layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.06),
        facecolor="white",
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(
        len(models) + 1, len(names), squeeze=False, height_ratios=[0.8, *[1] * len(models)]
    )
    for column, name in enumerate(names):
        pixels = shown[name].pixels
        grey = pixels.shape[2] < 3
        grid[0][column].imshow(pixels[..., 0] if grey else pixels[..., :3], cmap="gray")
        grid[0][column].axis("off")
        grid[0][column].set_title(name, color=INK, fontsize=10)
    for one in sweeps:
        row, column = models.index(one.model) + 1, names.index(one.picture)
        _panel(grid[row][column], one, left=column == 0)
    figure.supxlabel(
        "line: PSNR of a fit    dotted: distance of the spectra    orange: FreSh    blue: usual",
        color=FAINT,
        fontsize=9,
    )
    with replacing(path) as file:
        figure.savefig(file, format="png")


def _panel(axes: Any, one: Sweep, *, left: bool) -> None:
    found = one.search
    values = sorted(one.psnr)
    distance = axes.twinx()
    distance.plot(found.candidates, found.distances, color=FAINT, linestyle=":", linewidth=1.4)
    distance.set_yticks([])
    axes.plot(values, [one.psnr[value] for value in values], color=INK, linewidth=1.6)
    for value, colour in ((found.usual, USUAL), (found.chosen, CHOSEN)):
        axes.plot(value, one.psnr[value], "o", color=colour, markersize=7, zorder=4)
    if left:
        axes.set_ylabel(f"{one.model}\nPSNR, dB", color=INK, fontsize=9)
    axes.set_xlabel(found.setting, color=INK, fontsize=8)
    axes.grid(color=GRID, linewidth=0.7)
    axes.tick_params(colors=INK, length=0, labelsize=8)
    for each in (axes, distance):
        each.spines[["top", "right"]].set_visible(False)
        each.spines[["left", "bottom"]].set_color(FAINT)
