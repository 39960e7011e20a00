"""What `fields bench models` measured: a table, curves, and crops side by side."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fields.bench import plot
from fields.bench.fits import MEAN
from fields.bench.model_fits import Fits
from fields.bench.plot import COLOURS, FAINT, INK, Label
from fields.bench.report import Result, heading
from fields.pictures.replacing import replacing

Row = dict[str, Any]
MORE_COLOURS = (*COLOURS, "#1f8a8c", "#7a5a3a", "#5b6470")
CROP = 64  # pixels of a picture that are shown large
TILE = 256  # pixels of the sheet that they take: a whole number of times
GAIN = 8  # of errors


def table(result: Result, out: Console) -> None:
    """The means of each model, then PSNR picture by picture."""
    heading(out, result)
    rows = result["rows"]
    by_steps = [row for row in rows if row["by"] == "steps"]
    longest = max(row["limit"] for row in rows if row["by"] == "seconds")
    by_seconds = [row for row in rows if row["by"] == "seconds" and row["limit"] == longest]
    pictures = [p for p in dict.fromkeys(row["picture"] for row in rows) if p != MEAN]
    steps, number = f"{by_steps[0]['limit']:,.0f}", len(pictures)
    shown = Table(title=f"means of {number} picture{'s' * (number > 1)}", title_justify="left")
    columns = ("parameters", "bytes", "mult.-adds", "FreSh s", f"dB, {steps} steps", "SSIM",
               "seconds", f"dB, {longest:g} s", "SSIM", "steps")  # fmt: skip
    shown.add_column("model", no_wrap=True)
    for title in columns:
        shown.add_column(title, justify="right", no_wrap=True)
    for one, other in zip(_of(by_steps, MEAN), _of(by_seconds, MEAN), strict=True):
        shown.add_row(
            one["model"],
            *(f"{one[name]:,}" for name in ("parameters", "bytes", "multiply_adds")),
            f"{one['search_seconds']:.2f}" if "search_seconds" in one else "",
            *(_psnr(one), _ssim(one), f"{one['seconds']:.2f}"),
            *(_psnr(other), _ssim(other), f"{other['steps']:,.0f}"),
        )
    out.print(shown)
    for title, group in ((f"{steps} steps", by_steps), (f"{longest:g} s", by_seconds)):
        each = Table(title=f"PSNR in dB after {title}", title_justify="left")
        each.add_column("picture", no_wrap=True)
        for row in _of(group, MEAN):
            each.add_column(row["model"], justify="right", no_wrap=True)
        for picture in pictures:
            each.add_row(picture, *(_psnr(row) for row in _of(group, picture)))
        out.print(each)
    out.print(
        "Means over the seeds, lowest and highest in brackets. A file holds what a model keeps"
        " beside its parameters, too.",
        style="dim",
    )


def text(result: Result) -> str:
    """The table without colours."""
    written = io.StringIO()
    table(result, Console(file=written, width=140, highlight=False, no_color=True))
    return written.getvalue()


def _of(rows: list[Row], picture: str) -> list[Row]:
    return [row for row in rows if row["picture"] == picture]


def _psnr(row: Row) -> str:
    seeds = row["psnr_of_seeds"]
    found = f"{row['psnr']:.2f}"
    return f"{found} ({min(seeds):.2f}-{max(seeds):.2f})" if len(seeds) > 1 else found


def _ssim(row: Row) -> str:
    return f"{row['ssim']:.4f}" if "ssim" in row else ""


def curves(path: Path, rows: list[Row]) -> None:
    """Write a PNG, in one step: the mean PSNR over pictures against seconds, a line a model."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    mean = _of(rows, MEAN)
    labels: list[Label] = []
    for i, model in enumerate(dict.fromkeys(row["model"] for row in mean)):
        colour = MORE_COLOURS[i % len(MORE_COLOURS)]
        mine = [row for row in mean if row["model"] == model]
        points = [(row["seconds"], row["psnr"]) for row in mine if row["by"] == "seconds"]
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.8, marker=".", zorder=3)
        labels.append((points[-1], model, colour))
        counted = [(row["seconds"], row["psnr"]) for row in mine if row["by"] == "steps"]
        axes.plot(
            *zip(*counted, strict=True),
            linestyle="none",
            marker="o",
            markersize=6,
            markerfacecolor="white",
            markeredgewidth=1.6,
            color=colour,
            zorder=2,  # below the names
        )
    plot.log_axis(axes, (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500))
    axes.margins(x=0.02)
    plot.label_ends(axes, labels)
    pictures = len({row["picture"] for row in rows}) - 1
    title = f"Models of one size, mean of {pictures} picture{'s' * (pictures > 1)}"
    plot.dress(axes, "seconds of training", "PSNR, dB", title)
    steps = next(row["limit"] for row in mean if row["by"] == "steps")
    note = f"line: told to end after so long    ring: after {steps:,.0f} steps"
    axes.set_title(note, loc="right", color=FAINT, fontsize=8)
    with replacing(path) as file:
        figure.savefig(file, format="png")


def crops(path: Path, fitted: list[Fits]) -> None:
    """Write a PNG, in one step: for each picture a row of crops and below it their errors.

    First the whole picture, with the crop below it; then what each model drew there after the most
    seconds. A pixel of a crop is a square of pixels of the sheet.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    gap, head, note_height = 8, 34, 20
    pictures = list(dict.fromkeys(one.picture for one in fitted))
    columns = 1 + len(dict.fromkeys(one.model for one in fitted))
    width = gap + columns * (TILE + gap)
    height = note_height + len(pictures) * (2 * (TILE + gap) + head)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)

    def tile(pixels: np.ndarray, column: int, y: int, title: str = "") -> Any:
        x = gap + column * (TILE + gap)
        axes = figure.add_axes(
            (x / width, 1 - (y + TILE) / height, TILE / width, TILE / height), frameon=False
        )
        axes.set_axis_off()
        axes.imshow(_colours(pixels), interpolation="nearest", aspect="equal", cmap="gray",
                    vmin=0, vmax=255)  # fmt: skip
        if title:
            axes.set_title(title, loc="left", color=INK, fontsize=11, pad=4)
        return axes

    for i, picture in enumerate(pictures):
        top = note_height + head + i * (2 * (TILE + gap) + head)
        box = detailed(picture.pixels)
        whole = tile(picture.pixels, 0, top, picture.name)
        y, x = (part.start for part in box)
        tall, wide = picture.pixels[box].shape[:2]
        whole.add_patch(_frame(x, y, wide, tall))
        tile(picture.pixels[box], 0, top + TILE + gap)
        for column, one in enumerate((o for o in fitted if o.picture is picture), 1):
            drawn = one.longest
            tile(drawn.pixels[box], column, top, f"{one.model}  {drawn.psnr:.2f} dB")
            tile(errors(picture.pixels[box], drawn.pixels[box]), column, top + TILE + gap)
    seconds = max(fitted[0].by_seconds)
    note = f"after {seconds:g} s of training; below, the absolute error times {GAIN}"
    figure.text(gap / width, 1 - gap / height, note, color=FAINT, fontsize=9, va="top")
    with replacing(path) as file:
        figure.savefig(file, format="png")


def errors(picture: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The absolute difference of two pictures of eight bits, GAIN times."""
    difference = np.abs(picture.astype(np.int16) - drawn.astype(np.int16))
    return np.minimum(GAIN * difference, 255).astype(np.uint8)


def detailed(pixels: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the square of CROP pixels in which neighbours differ the most; of a
    smaller picture all."""
    height, width = pixels.shape[:2]
    size = min(CROP, height, width)
    values = pixels.astype(np.float64).sum(-1)
    change = np.zeros((height, width))  # from the pixels above and to the left
    change[1:] = np.abs(np.diff(values, axis=0))
    change[:, 1:] += np.abs(np.diff(values, axis=1))
    total = change.cumsum(0).cumsum(1)
    last = size - 1
    rows, columns = slice(0, height - last), slice(0, width - last)
    within = total[last:, last:] - total[rows, last:] - total[last:, columns]
    within += total[rows, columns]
    y, x = np.unravel_index(within.argmax(), within.shape)
    return slice(int(y), int(y) + size), slice(int(x), int(x) + size)


def _colours(pixels: np.ndarray) -> np.ndarray:
    """What can be shown of pixels: without alpha, grey without an axis."""
    return pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., 0]


def _frame(x: int, y: int, width: int, height: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), width, height, fill=False, color="white", linewidth=1.5)
