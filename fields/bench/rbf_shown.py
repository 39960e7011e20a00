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
    """The means of each decoder, then PSNR picture by picture."""
    out = console()
    heading(out, result)
    rows = result["rows"]
    groups = {by: [row for row in rows if row["by"] == by] for by in ("steps", "seconds")}
    titles = {
        "steps": f"{groups['steps'][0]['limit']:,} steps",
        "seconds": f"{groups['seconds'][0]['limit']:g} s",
    }
    pictures = [p for p in dict.fromkeys(row["picture"] for row in rows) if p != MEAN]
    number = len(pictures)
    shown = Table(title=f"means of {number} picture{'s' * (number > 1)}", title_justify="left")
    shown.add_column("decoder", no_wrap=True)
    columns = ["rate", "parameters", "mult.-adds"]
    for title in titles.values():
        columns += [f"dB, {title}", f"over {REFERENCE}"]
    for title in (*columns, "steps"):
        shown.add_column(title, justify="right", no_wrap=True)
    means = {by: _of(group, MEAN) for by, group in groups.items()}
    for one, other in zip(means["steps"], means["seconds"], strict=True):
        cells = [_rate(one, rows), f"{one['decoder_parameters']:,}"]
        cells.append(f"{one['decoder_multiply_adds']:,}")
        for row in (one, other):
            cells += [f"{row['psnr']:.2f}", _gain(row)]
        shown.add_row(one["decoder"], *cells, f"{other['steps']:,.0f}")
    out.print(shown)
    for by, title in titles.items():
        each = Table(title=f"PSNR in dB after {title}", title_justify="left")
        each.add_column("decoder", no_wrap=True)
        for picture in pictures:
            each.add_column(picture, justify="right", no_wrap=True)
        for row in means[by]:
            mine = [one for one in groups[by] if one["decoder"] == row["decoder"]]
            each.add_row(row["decoder"], *(_psnr(one) for one in mine if one["picture"] != MEAN))
        out.print(each)
    grid = means["steps"][0]["parameters"] - means["steps"][0]["decoder_parameters"]
    out.print(
        f"Parameters and multiply-adds are the decoder's; the grid has {grid:,} parameters. Means"
        " over pictures and seeds, lowest and highest in brackets; (*) the best rate is the first"
        " or last of those tried.",
        style="dim",
    )


def _of(rows: list[Row], picture: str) -> list[Row]:
    return [row for row in rows if row["picture"] == picture]


def _rate(row: Row, rows: list[Row]) -> str:
    """The best rate, marked where a better one may lie beyond those tried."""
    tried = [r["limit"] for r in rows if r["by"] == "rate" and r["decoder"] == row["decoder"]]
    at_edge = row["rate"] in (min(tried), max(tried))
    return f"{row['rate']:g}" + (" *" if at_edge else "")


def _psnr(row: Row) -> str:
    seeds = row["psnr_of_seeds"]
    found = f"{row['psnr']:.2f}"
    return f"{found} ({min(seeds):.2f}-{max(seeds):.2f})" if len(seeds) > 1 else found


def _gain(row: Row) -> str:
    if row["decoder"] == REFERENCE:
        return ""
    least, most = row["over_mlp_least"], row["over_mlp_most"]
    return f"{row['over_mlp']:+.2f} ({least:+.2f} to {most:+.2f})"


def save(path: Path, rows: list[Row]) -> None:
    """Write a PNG, in one step: PSNR by learning rate, and by the multiply-adds of a decoder."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 4.8), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    by_rate, by_cost = figure.subplots(1, 2)
    mean = _of(rows, MEAN)
    limits = {row["by"]: row["limit"] for row in mean}
    for decoder, (colour, marker) in LOOKS.items():
        look = {"color": colour, "marker": marker}
        mine = [row for row in mean if row["decoder"] == decoder]
        swept = [(row["limit"], row["psnr"]) for row in mine if row["by"] == "rate"]
        line = ":" if marker == "s" else "-"
        by_rate.plot(*zip(*swept, strict=True), line, **look, markersize=4, label=decoder)
        for row in mine:
            if row["by"] != "rate":
                _dot(by_cost, row, **look)
    plot.log_axis(by_rate, sorted({row["limit"] for row in mean if row["by"] == "rate"}))
    plot.log_axis(by_cost, (30, 100, 300, 1000, 3000, 10000))
    steps, seconds = f"{limits['steps']:,} steps", f"{limits['seconds']:g} s"
    plot.dress(by_rate, "learning rate", "PSNR, dB", f"By rate, after {steps}")
    plot.dress(by_cost, "multiply-adds of the decoder, for a sample", "PSNR, dB", "By cost")
    note = f"full: after {steps}    hollow: after {seconds}"
    by_cost.set_title(note, loc="right", color=plot.FAINT, fontsize=8)
    figure.legend(*by_rate.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    with replacing(path) as file:
        figure.savefig(file, format="png")


def _dot(axes: Any, row: Row, **look: str) -> None:
    """The mean of a decoder at its best rate, and a bar from the lowest to the highest seed."""
    x, seeds = row["decoder_multiply_adds"], row["psnr_of_seeds"]
    axes.plot([x, x], [min(seeds), max(seeds)], color=look["color"], linewidth=1)
    axes.plot(
        x,
        row["psnr"],
        linestyle="none",
        markersize=7,
        markerfacecolor=look["color"] if row["by"] == "steps" else "white",
        markeredgewidth=1.5,
        zorder=4,
        **look,
    )
