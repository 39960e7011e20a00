"""What `fields bench rbf` measured: a table, and a picture of PSNR by rate and by cost."""

from pathlib import Path
from typing import Any

from rich.table import Table

from fields.bench import plot
from fields.bench.decoders import REFERENCE, Row
from fields.bench.fits import MEAN
from fields.bench.report import Result, console, heading
from fields.pictures.replacing import replacing

# Colour and marker. MLPs are blue, the darker the deeper; kernels with flat centres are orange,
# with spread ones green; squares have an affine part.
LOOKS = {
    "linear": ("#9aa3ad", "o"),
    "1x64": ("#86aede", "o"),
    "2x64": ("#4b7fc4", "o"),
    "3x64": ("#2458a6", "o"),
    "RBF flat": ("#d1692e", "o"),
    "RBF spread": ("#3f8f58", "o"),
    "RBF flat, affine": ("#d1692e", "s"),
    "RBF spread, affine": ("#3f8f58", "s"),
}


def table(result: Result) -> None:
    """The means of each decoder and its PSNR on each picture, by steps and by seconds."""
    out = console()
    heading(out, result)
    rows = result["rows"]
    for by, unit in (("steps", "steps"), ("seconds", "s")):
        group = [row for row in rows if row["by"] == by]
        mean = _of(group, MEAN)
        pictures = [p for p in dict.fromkeys(row["picture"] for row in group) if p != MEAN]
        shown = Table(title=f"after {mean[0]['limit']:,} {unit}", title_justify="left")
        shown.add_column("decoder", no_wrap=True)
        columns = ("rate", "parameters", "mult.-adds", "dB", f"over {REFERENCE}", "steps", "s")
        for title in (*columns, *pictures):
            shown.add_column(title, justify="right", no_wrap=True)
        for row in mean:
            shown.add_row(
                *(row["decoder"], _rate(row, rows), f"{row['decoder_parameters']:,}"),
                *(f"{row['decoder_multiply_adds']:,}", f"{row['psnr']:.2f}", _gain(row)),
                *(f"{row['steps']:,.0f}", f"{row['seconds']:.2f}"),
                *(f"{r['psnr']:.2f}" for p in pictures for r in _of(group, p)
                  if r["decoder"] == row["decoder"]),
            )  # fmt: skip
        out.print(shown)
    grid = mean[0]["parameters"] - mean[0]["decoder_parameters"]
    out.print(
        f"Parameters and multiply-adds are the decoder's; the grid has {grid:,} parameters. Means"
        " over pictures and seeds, lowest and highest in brackets. (*) A better rate may lie beyond"
        " those tried.",
        style="dim",
    )


def _of(rows: list[Row], picture: str) -> list[Row]:
    return [row for row in rows if row["picture"] == picture]


def _rate(row: Row, rows: list[Row]) -> str:
    """The best rate, marked where a better one may lie beyond those tried."""
    tried = [r["limit"] for r in rows if r["by"] == "rate" and r["decoder"] == row["decoder"]]
    at_edge = row["rate"] in (min(tried), max(tried))
    return f"{row['rate']:g}" + (" *" if at_edge else "")


def _gain(row: Row) -> str:
    if row["decoder"] == REFERENCE:
        return ""
    least, most = row["over_mlp_least"], row["over_mlp_most"]
    between = f" ({least:+.2f} to {most:+.2f})" if least < most else ""
    return f"{row['over_mlp']:+.2f}{between}"


def save(path: Path, rows: list[Row]) -> None:
    """Write a PNG, in one step: PSNR by learning rate, and of each decoder at its best rate."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 4.8), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    by_rate, best = figure.subplots(1, 2)
    mean = _of(rows, MEAN)
    limits = {row["by"]: row["limit"] for row in mean}
    names = {}
    for place, (decoder, (colour, marker)) in enumerate(LOOKS.items()):
        look = {"color": colour, "marker": marker}
        mine = [row for row in mean if row["decoder"] == decoder]
        swept = [(row["limit"], row["psnr"]) for row in mine if row["by"] == "rate"]
        line = ":" if marker == "s" else "-"
        by_rate.plot(*zip(*swept, strict=True), line, **look, markersize=4, label=decoder)
        for row in mine:
            if row["by"] != "rate":
                _dot(best, row, -place, **look)
                names[-place] = f"{decoder}\n{row['decoder_multiply_adds']:,} mult.-adds"
    plot.log_axis(by_rate, sorted({row["limit"] for row in mean if row["by"] == "rate"}))
    best.set_yticks(list(names), list(names.values()))
    steps, seconds = f"{limits['steps']:,} steps", f"{limits['seconds']:g} s"
    plot.dress(by_rate, "learning rate", "PSNR, dB", f"By rate, after {steps}")
    plot.dress(best, "PSNR, dB", "", "At the best rate")
    best.tick_params(axis="y", labelsize=8)
    note = f"full: after {steps}    hollow: after {seconds}"
    best.set_title(note, loc="right", color=plot.FAINT, fontsize=8)
    by_rate.legend(frameon=False, fontsize=8, loc="best")
    with replacing(path) as file:
        figure.savefig(file, format="png")


def _dot(axes: Any, row: Row, y: float, **look: str) -> None:
    """The mean of a decoder, and a bar from the lowest to the highest seed."""
    seeds = row["psnr_of_seeds"]
    axes.plot([min(seeds), max(seeds)], [y, y], color=look["color"], linewidth=1)
    axes.plot(
        row["psnr"],
        y,
        linestyle="none",
        markersize=7,
        markerfacecolor=look["color"] if row["by"] == "steps" else "white",
        markeredgewidth=1.5,
        zorder=4,
        **look,
    )
