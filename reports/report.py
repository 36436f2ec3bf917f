"""The files of a report: results.json, decision.json, table.csv, report.md with its charts, and report.html."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ..core.records import Results
from ..core.store import RESULTS, write_json, write_text
from . import markdown, svg
from .comparison import Row
from .content import Bars, Chart, Part, Report, Section
from .decision import Decision
from .document import Beside, report_of
from .notes import notes
from .page import page
from .tables import as_csv

REPORT = "report.md"
PAGE = "report.html"
DECISION = "decision.json"
TABLE = "table.csv"
DEPENDENCIES = "dependencies.json"
DIFFERENCES = "differences.json"
PLOTS = "plots"


def write_report(
    directory: Path, results: Results, rows: Sequence[Row], decision: Decision, beside: Beside | None = None
) -> Path:
    """Write all files of a report, each whole or not at all, `results.json` first; returns the path of report.md."""
    beside = beside or Beside()
    if beside.dependencies is not None:
        write_json(directory / DEPENDENCIES, beside.dependencies)
    write_json(directory / RESULTS, results)
    write_json(directory / DECISION, msgspec.structs.replace(decision, notes=tuple(notes(results))))
    write_text(directory / TABLE, as_csv(rows, decision.winner))
    if beside.differences:
        write_json(directory / DIFFERENCES, beside.differences)
    report = report_of(results, rows, decision, beside)
    write_page(directory / PAGE, report)
    write_markdown(directory / REPORT, report)
    return directory / REPORT


def write_page(path: Path, report: Report) -> None:
    """Write a report as one HTML page."""
    write_text(path, page(report))


def write_markdown(path: Path, report: Report) -> None:
    """Write a report in Markdown, its charts in a directory beside it."""
    for chart in charts(report.sections):
        write_text(path.parent / PLOTS / f"{chart.name}.svg", svg.alone(chart))
    write_text(path, markdown.document(report, PLOTS))


# By format, the file of a report and what writes it.
WRITERS: Mapping[str, tuple[str, Callable[[Path, Report], None]]] = {
    "html": (PAGE, write_page),
    "md": (REPORT, write_markdown),
    "json": ("report.json", write_json),
}


def charts(parts: Sequence[Part]) -> Iterator[Chart | Bars]:
    """All charts of some parts, in order."""
    for part in parts:
        if isinstance(part, Chart | Bars):
            yield part
        elif isinstance(part, Section):
            yield from charts(part.parts)
