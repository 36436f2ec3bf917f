"""Terminals: tables and lines whose content cannot give commands to a terminal, or to a CI system that reads a log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ..core import text


class Screen(Console):
    """A console that prints what it is given as text: no markup, no emoji codes, and every string on one line."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)

    def render_str(self, text_: str, **options: Any) -> Text:  # type: ignore[override]
        """A string as it is printed, in a table too."""
        return super().render_str(text.line(text_), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is printed; styles and movements of the cursor are rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(text.lines(segment.text), segment.style)


def out() -> Screen:
    """Standard output; wide enough for a table when it is not a terminal."""
    screen = Screen()
    return screen if screen.is_terminal else Screen(width=140)
