"""`slimner predict`: entities of files of texts."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from ..core.errors import UserError
from ..jobs.batch.output import FORMS as RESULT_FORMS
from ..jobs.batch.texts import FORMS, STANDARD_INPUT
from ..jobs.predicting import Predicted, predict_file
from . import options, printing
from .progress import Steps
from .screen import Screen

LINE_EVERY_S = 10.0


@click.command(short_help="Find the entities in files of texts, with all cores.")
@click.argument("model", metavar="BUNDLE|ARTIFACT", type=click.Path(path_type=Path))
@click.argument("files", metavar="[FILES]...", nargs=-1)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="File to write: .jsonl, .conll, .csv or .parquet. [default: JSON lines to standard output]",
)
@click.option(
    "--field",
    default="text",
    show_default=True,
    metavar="NAME",
    help="Field or column of the text, in JSON lines, CSV and Parquet.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default=None,
    help="How the texts are stored. [default: by the ending of the name (.jsonl, .csv, .tsv, .parquet), else lines]",
)
@click.option(
    "--to", type=click.Choice(RESULT_FORMS), default=None, help="Form of the results. [default: by the ending of --out]"
)
@click.option(
    "--errors",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="File for lines that cannot be read or answered. [default: --out with .errors appended, or standard error]",
)
@click.option("--strict", is_flag=True, help="End at the first line that cannot be read or answered.")
@click.option("--fresh", is_flag=True, help="Start again instead of continuing an interrupted command.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=None,
    help="Worker processes. [default: one for each core, as memory allows] With --scheduler: wait for this many.",
)
@click.option(
    "--scheduler",
    default=None,
    metavar="ADDRESS",
    help="Use the workers of a Dask cluster: tcp://HOST:8786 or tls://HOST:8786.",
)
@options.output
def predict(
    model: Path,
    files: tuple[str, ...],
    out: Path | None,
    field: str,
    form: str | None,
    to: str | None,
    errors: Path | None,
    strict: bool,
    fresh: bool,
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Find the entities of every text in FILES (by default standard input) with the model of a bundle or an artifact.

    Writes one result for each text, in order, with offsets in characters as from the server. Files of any size need
    little memory. After an interruption the same command continues where it stopped.

    \b
    slimner predict my-bundle texts.txt --out found.jsonl
    slimner predict my-bundle news.csv --field body --out found.parquet
    zcat texts.gz | slimner predict my-bundle | jq -c .entities
    """
    if as_json and out is None:
        raise UserError("--json needs --out: results go to standard output", "name a file with --out")
    with _Shown() as shown:
        done = predict_file(
            model,
            files or STANDARD_INPUT,
            out,
            form=form,
            field=field,
            to=to,
            errors=errors,
            strict=strict,
            fresh=fresh,
            workers=workers,
            scheduler=scheduler,
            on_done=shown,
            progress=shown.steps,
        )
    if as_json:
        printing.print_json(done)
        return
    printing.remark(
        f"{done.texts:,} texts, {done.entities:,} entities in {done.seconds:,.1f} s"
        f" ({done.per_s:,.0f} per s, {done.workers} worker{'s' if done.workers > 1 else ''})"
    )
    if done.set_aside:
        printing.remark(f"note: {done.set_aside:,} set aside in {done.errors or 'standard error'}")
    if done.out:
        printing.say(f"wrote    {done.out}")


class _Shown:
    """A bar with rate and remaining time on a terminal; elsewhere a line from time to time."""

    def __init__(self) -> None:
        self.steps = Steps()
        console = Screen(stderr=True)
        self._terminal = console.is_terminal
        self._bar = Progress(
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            TextColumn("{task.fields[now]}", markup=False),
            console=console,
            transient=True,
            disable=not self._terminal,
        )
        self._task = self._bar.add_task("", total=None, now="opening the model")
        self._said = time.monotonic()

    def __enter__(self) -> _Shown:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, seen: Predicted) -> None:
        if self._terminal:
            total = 1.0 if seen.done is not None else None
            self._bar.update(self._task, total=total, completed=seen.done or 0.0, now=_line(seen))
        elif time.monotonic() - self._said >= LINE_EVERY_S:
            self._said = time.monotonic()
            share = f"{seen.done:.0%}, " if seen.done is not None else ""
            printing.remark(share + _line(seen))


def _line(seen: Predicted) -> str:
    left = "" if seen.remaining_s is None else f", {_time(seen.remaining_s)} left"
    aside = f", {seen.set_aside:,} set aside" if seen.set_aside else ""
    return f"{seen.texts:,} texts, {seen.per_s:,.0f} per s{left}{aside}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
