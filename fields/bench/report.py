"""Tables of what was measured, for people to read."""

from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

Result = dict[str, Any]
Row = dict[str, Any]

KERNEL_COLUMNS = {
    "milliseconds": ("ms", 1),
    "fields_per_second": ("fields/s", 1),
    "samples_per_second": ("M samples/s", 1e-6),
    "rays_per_second": ("M rays/s", 1e-6),
    "times_compile": ("x compile", 1),
    "times_eager": ("x eager", 1),
    "times_drjit": ("x drjit", 1),
    "queries_per_second": ("M queries/s", 1e-6),
    "draws_per_second": ("M drawn with distance/s", 1e-6),
    "times_open3d": ("x open3d", 1),
    "share_of_peak": ("% of peak", 100),
}
KERNEL_NOTES = {
    "times_float32": ("{} times float32", 1),
    "times_one_thread": ("{} times one thread", 1),
    "times_alone": ("{} times one at a time", 1),
    "share_of_built_in": ("{} % of the built-in rate", 100),
    "share_of_peak_useful": ("{} % of peak, the forward not counted", 100),
}


def console() -> Console:
    """As wide as the terminal; wide enough for a table where there is none."""
    here = Console(highlight=False)
    return here if here.is_terminal else Console(highlight=False, width=140)


def kernels(result: Result) -> None:
    """Rates, ratios and shares of `fields bench kernels`, each with its quartiles."""
    out = console()
    heading(out, result)
    for work, group in groupby(result["rows"], key=lambda row: row["work"]):
        rows = list(group)
        if "multiply_adds_per_second" in rows[0]:
            rate = _spread(rows[0], "multiply_adds_per_second", 1e-9)
            out.print(f"{work}: {rate} G multiply-adds/s\n")
            continue
        table = Table(title=f"{work}: {rows[0].get('settings', '')}", title_justify="left")
        columns = {k: v for k, v in KERNEL_COLUMNS.items() if any(k in row for row in rows)}
        table.add_column("engine", no_wrap=True)
        for title, _ in columns.values():
            table.add_column(title, justify="right")
        present = [row for row in rows if "absent" not in row]
        for row in present:
            cells = [_spread(row, name, scale) for name, (_, scale) in columns.items()]
            table.add_row(row["engine"], *cells)
        out.print(table)
        for row in rows:
            for line in _notes(row):
                out.print(f"  {row['engine']}: {line}", style="dim")
        out.print()
    out.print(
        "Medians of interleaved rounds, quartiles in brackets; ratios are taken within a round.",
        style="dim",
    )


def image(result: Result) -> None:
    """Seconds and scores of `fields bench image`."""
    out = console()
    heading(out, result)
    targets = sorted({row["target"] for row in result["rows"] if "target" in row})
    budgets = sorted({row["budget"] for row in result["rows"] if "budget" in row})
    table = Table()
    for title in ("picture", "parameters", *(f"s to {t:g} dB" for t in targets)):
        table.add_column(title, justify="left" if title == "picture" else "right", no_wrap=True)
    for budget in budgets[-1:]:
        table.add_column(f"dB after {budget:g} s", justify="right", no_wrap=True)
    for picture, group in groupby(result["rows"], key=lambda row: row["picture"]):
        rows = list(group)
        if picture == "mean of all":
            table.add_section()
        reached = {row["target"]: row for row in rows if "target" in row}
        after = {row["budget"]: row for row in rows if "budget" in row}
        cells = [f"{rows[0]['parameters']:,}" if "parameters" in rows[0] else ""]
        cells += [_seconds(reached.get(target)) for target in targets]
        cells += [f"{after[b]['psnr']:.2f}" if b in after else "" for b in budgets[-1:]]
        table.add_row(picture, *cells)
    out.print(table)
    out.print("Medians over the seeds, quartiles in brackets.", style="dim")


def _seconds(row: Row | None) -> str:
    if row is None:
        return ""
    if "seconds" not in row:
        return f"over {row['limit']:g}"
    missed = row.get("fits", 0) - row.get("reached", 0)
    return _spread(row, "seconds") + (f", {missed} not" if missed else "")


def _notes(row: Row) -> list[str]:
    """What has no column: why an engine is absent, which variant was the fastest, and the rest."""
    if "absent" in row:
        return [f"absent: {row['absent']}"]
    lines = [f"fastest as {row['variant']}"] if "variant" in row else []
    if "stages" in row:
        shares = (f"{name} {100 * share:.0f} %" for name, share in row["stages"].items())
        lines.append("time of " + ", ".join(shares))
    return lines + [
        text.format(_spread(row, name, scale))
        for name, (text, scale) in KERNEL_NOTES.items()
        if name in row
    ]


def _spread(row: Row, name: str, scale: float = 1.0) -> str:
    """The median with about three digits, quartiles in brackets; nothing without the figure."""
    if name not in row:
        return ""
    median = row[name] * scale
    digits = 0 if median >= 100 else 1 if median >= 10 else 2
    if f"{name}_q1" not in row:
        return f"{median:.{digits}f}"
    q1, q3 = row[f"{name}_q1"] * scale, row[f"{name}_q3"] * scale
    return f"{median:.{digits}f} ({q1:.{digits}f}-{q3:.{digits}f})"


def heading(out: Console, result: Result) -> None:
    machine = result["machine"]
    out.print(
        f"{machine['cpu']}, {machine['threads']} threads, {machine['kernels']} kernels,"
        f" torch {machine['torch']}, fields {machine['fields']}"
        f" at {(result['commit'] or 'no commit')[:12]}"
    )
    busy = machine["busy_before"]
    if busy is not None and busy > 0.05:
        out.print(
            f"Other work kept {100 * busy:.0f} % of this machine busy at the start:"
            " these figures are not to be quoted.",
            style="bold",
        )
    out.print()
