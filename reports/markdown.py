"""A report in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from ..core import text
from .content import Bars, Chart, Code, Part, Points, Report, Section, Sentences, Table, Text
from .tables import markdown as columns

# Sentences that are printed; all of them are in differences.json.
MOST_SENTENCES = 30


def document(report: Report, plots: str = "") -> str:
    """The whole report; `plots` is the directory of its charts, as seen from the file, or empty to show their data."""
    parts = [
        f"# {text.markdown(report.title)}",
        f"**{text.markdown(report.decision)}**",
        part(Points([("reservation", line) for line in report.reservations])) if report.reservations else "",
        part(Points(report.facts)),
        *(section(one, plots=plots) for one in report.sections),
    ]
    return text.lines("\n\n".join(filter(None, parts))) + "\n"


def section(given: Section, level: int = 2, plots: str = "") -> str:
    """A section with its heading at a level."""
    heading = [f"{'#' * level} {text.markdown(given.title)}"] if given.title else []
    return "\n\n".join([*heading, *(part(one, level + 1, plots) for one in given.parts)])


def part(given: Part, level: int = 3, plots: str = "") -> str:
    """Any part of a report."""
    match given:
        case Text():
            return text.markdown(given.text)
        case Points():
            return "\n".join(
                f"- **{text.markdown(label)}**: {text.markdown(said)}" if label else f"- {text.markdown(said)}"
                for label, said in given.items
            )
        case Code():
            return text.fenced(given.text)
        case Table():
            return _table(given)
        case Chart() | Bars():
            if not plots:
                return f"{text.markdown(given.caption)}\n\n{_table(given.table)}"
            return f"![{text.markdown(given.title)}]({plots}/{given.name}.svg)\n\n{text.markdown(given.caption)}"
        case Sentences():
            return "\n\n".join(_sentences(given))
        case Section():
            return section(given, level, plots)
    assert_never(given)


def _table(given: Table) -> str:
    lines: list[Sequence[str]] = [*given.texts]
    headings = given.headings
    if given.marks:
        headings = (*headings, "standing")
        lines = [(*line, ", ".join(given.marked(i))) for i, line in enumerate(lines)]
    title = f"{text.markdown(given.title)}\n\n" if given.title else ""
    return title + columns(headings, lines)


def _sentences(given: Sentences) -> Iterator[str]:
    shown = given.items[:MOST_SENTENCES]
    total = len(given.items) + given.left_out
    if len(shown) < total:
        yield f"{len(shown)} of {total:,} sentences; all are in differences.json."
    yield columns(
        ("sentence", "variant", "what", given.baseline, "variant finds", "effect", "text"),
        [
            (str(one.number), one.variant, *change, " ".join(one.text.split()))
            for one in shown
            for change in one.changes
        ],
    )
