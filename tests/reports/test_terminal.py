"""What a terminal shows, as a terminal emulator draws it: every figure whole at any width, lines broken at spaces."""

from __future__ import annotations

import io
import itertools
import re

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from slimner.cli.screen import Screen
from slimner.reports import decide, rows_of, terminal
from slimner.reports.content import Part, Table, Text
from slimner.reports.document import comparison, reasons

from ..made import make

FIGURES = {
    "fp32": (360, 400, 8.0),
    "plain": (361, 90, 5.0),
    "a-variant-with-a-long-name": (300, 10, 1.0),
    "lean": (360, 70, 4.0),
}
COMPLEXITY = {"fp32": 0, "lean": 2, "plain": 1}


def drawn(width: int, *parts: Part, colour: bool = True) -> list[str]:
    """The lines that an emulator of that width shows of parts printed to it."""
    screen = pyte.Screen(width, 400)
    stream = pyte.Stream(screen)
    file = io.StringIO()
    console = Screen(width=width, file=file, force_terminal=True, no_color=not colour)
    for part in parts:
        for shown in terminal.part(part, width):
            console.print(shown)
    stream.feed(file.getvalue().replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("colour", [True, False])
def test_every_figure_is_whole_and_the_winner_is_marked_at_any_width(width: int, colour: bool) -> None:
    rows = rows_of(make(FIGURES))
    decision = decide(rows, COMPLEXITY)
    table = comparison(rows, decision)
    lines = drawn(width, table, colour=colour)
    text = "\n".join(lines)
    for heading in table.headings:
        assert heading in text
    for line in table.texts:
        for cell in line:
            assert any(cell in shown for shown in lines), f"{cell!r} is broken at {width} columns:\n{text}"
    starred = [line for line in lines if line.startswith("*")]
    assert starred
    assert all("lean" in line for line in starred)
    bands = sum(line.split()[:1] == ["variant"] for line in lines)
    assert (bands == 1) == (width == 200)
    assert all(heading in lines[0] for heading in ("F1", "memory"))


def test_no_width_cuts_a_figure() -> None:
    rows = rows_of(make(FIGURES))
    table = comparison(rows, decide(rows, COMPLEXITY))
    cells = {cell for line in table.texts for cell in line}
    for width in range(70, 200, 3):
        lines = drawn(width, table)
        assert [cell for cell in cells if not any(cell in line for line in lines)] == [], width


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_sentences_are_broken_at_spaces_and_hang_below_their_label(width: int) -> None:
    rows = rows_of(make(FIGURES))
    decision = decide(rows, COMPLEXITY)
    said = reasons(decision)
    lines = [line for line in drawn(width, said) if line]
    words = [word for _, sentence in said.items for word in sentence.split()]
    assert [word for line in lines for word in line[10:].split()] == words
    assert all(line[:10].strip() in {"", *(label for label, _ in said.items)} for line in lines)
    assert not any(
        re.search(r"\d$", line) and re.match(r" +(MB|ms|pp|%)", after) for line, after in itertools.pairwise(lines)
    )


def test_nothing_is_broken_where_nothing_breaks_lines() -> None:
    rows = rows_of(make(FIGURES))
    decision = decide(rows, COMPLEXITY)
    file = io.StringIO()
    console = Screen(width=10_000, file=file)
    for part in (comparison(rows, decision), reasons(decision)):
        for shown in terminal.part(part, 0):
            console.print(shown)
    lines = file.getvalue().splitlines()
    assert len(lines) == 1 + len(rows) + len(reasons(decision).items)
    assert "\x1b" not in file.getvalue()


CELLS = st.text(st.characters(categories=("L", "N", "P", "So")), min_size=1, max_size=24)


@given(st.lists(st.lists(CELLS, min_size=5, max_size=5), min_size=1, max_size=4), st.integers(60, 200))
def test_bands_hold_each_column_once_and_fit(lines: list[list[str]], width: int) -> None:
    table = Table(headings=("one", "two", "three", "four", "five"), lines=lines)
    sizes = [max(len(heading), *(cell_len(line[i]) for line in lines)) for i, heading in enumerate(table.headings)]
    bands = terminal.bands(table, sizes, width)
    assert sorted(i for band in bands for i in band if i) == [1, 2, 3, 4]
    for band in bands:
        least = sizes[0] + sum(terminal.GAP + min(sizes[i], terminal.SENTENCE) for i in band[1:])
        assert len(band) == 2 or least <= width


@given(st.lists(st.lists(CELLS, min_size=5, max_size=5), min_size=1, max_size=4), st.integers(70, 200))
def test_any_table_shows_every_figure_whole_within_any_width(lines: list[list[str]], width: int) -> None:
    table = Table(headings=("one", "two", "three", "four", "five"), lines=lines)
    figures = [i for i in range(5) if all(cell_len(line[i]) <= terminal.SENTENCE for line in lines)]
    file = io.StringIO()
    Screen(width=width, file=file).print(terminal.table(table, width))
    shown = file.getvalue().splitlines()
    assert all(cell_len(line) <= width for line in shown)
    for line in lines:
        for i in figures:
            assert any(line[i] in one for one in shown), line[i]


def test_a_word_longer_than_the_line_stays_whole() -> None:
    path = "/a/very/long/path/" + "x" * 90
    assert terminal.wrapped(f"report {path} is written", 40) == ["report", path, "is written"]
    assert drawn(40, Text("short"))[0] == "short"
