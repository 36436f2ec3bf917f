"""Two variants side by side, as a rule the baseline and the winner: memory by stage, and the totals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.ledger_records import Ledger
from ..core.metrics import METRICS
from ..core.records import Results
from . import costs
from .comparison import Row
from .content import Cell, Section, Table
from .formatting import MISSING, megabytes, score, show

# What is compared, in this order; F1 stands before and minimum memory after it.
FIGURES = ("p50", "p95", "qps", "size", "memory", "peak", "cold_start")
HEADLINE = ("F1, strict", "memory", "size", "response time, p50", "response time, p95", "QPS at five clients")
WORDS = {"p50": "response time, p50", "p95": "response time, p95", "qps": "QPS at five clients"}


def section(results: Results, one: Row, other: Row, ledgers: Sequence[Ledger] = ()) -> Section:
    """The two tables; `ledgers` may hold the minimum memory of either."""
    before, after = one.variant, other.variant
    return Section(
        title=f"Before and after: {before} and {after}",
        parts=[
            Table(headings=("figure", before, after, "change"), lines=list(_figures(one, other, ledgers))),
            _stages(results, before, after),
        ],
    )


def headline(one: Row, other: Row) -> list[tuple[str, str, str, str]]:
    """The figures that matter most, before and after: what, before, after, change."""
    found = {}
    for name, *cells, change in _figures(one, other, ()):
        before, after, by = (cell if isinstance(cell, str) else cell.text for cell in (*cells, change))
        found[name] = (str(name), before, after, by)
    return [found[name] for name in HEADLINE if name in found and MISSING not in found[name]]


def _figures(one: Row, other: Row, ledgers: Sequence[Ledger]) -> Iterator[tuple[str | Cell, ...]]:
    if one.f1 and other.f1:
        change = f"{(other.f1.value - one.f1.value) * 100:+.2f} pp"
        yield "F1, strict", Cell(score(one.f1), one.f1.value), Cell(score(other.f1), other.f1.value), change
    elif one.parity and other.parity:
        shares = [Cell(f"{p.tag_agreement * 100:.2f} %", p.tag_agreement) for p in (one.parity, other.parity)]
        yield "same tags as the checkpoint (in place of F1)", *shares, ""
    for name in FIGURES:
        metric, values = METRICS[name], (one.value(name), other.value(name))
        shown = [Cell(show(metric, value), value) for value in values]
        yield WORDS.get(name, metric.title), *shown, _change(*values)
    least = [_minimum(row.variant, ledgers) for row in (one, other)]
    if any(least):
        yield "minimum memory", *(Cell(megabytes(value), value) for value in least), _change(*least)


def _change(before: float | None, after: float | None) -> str:
    return MISSING if not before or after is None else f"{(after / before - 1) * 100:+.0f} %"


def _minimum(variant: str, ledgers: Sequence[Ledger]) -> float | None:
    """The least memory that an artifact of the variant ran in, the first that a ledger names."""
    return next((float(m.bytes) for one in ledgers if one.variant == variant for m in one.minimums if m.bytes), None)


def _stages(results: Results, before: str, after: str) -> Table:
    """Memory at each stage and what it adds, side by side; a stage that only one has is left empty for the other."""
    found = costs.stages(results, (before, after))
    last = {before: 0.0, after: 0.0}
    lines: list[list[str | Cell]] = []
    for name, by in found.items():
        line: list[str | Cell] = [name]
        for variant in (before, after):
            if variant in by:
                line.append(Cell(f"{(by[variant] - last[variant]) / 1e6:+.0f} MB", by[variant] - last[variant]))
                line.append(Cell(megabytes(by[variant]), by[variant]))
                last[variant] = by[variant]
            else:
                line += [MISSING, MISSING]
        lines.append(line)
    measured = [v for v in (before, after) if any(m.variant == v for m in results.measurements)]
    peak = costs.peaks(results, measured)
    lines.append(
        ["peak (VmHWM)", *(cell for v in (before, after) for cell in ("", Cell(megabytes(peak.get(v)), peak.get(v))))]
    )
    return Table(
        title="Memory by stage (PSS, median over processes)",
        headings=("stage", f"{before} adds", before, f"{after} adds", after),
        lines=lines,
    )
