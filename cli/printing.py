"""What commands print, and how: lines, labelled sentences, parts of a report, records as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Group

from ..core.machine import describe
from ..core.records import Note
from ..reports import terminal
from ..reports.content import Part, Points, Section
from ..variants import Manifest
from .screen import Screen, out
from .streams import verbatim


def out_console() -> Screen:
    """Standard output."""
    return out()


def err_console() -> Screen:
    """Standard error, for progress and notes."""
    return Screen(stderr=True)


def json_text(record: Any) -> str:
    """A record as JSON that contains no log command of a CI system."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1).decode().replace("##[", "##\\u005b")


def print_json(record: Any) -> None:
    """Print a record as JSON."""
    verbatim(json_text(record))


def say(*lines: str, style: str = "") -> None:
    """Print lines of plain text on standard output, broken at spaces; a line end within one is shown escaped."""
    console = out_console()
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()))
        for shown in terminal.wrapped(line.lstrip(), console.room, indent, indent):
            console.print(shown, style=style, soft_wrap=True)


def tell(label: str, said: str, style: str = "") -> None:
    """Print a sentence after its label, with further lines aligned below the first."""
    console = out_console()
    console.print(terminal.labelled(label, said, console.room, style), soft_wrap=True)


def show(*parts: Part) -> None:
    """Print parts of a report."""
    console = out_console()
    for part in parts:
        for shown in terminal.part(part, console.room):
            console.print(shown, soft_wrap=not isinstance(shown, Group))


def remark(text: str) -> None:
    """Print a line on standard error that does not belong to the answer."""
    err_console().print(text, style="yellow" if text.startswith("note") else "", markup=False, soft_wrap=True)


def print_sections(sections: Sequence[Section], notes: Sequence[Note] = ()) -> None:
    """Print sections with a blank line between them, then the notes."""
    for i, section in enumerate(sections):
        if i and section.title:
            say("")
        show(section)
    print_notes(notes)


def print_notes(notes: Sequence[Note]) -> None:
    """Print notes with their remedies."""
    show(Points([("note", str(note)) for note in notes]))


def warn_of_other_instructions(manifest: Manifest) -> None:
    """Say so if an artifact was built for another instruction set than this machine's."""
    here = describe().instructions
    if manifest.instructions != here:
        err_console().print(
            f"note: {manifest.name} was built for {manifest.instructions}, this machine has {here}; "
            "INT8 answers and speed may differ, build it here",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
