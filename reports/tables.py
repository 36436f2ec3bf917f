"""The comparison as a table: for the terminal, in Markdown, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from ..core import text
from ..core.metrics import F1, METRICS, Metric, Unit
from ..core.statistics import BUCKETS, percentile
from .comparison import Row
from .formatting import MISSING, milliseconds, score, spread_of

if TYPE_CHECKING:
    from rich.table import Table


def columns() -> list[Metric]:
    """The metrics that stand in the table, in order, after F1 and its change."""
    return [metric for metric in METRICS.values() if metric.column and metric is not F1]


def headings() -> tuple[str, ...]:
    """What stands above the figures of a row."""
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


def terminal(rows: Sequence[Row], winner: str | None) -> Table:
    """A table for the terminal; the winner has a star, a failed variant says so in place of what it lacks."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for i, heading in enumerate((" ", *headings())):
        table.add_column(heading, justify="left" if i < 2 else "right", no_wrap=True)
    for row in rows:
        style = "bold green" if row.variant == winner else "red" if row.failed else ""
        values = cells(row)
        if row.failed:
            values = (values[0], *(v if v != MISSING else "failed" if i == 0 else v for i, v in enumerate(values[1:])))
        table.add_row("*" if row.variant == winner else "", *values, style=style)
    return table


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A titled table with remarks below it; without headings it has no table."""

    title: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    remarks: Sequence[str] = ()

    def terminal(self) -> Iterator[Table | str]:
        """What to print, in order."""
        from rich.table import Table

        if self.title:
            yield self.title
        if self.headings:
            table = Table(box=None, pad_edge=False, padding=(0, 1))
            for i, heading in enumerate(self.headings):
                table.add_column(heading, justify="left" if i == 0 else "right", overflow="fold")
            for line in self.lines:
                table.add_row(*line)
            yield table
        yield from (f"  {remark}" for remark in self.remarks)

    def markdown(self, level: int = 2) -> str:
        """The same as Markdown."""
        parts = [f"{'#' * level} {text.markdown(self.title)}"] if self.title else []
        parts += [markdown(self.headings, self.lines)] if self.headings else []
        parts += ["\n".join(f"- {text.markdown(remark)}" for remark in self.remarks)] if self.remarks else []
        return "\n\n".join(parts)


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left, figures to the right."""
    rule = [":--", *["--:"] * (len(headings) - 1)]
    return "\n".join("| " + " | ".join(map(text.markdown, line)) + " |" for line in (headings, rule, *lines))


def by_length(rows: Sequence[Row]) -> Section:
    """Latency by length bucket: p50 and, from enough samples, p95."""
    names = [*(f"up to {limit}" for limit in BUCKETS), f"above {BUCKETS[-1]}"]
    shown = [i for i in range(len(names)) if any(i < len(row.lengths) and row.lengths[i] for row in rows)]
    return Section(
        title="Latency by length in characters: p50 / p95 (samples)",
        headings=("variant", *(names[i] for i in shown)),
        lines=[(row.variant, *(_bucket(row.lengths[i]) for i in shown)) for row in rows if row.lengths],
    )


def _bucket(samples: Sequence[float]) -> str:
    p50, p95 = percentile(samples, 50), percentile(samples, 95)
    return f"{milliseconds(p50)} / {milliseconds(p95)} ({len(samples)})"


UNIT_ENDINGS: Mapping[Unit, str] = {
    "bytes": "_bytes",
    "bytes/100": "_bytes_per_100",
    "ms": "_ms",
    "s": "_s",
    "pp": "",
    "1/s": "",
    "1/s/GiB": "",
}


def csv_columns() -> tuple[str, ...]:
    """Headings of the CSV table: each metric by its name and unit, with the ends of its interval."""
    figures = [f"{metric.name}{UNIT_ENDINGS.get(metric.unit, '')}" for metric in METRICS.values()]
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
                row.variant,
                *("" if value is None else value for value in figures),
                row.samples,
                row.disturbed,
                "yes" if row.variant == winner else "no",
                row.failed,
            ]
        )
    return out.getvalue()
