"""Progress of long work: bars on a terminal, a line a step elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from .screen import Screen


class Steps:
    """Named phases of a known number of steps each."""

    def __init__(self) -> None:
        console = self.console = Screen(stderr=True)
        self._bars = Progress(
            TextColumn("  {task.description:<9}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}", markup=False),
            console=console,
            transient=False,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}
        self._totals: dict[str, int] = {}

    def __enter__(self) -> Steps:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks.values():
            self._bars.update(task, now="")
        self._bars.stop()

    def note(self, message: str) -> None:
        """Print a remark above the bars."""
        style = "yellow" if message.startswith("note") else ""
        self.console.print(message, style=style, markup=False, soft_wrap=True)

    def phase(self, name: str, total: int) -> None:
        """Announce a phase, or announce it again."""
        if name in self._tasks:
            self._totals[name] += total
            self._bars.update(self._tasks[name], total=self._totals[name])
            return
        self._totals[name], self._done[name] = total, 0
        self._tasks[name] = self._bars.add_task(name, total=total, now="")

    def now(self, phase: str, what: str) -> None:
        """Say what is being done."""
        self._bars.update(self._tasks[phase], now=what)

    def done(self, phase: str, what: str) -> None:
        """A step has ended."""
        self._done[phase] += 1
        self._bars.update(self._tasks[phase], advance=1)
        if not self.console.is_terminal:
            self.console.print(
                f"{phase} {self._done[phase]}/{self._totals[phase]}: {what}", markup=False, soft_wrap=True
            )

    def failed(self, phase: str, what: str, *, counts: bool = True) -> None:
        """A step has failed; it stays on the screen."""
        self.console.print(f"{phase} failed: {what}", style="red", markup=False, soft_wrap=True)
        if counts:
            self._done[phase] += 1
            self._bars.update(self._tasks[phase], advance=1)
