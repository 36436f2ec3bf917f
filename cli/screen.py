"""Terminal output whose content cannot act as a command to the terminal, or to a CI system that reads the log."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.status import Status
from rich.text import Text

from ..core import text

# Columns of a log that people read in a CI system, and of a file, where nothing is broken.
LOG, UNBROKEN = 120, 10_000


class Line(Status):
    """The current activity, in one line that is overwritten; rich would read a string in it as markup."""

    def update(self, status: RenderableType | None = None, **options: Any) -> None:
        """Show another activity."""
        super().update(Text(text.line(status)) if isinstance(status, str) else status, **options)


class Screen(Console):
    """A console that prints what it is given as text: no markup, no emoji codes, and every string on one line."""

    def __init__(
        self,
        *,
        stderr: bool = False,
        width: int | None = None,
        file: IO[str] | None = None,
        force_terminal: bool | None = None,
        no_color: bool | None = None,
    ) -> None:
        super().__init__(
            stderr=stderr,
            width=width,
            file=file,
            force_terminal=force_terminal,
            no_color=no_color,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def status(self, status: RenderableType, **options: Any) -> Line:
        """A line that `update` overwrites."""
        return Line(Text(text.line(status)) if isinstance(status, str) else status, console=self, **options)

    def render_str(self, text_: str, **options: Any) -> Text:  # type: ignore[override]
        """A string as it is printed, in a table too."""
        return super().render_str(text.line(text_), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is printed; styles and movements of the cursor are rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(text.lines(segment.text), segment.style)

    @property
    def room(self) -> int:
        """Columns that a line may take; 0 where lines are not broken, as in a pipe or a file."""
        if self.is_terminal:
            return self.width
        columns = os.environ.get("COLUMNS", "")
        return int(columns) if columns.isdecimal() else LOG if os.environ.get("CI") else 0


def out() -> Screen:
    """Standard output; of unlimited width when it is not a terminal."""
    screen = Screen()
    return screen if screen.is_terminal else Screen(width=UNBROKEN)
