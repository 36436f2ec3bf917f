"""Options that mean the same in every command."""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import click
import msgspec
from rich.console import Console

from ..core.errors import MissingDependencyError, UserError
from ..core.machine import describe
from ..core.records import Note
from ..reports.tables import Section
from ..variants import LoadOptions, Manifest
from ..variants.labels import SCHEMES

corpus = click.option(
    "--corpus",
    default="news-zh",
    show_default=True,
    metavar="FILE",
    help="Labelled sentences: a column file (token, tag) or JSON lines with character spans.",
)
workload = click.option(
    "--workload",
    default="news-zh",
    show_default=True,
    metavar="FILE",
    help="Texts to measure on, one a line, with the lengths you expect in use.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Threads of each measured process, the same for every variant.",
)
seed = click.option("--seed", type=int, default=1, show_default=True, help="Seed of resampling and of text order.")
timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=7 * 24 * 3600),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time for one build, one evaluation or one measured process.",
)
repetitions = click.option(
    "--repetitions",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Timed processes a variant, besides the one that is sampled for memory.",
)
samples = click.option(
    "--samples",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Texts timed in each process; a percentile is printed when ten samples lie beyond it.",
)
warmup = click.option(
    "--warmup",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Texts of a warm-up pass; passes go on until they get no faster.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the record as JSON and nothing else on stdout.")
debug = click.option("--debug", is_flag=True, help="Show the traceback of an error.")


def checkpoint(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument CHECKPOINT and what a user may say of it; the command gets `checkpoint` and `load`."""

    @functools.wraps(command)
    def wrapped(*, labels: str | None, scheme: str | None, allow_pickle: bool, **rest: Any) -> Any:
        load = LoadOptions(labels=_tags(labels) if labels else None, scheme=scheme, allow_pickle=allow_pickle)
        return command(load=load, **rest)

    for decorate in (
        click.option(
            "--allow-pickle",
            is_flag=True,
            help="Read a checkpoint whose weights are pickled (as weights only: no code in it is run).",
        ),
        click.option(
            "--scheme",
            type=click.Choice(SCHEMES),
            default=None,
            help="Scheme of the model's tags. [default: told from the tags; IOB2 where they could be IOB1 as well]",
        ),
        click.option(
            "--labels",
            default=None,
            metavar="O,B-PER,...|FILE",
            help="The model's tags in the order of its outputs, if the checkpoint does not name them (LABEL_0, ...).",
        ),
        click.argument("checkpoint", default="news-zh"),
    ):
        wrapped = decorate(wrapped)
    return wrapped


def _tags(value: str) -> tuple[str, ...]:
    if Path(value).is_file():
        return tuple(line.strip() for line in Path(value).read_text(encoding="utf-8").splitlines() if line.strip())
    if "," not in value:
        raise UserError(f"--labels: no file '{value}'", "give the tags with commas, or a file with one a line")
    return tuple(tag.strip() for tag in value.split(","))


class Size(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on, not before
    """A size in bytes, written with its unit: 512MB is 512 million bytes, 512MiB 536,870,912."""

    name = "size"
    UNITS: ClassVar = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmg]i?b)\s*", str(value), re.IGNORECASE)
        if not match or not float(match.group(1)):
            self.fail(f"'{value}' is no size; write it as 512MB or 2GiB", param, ctx)
        return int(float(match.group(1)) * self.UNITS[match.group(2).lower()])


SIZE = Size()


def out_console() -> Console:
    """Standard output; wide enough for a table when it is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=140)


def err_console() -> Console:
    """Standard error, for progress and notes."""
    return Console(stderr=True, highlight=False)


def print_json(record: Any) -> None:
    """Print a record as JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(record), indent=1).decode() + "\n")


def print_sections(sections: Sequence[Section], notes: Sequence[Note]) -> None:
    """Print tables with a blank line between them, then the notes."""
    console = out_console()
    for i, section in enumerate(sections):
        if i and section.title:
            console.print()
        for part in section.terminal():
            console.print(part, markup=False, soft_wrap=True) if isinstance(part, str) else console.print(part)
    print_notes(notes)


def print_notes(notes: Sequence[Note]) -> None:
    """Print what a reader has to know, with what to do about it."""
    for note in notes:
        out_console().print(f"  note    {note}", markup=False, soft_wrap=True)


def require(*modules: str) -> None:
    """Raise MissingDependencyError if this install lacks one of the modules."""
    if missing := [module for module in modules if importlib.util.find_spec(module) is None]:
        raise MissingDependencyError(
            f"this command needs {', '.join(missing)}, not installed here", "pip install 'slimner[lab]'"
        )


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
