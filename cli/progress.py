"""Progress of long work: on a terminal a table that fills in above one line of progress; elsewhere one line a step."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from ..core import text
from ..core.metrics import METRICS
from ..core.records import BuildRecord, EvaluationRecord, MeasurementRecord
from ..reports import terminal
from ..reports.content import Table
from ..reports.formatting import MISSING, megabytes, show
from .screen import Screen

BAR = 24

# Figures of processes that the table fills in with.
FILLED = ("memory", "p50", "p95", "qps")


class Steps:
    """Named phases, one at a time, each of a known number of steps, and their records so far."""

    def __init__(self, console: Screen | None = None) -> None:
        self.console = console or Screen(stderr=True)
        self._phase, self._what, self._begun = "", "", time.monotonic()
        self._done: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._took: dict[str, dict[str, list[float]]] = {}
        self._found = _Found()
        self._live = Live(
            console=self.console, get_renderable=self._shown, refresh_per_second=2, transient=True, auto_refresh=True
        )

    def __enter__(self) -> Steps:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def note(self, message: str) -> None:
        """Print a remark above the table."""
        style = "yellow" if message.startswith("note") else ""
        for line in terminal.wrapped(message, self.console.room, "", "      " if style else ""):
            self.console.print(line, style=style, markup=False, soft_wrap=True)

    def phase(self, name: str, total: int) -> None:
        """Announce a phase, or more steps of it."""
        self._phase, self._what, self._begun = name, "", time.monotonic()
        self._totals[name] = self._totals.get(name, 0) + total
        self._done.setdefault(name, 0)

    def now(self, phase: str, what: str) -> None:
        """Say what is being done."""
        self._phase, self._what, self._begun = phase, what, time.monotonic()

    def done(self, phase: str, what: str) -> None:
        """A step has ended."""
        self._step(phase)
        if not self.console.is_terminal:
            self.console.print(
                f"{phase} {self._done[phase]}/{self._totals[phase]}: {what}", markup=False, soft_wrap=True
            )

    def failed(self, phase: str, what: str, *, counts: bool = True) -> None:
        """A step has failed; it stays on the screen."""
        for line in terminal.wrapped(f"{phase} failed: {what}", self.console.room):
            self.console.print(line, style="red", markup=False, soft_wrap=True)
        if counts:
            self._step(phase)

    def found(self, record: BuildRecord | EvaluationRecord | MeasurementRecord) -> None:
        """A record of a variant, for the table."""
        self._found.add(record)

    def _step(self, phase: str) -> None:
        self._done[phase] = self._done.get(phase, 0) + 1
        if self._what:  # what was kept from an interrupted run took no time, and tells nothing about the rest
            self._took.setdefault(phase, {}).setdefault(self._what, []).append(time.monotonic() - self._begun)
            self._what = ""
        if self._live.is_started:
            self._live.refresh()

    def left_s(self) -> float | None:
        """Estimated seconds for the rest of the phase, from its finished steps; None while there are fewer than two.

        Variants take turns, so each is expected to take its own mean, and those not seen yet the mean of the others.
        """
        took = self._took.get(self._phase, {})
        if sum(map(len, took.values())) < 2:
            return None
        means = [sum(seconds) / len(seconds) for seconds in took.values()]
        steps = self._totals[self._phase] - self._done[self._phase]
        running = time.monotonic() - self._begun if self._what else 0.0
        return max(0.0, steps * sum(means) / len(means) - running)

    def _shown(self) -> RenderableType:
        line = self._line()
        table = self._found.table()
        return line if table is None else Group("", terminal.table(table, self.console.room), "", line)

    def _line(self) -> Text:
        if not self._phase:
            return Text("")
        done, total = self._done[self._phase], max(1, self._totals[self._phase])
        full = min(BAR, done * BAR // total)
        left = self.left_s()
        parts = [f"{self._phase} {done}/{total}", self._what, "" if left is None else f"about {duration(left)} left"]
        line = Text("  " + "━" * full, style="bold")
        line.append("━" * (BAR - full), style="dim")
        line.append("  " + " · ".join(text.line(part) for part in parts if part), style="not bold")
        line.truncate(self.console.width, overflow="ellipsis")
        return line


class _Found:
    """The figures of each variant so far, as a table that fills in."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._f1: dict[str, float] = {}
        self._measured: dict[str, list[MeasurementRecord]] = {}

    def add(self, record: BuildRecord | EvaluationRecord | MeasurementRecord) -> None:
        """Take a record in."""
        if isinstance(record, BuildRecord):
            self._sizes[record.variant] = record.size_bytes
        elif isinstance(record, EvaluationRecord):
            self._f1[record.variant] = record.strict.f1
        elif record.timed:
            self._measured.setdefault(record.variant, []).append(record)

    def table(self) -> Table | None:
        """None while nothing has been found."""
        if not self._sizes:
            return None
        lines: list[list[str]] = []
        for variant, size in self._sizes.items():
            f1, measured = self._f1.get(variant), self._measured.get(variant, [])
            line = [variant, MISSING if f1 is None else f"{f1 * 100:.2f}", megabytes(size)]
            for name in FILLED:
                figure = METRICS[name].spread(measured) if measured else None
                line.append(show(METRICS[name], figure.value if figure else None))
            lines.append([*line, str(len(measured))])
        titles = (METRICS[name].title for name in FILLED)
        return Table(headings=("variant", "F1", "size", *titles, "processes"), lines=lines)


def duration(seconds: float) -> str:
    """A waiting time, rounded to its precision: `5 s`, `40 s`, `3 min`."""
    return f"{max(5, round(seconds / 5) * 5)} s" if seconds < 57.5 else f"{max(1, round(seconds / 60))} min"
