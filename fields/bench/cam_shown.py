"""Table and picture of `fields bench cam`."""

from itertools import groupby
from pathlib import Path
from typing import Any

from rich.table import Table

from fields.bench import report
from fields.bench.plot import COLOURS, FAINT, INK
from fields.pictures.replacing import replacing

Row = dict[str, Any]
TITLES = {"all": "trained on all pixels", "half": "trained on every second pixel of an axis"}


def table(result: report.Result) -> None:
    """PSNR of each variant, pictures below one another."""
    out = report.console()
    report.heading(out, result)
    for protocol, title in TITLES.items():
        mine = [row for row in result["rows"] if row["protocol"] == protocol]
        variants = list(dict.fromkeys(row["variant"] for row in mine))
        shown = Table(title=f"PSNR in dB, {title}", title_justify="left")
        shown.add_column("picture", no_wrap=True)
        for variant in variants:
            shown.add_column(variant, justify="right", no_wrap=True)
        shown.add_column("gain", justify="right", no_wrap=True)
        for picture, group in groupby(mine, key=lambda row: row["picture"]):
            scores = {row["variant"]: row for row in group}
            if picture.startswith("mean") and not shown.rows[-1].end_section:
                shown.rows[-1].end_section = True
            cells = [_scores(scores[variant]) for variant in variants]
            gain = scores["CAM"]["psnr"] - scores["plain"]["psnr"]
            shown.add_row(picture, *cells, f"{gain:+.2f}")
        first = {row["variant"]: row["parameters"] for row in reversed(mine)}
        shown.add_row("parameters", *(f"{first[v]:,}" for v in variants), "")
        out.print(shown)
    out.print(
        "Means over the seeds, lowest and highest in brackets; gain: CAM over plain.", style="dim"
    )


def _scores(row: Row) -> str:
    text = f"{row['psnr']:.2f}"
    seeds = row.get("psnr_of_seeds", [])
    return f"{text} ({min(seeds):.1f}-{max(seeds):.1f})" if len(seeds) > 1 else text


def save(path: Path, rows: list[Row]) -> None:
    """Draw the gain of each variant over the plain network, picture by picture, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(TITLES), sharey=True)
    for axes, (protocol, title) in zip(panels, TITLES.items(), strict=True):
        mine = [row for row in rows if row["protocol"] == protocol]
        names = list(dict.fromkeys(row["picture"] for row in mine))
        plain = {row["picture"]: row["psnr"] for row in mine if row["variant"] == "plain"}
        variants = [v for v in dict.fromkeys(row["variant"] for row in mine) if v != "plain"]
        for i, variant in enumerate(variants):
            gains = [
                row["psnr"] - plain[row["picture"]] for row in mine if row["variant"] == variant
            ]
            colour = COLOURS[i % len(COLOURS)]
            heights = [-place for place in range(len(names))]
            own = {"markersize": 8} if variant == "CAM" else {"markersize": 5, "alpha": 0.8}
            axes.plot(gains, heights, "o", color=colour, label=variant, **own)
        axes.axvline(0, color=FAINT, linewidth=1)
        axes.set_yticks([-place for place in range(len(names))], names)
        axes.set_title(title, loc="left", color=INK, fontsize=10)
        axes.set_xlabel("dB over the plain network", color=INK)
        axes.grid(axis="x", color="#e6e9ed", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(colors=INK, length=0)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=9,
    )
    with replacing(path) as file:
        figure.savefig(file, format="png")
