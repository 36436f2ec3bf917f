"""The comparison as a table: its columns and cells, and as CSV; any table as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from ..core import text
from ..core.metrics import F1, METRICS, Metric, Unit
from .comparison import Row
from .formatting import MISSING, score, spread_of


def columns() -> list[Metric]:
    """The metrics that stand in the table, in order, after F1 and its change."""
    return [metric for metric in METRICS.values() if metric.column and metric is not F1]


def headings() -> tuple[str, ...]:
    """The headings above the figures of a row."""
    return ("variant", F1.title, "change", *(metric.title for metric in columns()))


def cells(row: Row) -> tuple[str, ...]:
    """The figures of a row under `headings`."""
    if row.baseline:
        change = "baseline"
    elif row.change is None:
        change = MISSING
    else:
        p = row.change.points
        change = f"{p.value:+.2f} ({p.low:+.2f} to {p.high:+.2f})"
    f1 = score(row.f1)
    if row.parity is not None:
        f1 = f"{row.parity.tag_agreement * 100:.1f} % same tags"
        change = change if row.baseline else f"logits within {row.parity.max_abs_logit_difference:.2g}"
    return (row.variant, f1, change, *(spread_of(row.spread(metric.name), metric) for metric in columns()))


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left, figures to the right."""
    rule = [":--", *["--:"] * (len(headings) - 1)]
    return "\n".join("| " + " | ".join(map(text.markdown, line)) + " |" for line in (headings, rule, *lines))


UNIT_ENDINGS: Mapping[Unit, str] = {
    "bytes": "_bytes",
    "bytes/100": "_bytes_per_100",
    "ms": "_ms",
    "s": "_s",
    "pp": "",
    "1/s": "",
    "1/s/GiB": "",
}


def column(metric: Metric) -> str:
    """The name of a metric's column in `table.csv`: its own with its unit."""
    return f"{metric.name}{UNIT_ENDINGS.get(metric.unit, '')}"


def csv_columns() -> tuple[str, ...]:
    """Headings of the CSV table: each metric by its name and unit, with the ends of its interval."""
    figures = [column(metric) for metric in METRICS.values()]
    return (
        "variant",
        *(f"f1_change_pp{end}" for end in ("", "_low", "_high")),
        *(f"{name}{end}" for name in figures for end in ("", "_low", "_high")),
        *("samples", "disturbed_blocks", "winner", "failed"),
    )


def as_csv(rows: Sequence[Row], winner: str | None) -> str:
    """The rows with full digits, empty where there is no figure."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(csv_columns())
    for row in rows:
        change = row.change.points if row.change else None
        figures: list[float | None] = []
        for figure in (change, *(row.spread(name) for name in METRICS)):
            figures += (figure.value, figure.low, figure.high) if figure else (None, None, None)
        writer.writerow(
            [
                text.cell(row.variant),
                *("" if value is None else value for value in figures),
                row.samples,
                row.disturbed,
                "yes" if row.variant == winner else "no",
                text.cell(row.failed),
            ]
        )
    return out.getvalue()
