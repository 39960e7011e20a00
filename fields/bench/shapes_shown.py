"""What `fields bench shapes` measured: a table, curves, and a sheet of pictures."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fields.bench.plot import COLOURS, FAINT, INK
from fields.bench.report import Result, heading
from fields.bench.shape_fits import WORST, FittedShape
from fields.pictures.replacing import replacing

_COLUMNS = {
    "iou": ("IoU", ".4f"),
    "iou_near": ("near", ".3f"),
    "chamfer_l1": ("chamfer", ".1e"),
    "f_score": ("F 0.5 %", ".4f"),
    "f_score_01": ("F 0.1 %", ".4f"),
    "normal_consistency": ("normals", ".3f"),
    "wall_seconds": ("wall s", ".1f"),
}


def table(result: Result, out: Console) -> None:
    """A line for each fit."""
    heading(out, result)
    shown = Table()
    shown.add_column("mesh", no_wrap=True)
    shown.add_column("model", no_wrap=True)
    shown.add_column("s", justify="right")
    for title, _ in _COLUMNS.values():
        shown.add_column(title, justify="right", no_wrap=True)
    last = None
    for row in result["rows"]:
        if last not in (None, row["mesh"]):
            shown.add_section()
        last = row["mesh"]
        cells = [format(row[k], f) if k in row else "" for k, (_, f) in _COLUMNS.items()]
        shown.add_row(row["mesh"], row["model"], f"{row['limit']:g}", *cells)
    out.print(shown)
    out.print(
        "Chamfer: mean distance of both directions, of the longest side. near: IoU within 1 % of"
        " the diagonal of the surface. F at shares of the diagonal.",
        style="dim",
    )


def curves(path: Path, rows: list[dict[str, Any]]) -> None:
    """Chamfer distance against seconds, a panel for each mesh, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    meshes = list(dict.fromkeys(row["mesh"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure = Figure(figsize=(2.6 * len(meshes) + 1, 3.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(meshes), squeeze=False, sharey=True)[0]
    for axes, mesh in zip(panels, meshes, strict=True):
        for i, model in enumerate(models):
            mine = [r for r in rows if (r["mesh"], r["model"]) == (mesh, model)]
            points = [(r["seconds"], r["chamfer_l1"]) for r in mine if "chamfer_l1" in r]
            if points:
                colour = COLOURS[i % len(COLOURS)]
                axes.loglog(*zip(*points, strict=True), "o-", color=colour, label=model)
        axes.set_title(mesh, color=INK, fontsize=10)
        axes.set_xlabel("seconds", color=INK)
        axes.grid(color="#e6e9ed", linewidth=0.8, which="both")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=8)
    panels[0].set_ylabel("chamfer, of the longest side", color=INK)
    if panels[0].get_legend_handles_labels()[0]:  # none without scores
        panels[0].legend(frameon=False, fontsize=9)
    with replacing(path) as file:
        figure.savefig(file, format="png")


def contact_sheet(path: Path, fitted: list[FittedShape]) -> None:
    """Each mesh and model after the longest fit: as it looks, and its errors."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    longest = max(one.limit for one in fitted)
    shown = [one for one in fitted if one.limit == longest]
    meshes = list(dict.fromkeys(one.mesh for one in shown))
    models = list(dict.fromkeys(one.model for one in shown))
    size = (2.2 * len(meshes), 4.4 * len(models) + 0.4)
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2 * len(models), len(meshes), squeeze=False)
    for axes in grid.ravel():
        axes.axis("off")
    for one in shown:
        row, column = 2 * models.index(one.model), meshes.index(one.mesh)
        for offset, picture in enumerate((one.view, one.errors)):
            grid[row + offset][column].imshow(np.asarray(picture))
        grid[row][column].set_title(f"{one.mesh}, {one.model}", color=INK, fontsize=8)
    figure.suptitle(
        f"after {longest:g} s; below: red is {100 * WORST:g} % of the longest side off, or more",
        color=FAINT,
        fontsize=8,
    )
    with replacing(path) as file:
        figure.savefig(file, format="png")
