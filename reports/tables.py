"""The comparison as a table: for the terminal, in Markdown, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.table import Table

from .comparison import Row
from .units import MISSING, megabytes, milliseconds, rate, score, seconds

HEADINGS = ("variant", "F1", "change", "artifact", "load", "loaded", "steady", "peak", "p50", "p95", "per s")


def cells(row: Row) -> tuple[str, ...]:
    """The figures of a row under HEADINGS."""
    if row.baseline:
        change = "baseline"
    elif row.change is None:
        change = MISSING
    else:
        p = row.change.points
        change = f"{p.value:+.2f} ({p.low:+.2f} to {p.high:+.2f})"
    return (
        row.variant,
        score(row.f1),
        change,
        megabytes(row.size_bytes),
        seconds(row.load_s),
        megabytes(row.loaded_bytes),
        megabytes(row.steady_bytes),
        megabytes(row.peak_bytes),
        milliseconds(row.p50_ms),
        milliseconds(row.p95_ms),
        rate(row.per_s),
    )


def terminal(rows: Sequence[Row], winner: str | None) -> Table:
    """A table for the terminal; the winner has a star, a failed variant says so in place of what it lacks."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for i, heading in enumerate((" ", *HEADINGS)):
        table.add_column(heading, justify="left" if i < 2 else "right", no_wrap=True)
    for row in rows:
        style = "bold green" if row.variant == winner else "red" if row.failed else ""
        values = cells(row)
        if row.failed:
            values = (values[0], *(v if v != MISSING else "failed" if i == 0 else v for i, v in enumerate(values[1:])))
        table.add_row("*" if row.variant == winner else "", *values, style=style)
    return table


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left, figures to the right."""
    rule = [":--", *["--:"] * (len(headings) - 1)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in (headings, rule, *lines)
    )


CSV_COLUMNS = (
    "variant",
    "f1",
    "f1_low",
    "f1_high",
    "f1_change_pp",
    "f1_change_low_pp",
    "f1_change_high_pp",
    "size_bytes",
    "load_s",
    "loaded_pss_bytes",
    "steady_pss_bytes",
    "peak_hwm_bytes",
    "p50_ms",
    "p95_ms",
    "sentences_per_s",
    "samples",
    "winner",
    "failed",
)


def as_csv(rows: Sequence[Row], winner: str | None) -> str:
    """The rows with full digits, empty where there is no figure."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        change = row.change.points if row.change else None
        writer.writerow(
            [
                row.variant,
                *((row.f1.value, row.f1.low, row.f1.high) if row.f1 else ("", "", "")),
                *((change.value, change.low, change.high) if change else ("", "", "")),
                *("" if v is None else v for v in (row.size_bytes, row.load_s, row.loaded_bytes, row.steady_bytes)),
                *("" if v is None else v for v in (row.peak_bytes, row.p50_ms, row.p95_ms, row.per_s)),
                row.samples,
                "yes" if row.variant == winner else "no",
                row.failed,
            ]
        )
    return out.getvalue()
