"""What a report holds, as data: sections of text, tables and charts.

`markdown`, `terminal` and `page` render this description, each for its medium; none of them reads a record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

_FIGURE = re.compile(r"[-+±]?\d")


class Cell(msgspec.Struct, frozen=True):
    """A cell of a table: its text, and the figure with its interval, for sorting."""

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


class Text(msgspec.Struct, frozen=True, tag=True):
    """A paragraph."""

    text: str


class Points(msgspec.Struct, frozen=True, tag=True):
    """A list; each point has a short label, which may be empty, and a sentence."""

    items: Sequence[tuple[str, str]]


class Code(msgspec.Struct, frozen=True, tag=True):
    """Lines that are shown as they are."""

    text: str


class Table(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A table whose first column names its lines.

    `marks[i]` are the states of line i (`winner`, `infeasible`, `tied`, `front`, `baseline`, `failed`). Where not all
    columns fit side by side, those of `important` (their headings, the most important first) are shown first.
    """

    headings: Sequence[str]
    lines: Sequence[Sequence[str | Cell]]
    marks: Sequence[Sequence[str]] = ()
    important: Sequence[str] = ()
    title: str = ""

    @property
    def texts(self) -> list[list[str]]:
        """What is shown, line by line."""
        return [[cell if isinstance(cell, str) else cell.text for cell in line] for line in self.lines]

    def has_figures(self, column: int) -> bool:
        """Whether a column holds figures, which stand to the right."""
        return column > 0 and any(_FIGURE.match(line[column]) for line in self.texts if column < len(line))

    def marked(self, line: int) -> Sequence[str]:
        """How a line stands."""
        return self.marks[line] if line < len(self.marks) else ()


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """An axis: what it shows, with its unit, and whether it starts at zero or is logarithmic."""

    title: str
    zero: bool = False
    log: bool = False


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A point of a chart; `says` is its description, `low` and `high` are its interval in y.

    `area` is its share of the largest dot, `ringed` sets it apart.
    """

    x: float
    y: float
    says: str
    low: float | None = None
    high: float | None = None
    area: float = 0.2
    ringed: bool = False


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one colour: joined by a line, or dots only, or both. A `guide` is a thin dashed line without a name."""

    name: str
    points: Sequence[Point]
    line: bool = True
    dots: bool = False
    guide: bool = False


class Chart(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Series over two axes. `name` is that of its file, `limits` are values of y with a line and a label each.

    `caption` describes it in a sentence; `table` holds its data.
    """

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    table: Table
    limits: Sequence[tuple[str, float]] = ()


class Bars(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Stacked horizontal bars: one a category, with a part of each of the `parts`, whose values follow `categories`."""

    name: str
    title: str
    caption: str
    axis: str
    categories: Sequence[str]
    parts: Sequence[tuple[str, Sequence[float]]]
    table: Table


class Span(msgspec.Struct, frozen=True, array_like=True):
    """An entity of a sentence: `text[start:end]`, its type, and whether the other labelling has it too."""

    start: int
    end: int
    type: str
    shared: bool


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence that a variant labels differently from the baseline.

    `changes` tell of each entity that differs: its kind, what was there before and after, its effect on the score.
    """

    number: int
    text: str
    variant: str
    before: Sequence[Span]
    after: Sequence[Span]
    changes: Sequence[tuple[str, str, str, str]]
    types: Sequence[str]
    effects: Sequence[str]


class Sentences(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Sentences with two labellings each; `left_out` more are in a file only."""

    baseline: str
    items: Sequence[Sentence]
    left_out: int = 0


class Section(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A titled part of a report. A `detail` is folded on a page and left out in a terminal."""

    title: str
    parts: Sequence[Part]
    detail: bool = False

    @property
    def anchor(self) -> str:
        """Its name in links."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


Part = Text | Points | Code | Table | Chart | Bars | Sentences | Section


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report: the decision in one sentence, what limits it, facts in short, and everything else by section.

    `figures` are the few that matter most: what, before, after, change.
    """

    title: str
    decision: str
    decided: bool
    reservations: Sequence[str]
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    figures: Sequence[tuple[str, str, str, str]] = ()

    def with_sections(self, *sections: Section, before: str = "") -> Report:
        """The report with more sections: at the end, or before the one of that title."""
        at = next((i for i, own in enumerate(self.sections) if own.title == before), len(self.sections))
        return msgspec.structs.replace(self, sections=(*self.sections[:at], *sections, *self.sections[at:]))


def tabled(
    title: str, headings: Sequence[str], lines: Sequence[Sequence[str | Cell]], remarks: Sequence[str] = ()
) -> Section:
    """A section of one table with remarks below it."""
    parts: list[Part] = [Table(headings=headings, lines=lines)] if headings else []
    if remarks:
        parts.append(Points([("", remark) for remark in remarks]))
    return Section(title=title, parts=parts)
