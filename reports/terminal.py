"""A report in a terminal: as many columns as fit, the rest in a table below; lines broken at spaces."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text as Line

from ..core import text
from .content import Bars, Chart, Code, Part, Points, Report, Section, Sentences, Table, Text
from .formatting import KEPT, glued

GAP = 2


# A column of sentences is broken at spaces, one of figures never; this wide and wider it holds sentences.
SENTENCE = 32
LABEL = 8
STYLES = {"winner": "bold green", "failed": "red", "infeasible": "dim"}


def report(given: Report, width: int) -> Iterator[RenderableType]:
    """The whole report, without details."""
    yield Line(text.line(given.title), style="bold")
    yield ""
    yield from points([("winner" if given.decided else "none", given.decision)], width)
    yield from points([("note", line) for line in given.reservations], width)
    yield from points(given.facts, width)
    for one in given.sections:
        if not one.detail:
            yield ""
            yield from section(one, width)


def section(given: Section, width: int) -> Iterator[RenderableType]:
    """A section with its title."""
    if given.title:
        yield Line(text.line(given.title), style="bold")
    for one in given.parts:
        yield from part(one, width)


def part(given: Part, width: int) -> Iterator[RenderableType]:
    """Any part of a report; a chart is its table."""
    match given:
        case Text():
            yield from (Line(line) for line in wrapped(given.text, width))
        case Points():
            yield from points(given.items, width)
        case Code():
            yield Line(text.lines(given.text))
        case Table():
            yield table(given, width)
        case Chart() | Bars():
            yield from (Line(line) for line in wrapped(given.caption, width))
            yield table(given.table, width)
        case Sentences():
            yield from (Line(line) for line in wrapped(f"{len(given.items) + given.left_out} sentences differ.", width))
        case Section():
            if not given.detail:
                yield from section(given, width)


def points(items: Sequence[tuple[str, str]], width: int) -> Iterator[Line]:
    """Points, each with its label in a column of its own; the lines of one are indented below its first."""
    for label, said in items:
        yield labelled(label, said, width)


def labelled(label: str, said: str, width: int, style: str = "") -> Line:
    """A sentence after its label."""
    first = f"  {text.line(label):<{LABEL - 1}} " if label else "  "
    return Line("\n".join(wrapped(said, width, first, " " * cell_len(first))), style=style)


def wrapped(said: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines broken at spaces only, so that paths and figures stay whole. Without a width nothing is broken."""
    line = text.line(said)
    if not width:
        return [first + line]
    whole = glued(line)
    wide = textwrap.wrap(
        whole, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return [one.replace(KEPT, " ") for one in wide] or [first]


def table(given: Table, width: int) -> RenderableType:
    """A table, in as many bands as it takes for every figure to stay whole; each band begins with the first column.

    The winner has a star. With a width of 0 all columns stand in one band.
    """
    lines = [[text.line(cell) for cell in line] for line in given.texts]
    headings = [text.line(heading) for heading in given.headings]
    figures = [[line[i] if i < len(line) else "" for line in lines] for i in range(len(headings))]
    sizes = [max(map(cell_len, (heading, *column))) for heading, column in zip(headings, figures, strict=True)]
    starred = any("winner" in given.marked(i) for i in range(len(lines)))
    grids: list[RenderableType] = []
    for band in bands(given, sizes, width - (1 + GAP if starred else 0) if width else 0):
        grid = Grid(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False)
        if starred:
            grid.add_column("", no_wrap=True)
        for i in band:
            sentence = width > 0 and sizes[i] > SENTENCE
            grid.add_column(
                headings[i],
                justify="right" if i and not sentence and given.has_figures(i) else "left",
                no_wrap=not sentence,
                overflow="fold",
                max_width=max(SENTENCE, width - GAP - sizes[0] - 2) if sentence else None,
                min_width=None if sentence else sizes[i],
            )
        for number, line in enumerate(lines):
            marks = given.marked(number)
            star = ("*" if "winner" in marks else "",) if starred else ()
            style = next((STYLES[mark] for mark in marks if mark in STYLES), "")
            grid.add_row(*star, *(line[i] if i < len(line) else "" for i in band), style=style)
        grids += [grid] if not grids else ["", grid]
    title = [Line(line) for line in wrapped(given.title, width)] if given.title else []
    return Group(*title, *grids)


def bands(given: Table, sizes: Sequence[int], width: int) -> list[list[int]]:
    """Columns by band: the most important ones that fit in the first, in the table's order, the rest in those below."""
    important = [i for name in given.important for i, heading in enumerate(given.headings) if heading == name and i]
    left = [*important, *(i for i in range(1, len(sizes)) if i not in important)]
    if not width or not left:
        return [[0, *sorted(left)]]
    found: list[list[int]] = []
    while left:
        used, band = sizes[0], list[int]()
        for i in left:
            size = min(sizes[i], SENTENCE) if sizes[i] > SENTENCE else sizes[i]
            if not band or used + GAP + size <= width:
                used += GAP + size
                band.append(i)
        left = [i for i in left if i not in band]
        found.append([0, *sorted(band)])
    return found
