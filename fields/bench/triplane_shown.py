"""What `fields bench triplane` found: a table, how classes are confused, and which shapes a reader
takes for near."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fields.bench import triplane_scores as scores
from fields.bench.plot import FAINT, INK
from fields.bench.report import Result, Row, heading
from fields.many.reading import FieldSet
from fields.pictures.replacing import replacing
from fields.readers.catalogue import BASELINE, READERS
from fields.runs.opening import load
from fields.scenes import load_images, read_scene
from fields.signals.scene import WHITE, over

if TYPE_CHECKING:
    from fields.bench.triplane_work import Work

WRONG = "#b3361e"
_QUERIES, _SIDE = 8, 144
_COLUMNS = ("reader", "accuracy %", "folds", "seeds", "over numbers", "p", "again", "val. %",
            "weights", "s")  # fmt: skip
_PARTS = {
    "parts": "parts",
    "parts-blind": "parts by place and class alone",
    "parts-commonest": "parts as most points of the class have them",
    "parts-nearest": "parts of the training shape most alike",
}


def table(result: Result, out: Console) -> None:
    """Sets of fields, then readers by folds and by the list's own split."""
    heading(out, result)
    rows = result["rows"]
    sets = Table(title="fields", title_justify="left")
    for title in ("kind", "fields", "copies", "IoU", "F 0.5 %", "PSNR", "kB", "s a field"):
        sets.add_column(title, justify="left" if title == "kind" else "right", no_wrap=True)
    for row in (row for row in rows if "bytes_of_field" in row):
        sets.add_row(
            row["kind"], f"{row['fields']:,}", str(row["copies"]), _number(row, "iou", ".4f"),
            _number(row, "f_score", ".4f"), _number(row, "psnr", ".2f"),
            f"{row['bytes_of_field'] / 1000:,.0f}", f"{row['seconds_of_field']:.2f}",
        )  # fmt: skip
    out.print(sets)
    for protocol in (scores.FOLDS, scores.SPLIT):
        mine = [row for row in rows if row.get("protocol") == protocol]
        if mine:
            _readers(out, mine, protocol)
    out.print(
        "Accuracy: mean of seeds over all tested shapes, 95 % from draws of shapes and seeds in"
        " brackets; folds, seeds: standard deviation over them. over numbers: beside the nine"
        " numbers of the same shapes, with 95 %; p by random signs. again: % of shapes whose"
        " field, fitted once more by another seed, is taken for the same class. (*) reads the mesh"
        " and no field; (+) reads the MLP as well as the planes.",
        style="dim",
    )


def _readers(out: Console, rows: list[Row], protocol: str) -> None:
    over = "over folds" if protocol == scores.FOLDS else "on the list's own split"
    shown = Table(title=f"classes, {over}, {rows[0]['shapes']:,} shapes", title_justify="left")
    of_classes = [row for row in rows if "accuracy" in row]
    cells = [_cells(row) for row in of_classes]
    titles = [title for title in _COLUMNS if any(row[title] for row in cells)]
    for title in titles:
        shown.add_column(title, justify="left" if title == "reader" else "right", no_wrap=True)
    last = None
    for row, named in zip(of_classes, cells, strict=True):
        if row["kind"] != last:
            shown.add_section()
            shown.add_row(f"[bold]{row['kind']}[/bold]")
        last = row["kind"]
        shown.add_row(*(named[title] for title in titles))
    if shown.row_count:
        out.print(shown)
    for row in (row for row in rows if "miou" in row):
        out.print(
            f"{row['kind']}, {_PARTS[row['reader']]}, {over}: mIoU {_percent(row, 'miou')} %"
            f" of shapes, {100 * row['miou_of_classes']:.1f} % of classes"
        )
    out.print()


def _cells(row: Row) -> dict[str, str]:
    """What the table says of a reader, by the titles of its columns."""
    cells = (
        _called(row["reader"]), _percent(row, "accuracy"),
        _spread(row, "folds"), _spread(row, "seeds"), _gain(row), _chance(row),
        f"{100 * row['same_again']:.0f}" if "same_again" in row else "",
        f"{100 * row['validation']:.1f}" if "validation" in row else "",
        f"{row['parameters'] / 1000:,.0f} k", f"{row['training_seconds']:.0f}",
    )  # fmt: skip
    return dict(zip(_COLUMNS, cells, strict=True))


def _called(reader: str) -> str:
    entry = READERS.get(reader)  # none of readers that are asked together
    if entry is None:
        return reader
    return reader + (" (*)" if entry.is_explicit else " (+)" if entry.reads_field else "")


def _percent(row: Row, name: str) -> str:
    low, high = 100 * row[f"{name}_low"], 100 * row[f"{name}_high"]
    return f"{100 * row[name]:.1f} ({low:.1f}-{high:.1f})"


def _spread(row: Row, over: str) -> str:
    return f"{100 * row['spread_of_' + over]:.1f}" if row[over] > 1 else ""


def _gain(row: Row) -> str:
    if "over_numbers" not in row:
        return ""
    low, high = 100 * row["over_numbers_low"], 100 * row["over_numbers_high"]
    return f"{100 * row['over_numbers']:+.1f} ({low:+.1f} to {high:+.1f})"


def _chance(row: Row) -> str:
    if "p" not in row:
        return ""
    return f"{row['p']:.3f}" if row["p"] >= 0.001 else "< 0.001"


def _number(row: Row, name: str, form: str) -> str:
    return format(row[name], form) if name in row else ""


def confusions(path: Path, work: Work) -> None:
    """Write a PNG: for each kind of field the reader that validation likes most, and the nine
    numbers; rows are what shapes are, columns what they are taken for."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    classes = next(iter(work.kinds.values())).inputs.classes
    shown = [(kind, scores.best(work.results, kind)) for kind in work.kinds]
    shown.append(("mesh", BASELINE))
    panels = []
    for kind, reader in shown:
        mine = {u: r for u, r in work.results.items() if (u.kind, u.reader) == (kind, reader)}
        folds = {u: r for u, r in mine.items() if u.fold != scores.SPLIT} or mine
        if folds:
            panels.append((f"{reader}, {kind}", scores.confusion(folds, len(classes))))
    if not panels:
        return
    side = max(3.2, 0.26 * len(classes) + 1.2)
    figure = Figure(figsize=(side * len(panels) + 0.6, side + 0.3), dpi=130, layout="constrained",
                    facecolor="white")  # fmt: skip
    FigureCanvasAgg(figure)
    for i, (axes, (title, shares)) in enumerate(
        zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True)
    ):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in zip(*np.nonzero(shares >= 0.05), strict=True):
            share = shares[row, column]
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6,
                      color="white" if share > 0.55 else INK)  # fmt: skip
        axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=8)
        axes.set_yticks(range(len(classes)), classes if i == 0 else [], fontsize=8)
        axes.set_title(f"{title}: {100 * np.mean(np.diag(shares)):.1f} %", color=INK, fontsize=10)
        axes.tick_params(colors=INK, length=0)
        axes.spines[:].set_visible(False)
    figure.supxlabel("taken for; % of the tested shapes of a class, from 5 on", color=FAINT,
                     fontsize=8)  # fmt: skip
    with replacing(path) as file:
        figure.savefig(file, format="png")


def neighbours(path: Path, work: Work) -> None:
    """Write a PNG: test shapes, and the training shapes nearest to each by the features of the
    reader that validation likes most, drawn from their fields."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kind = next(iter(work.kinds))
    reader = scores.best(work.results, kind)
    unit, result = next(
        ((u, r) for u, r in work.results.items() if (u.kind, u.reader) == (kind, reader)),
        (None, None),
    )
    if unit is None or result is None:
        return
    found, fold = work.kinds[kind].inputs.found, work.kinds[kind].folds[unit.fold]
    chosen = _spread_out([found.index[row]["class"] for row in fold.test])
    most = max(len(result["near"][i]) for i in chosen)
    figure = Figure(figsize=(max(1.15 * (most + 1), 4.5), 1.3 * len(chosen) + 0.5), dpi=130,
                    layout="constrained", facecolor="white")  # fmt: skip
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(chosen), most + 1, squeeze=False)
    for axes in grid.ravel():
        axes.axis("off")
    for line, i in zip(grid, chosen, strict=True):
        kinds = []
        for axes, row in zip(line, [fold.test[i], *result["near"][i]], strict=False):
            kinds.append(found.index[row]["class"])
            axes.imshow(_view(found, row))
            colour = INK if kinds[-1] == kinds[0] else WRONG
            axes.set_title(kinds[-1], fontsize=7, color=colour, pad=2)
    figure.suptitle(f"{reader}, {kind}: test shapes, then the nearest training shapes",
                    color=FAINT, fontsize=8)  # fmt: skip
    with replacing(path) as file:
        figure.savefig(file, format="png")


def _spread_out(kinds: list[str]) -> list[int]:
    """Places of shapes of as many classes as are drawn, evenly among them."""
    firsts = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    places = np.linspace(0, len(firsts) - 1, min(_QUERIES, len(firsts))).round().astype(int)
    return [firsts[place] for place in places]


def _view(found: FieldSet, row: int) -> Any:
    """A shape as its field has it; of a scene the first of its test views."""
    if found.options.is_radiance:
        scene = read_scene(Path(found.about["source"]) / found.index[row]["path"])
        return over(load_images(scene, "test").image(0), WHITE)
    return load(f"{found.path}#{row}").render((_SIDE, _SIDE))
