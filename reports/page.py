"""A report as one self-contained HTML page, which loads nothing from other hosts and opens from a file."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup, escape

from ..core import text
from . import svg
from .content import Bars, Cell, Chart, Report, Span, Table
from .formatting import glued


def page(report: Report) -> str:
    """The whole page."""
    return _template().render(report=report)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=_harmless
    )
    environment.globals.update(
        style=Markup(_static("page.css")) + Markup(_colours()),
        script=Markup(_static("page.js")),
        kind=lambda part: type(part).__name__,
        columns=_columns,
        frame=_frame,
        legend=_legend,
        points=_points,
        marked=_marked,
    )
    return environment.from_string(_static("page.html"))


def _static(name: str) -> str:
    return resources.files("slimner.reports").joinpath("static", name).read_text(encoding="utf-8")


def _harmless(value: Any) -> Any:
    """Text from records without characters that reorder or hide it; markup made here is kept."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else glued(text.lines(value))


def _colours() -> str:
    """The colours of series on a light and on a dark ground."""
    light = ";".join(f"--c{i}:{colour}" for i, colour in enumerate(svg.COLOURS))
    dark = ";".join(f"--c{i}:{colour}" for i, colour in enumerate(svg.DARK_COLOURS))
    rules = "".join(f".line.c{i},.whisker.c{i}{{stroke:var(--c{i})}}" for i in range(len(svg.COLOURS)))
    rules += "".join(f".dot.c{i},.bar.c{i}{{fill:var(--c{i})}}" for i in range(len(svg.COLOURS)))
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{rules}"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a table: its heading, whether it holds figures, and what its intervals lie between."""

    heading: str
    figures: bool
    low: float
    high: float

    def bar(self, cell: Cell) -> str:
        """Where a cell's interval lies in that of the column, as CSS variables; empty without one."""
        if cell.value is None or cell.low is None or cell.high is None or self.high <= self.low:
            return ""
        at, end, middle = ((v - self.low) / (self.high - self.low) * 100 for v in (cell.low, cell.high, cell.value))
        return f"--at:{at:.1f}%;--to:{100 - end:.1f}%;--mid:{middle:.1f}%"


def _columns(table: Table) -> list[Column]:
    found: list[Column] = []
    for i, heading in enumerate(table.headings):
        cells = [line[i] for line in table.lines if i < len(line)]
        bounded = [c for c in cells if isinstance(c, Cell) and c.low is not None and c.high is not None]
        ends = [v for c in bounded for v in (c.low, c.high) if v is not None]
        found.append(
            Column(
                heading=heading,
                figures=table.has_figures(i),
                low=min(ends, default=0.0),
                high=max(ends, default=0.0),
            )
        )
    return found


def _frame(chart: Chart | Bars) -> Markup:
    """What is drawn inside a chart's frame."""
    return Markup(svg.inside_bars(chart) if isinstance(chart, Bars) else svg.inside(chart))


def _legend(chart: Chart | Bars) -> list[tuple[Markup, str]]:
    """A sample of each series and its name."""
    if isinstance(chart, Bars):
        return [(Markup(svg.mark(i, bars=True)), name) for i, name in enumerate(svg.names(chart))]
    return [
        (Markup(svg.mark(i, dots=series.dots and not series.line)), series.name)
        for i, series in enumerate(chart.series)
        if not series.guide
    ]


def _points(chart: Chart | Bars) -> Markup:
    """Where each point is, from 0 to 1, and what it says, as JSON for the script."""
    found = [(round(x, 4), round(y, 4), text.line(says)) for x, y, says in svg.places(chart)]
    return Markup(msgspec.json.encode(found).decode().replace("<", "\\u003c"))


def _marked(sentence: str, spans: Sequence[Span]) -> Markup:
    """A sentence with its entities marked; those that the other labelling lacks are set apart."""
    out, at = Markup(), 0
    for span in sorted(spans, key=lambda span: span.start):
        if span.start < at:
            continue
        kind = "" if span.shared else ' class="only"'
        inner = escape(text.line(sentence[span.start : span.end]))
        out += escape(text.line(sentence[at : span.start]))
        out += Markup(f"<mark{kind}>{inner}<span>{escape(text.line(span.type))}</span></mark>")
        at = span.end
    return out + escape(text.line(sentence[at:]))
