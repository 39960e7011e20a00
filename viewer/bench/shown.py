"""The table of `fields bench viewer`."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from rich.table import Table

from fields.bench.report import console, heading

_COLUMNS = (
    *("what", "drawn", "training", "pixels", "scale, least", "fresh/s", "interval ms"),
    *("pose to screen ms", "draw, encode ms", "still s", "server, browser %", "60?"),
)


def table(result: dict[str, Any]) -> None:
    """The worst round of each, by fresh frames."""
    out = console()
    if not out.is_terminal:
        out.width = 220
    heading(out, result)
    shown = Table()
    for title in _COLUMNS:
        shown.add_column(title, justify="left" if title in _COLUMNS[:3] else "right")
    key = lambda row: (row["work"], row["training"], row.get("asked"))  # noqa: E731
    for _, group in groupby(result["rows"], key=key):
        shown.add_row(*_cells(worst(list(group))))
    out.print(shown)
    browsers = {row["browser"] for row in result["rows"]}
    out.print(
        f"Chromium {', '.join(sorted(browsers))}, headless, on the same machine. Intervals and"
        " times are p50/p95/p99/max, of the worst of the rounds. 60: at least 58 fresh/s, p95 at"
        " most 18 ms, p99 at most 33.4 ms.",
        style="dim",
    )


def worst(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The round that was the worst; 60 is said where all rounds allow it."""
    row = min(rows, key=lambda row: (row["is_60"], row["fresh_per_second"]))
    return row | {"is_60": all(row["is_60"] for row in rows)}


def _cells(row: dict[str, Any]) -> list[str]:
    def four(name: str) -> str:
        values = [row[f"{name}_{part}"] for part in ("p50", "p95", "p99", "max")]
        return "/".join("–" if v is None else f"{v:.1f}" for v in values)

    width, height, scale = row["width"], row["height"], row["scale_median"]
    pixels = f"{round(width * scale)} x {round(height * scale)}"
    loss = f", {row['proxy_psnr']:.1f} dB to the field" if row.get("proxy_psnr") else ""
    still = "–" if row["still_seconds"] is None else f"{row['still_seconds']:.2f}"
    return [
        row["work"], row["drawn"] + loss, "on" if row["training"] else "off", pixels,
        f"{scale:.3f}, {row['scale_min']:.3f}", f"{row['fresh_per_second']:.1f}", four("interval"),
        four("pose_to_present"), f"{row['draw_ms'] or 0:.1f}, {row['encode_ms'] or 0:.1f}", still,
        f"{100 * row['server_share']:.0f}, {100 * row['browser_share']:.0f}",
        "yes" if row["is_60"] else "no",
    ]  # fmt: skip
