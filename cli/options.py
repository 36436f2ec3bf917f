"""Options that mean the same in every command."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from ..core.errors import MissingDependencyError
from ..core.machine import describe
from ..core.quantities import SECONDS, SIZES, quantity
from ..core.records import Note
from ..reports.tables import Section
from ..variants import Manifest


class Quantity(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on, not before
    """A figure with its unit, converted to the base unit."""

    def __init__(self, name: str, units: Mapping[str, float], example: str, *, whole: bool = False) -> None:
        self.name = name
        self.whole = whole
        self.units = units
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return value
        try:
            found = quantity(str(value), self.units)
        except ValueError:
            found = 0.0
        if not found:
            self.fail(f"'{value}' is no {self.name}; write it as {self.example}", param, ctx)
        return int(found) if self.whole else found


SIZE = Quantity("size", {name: factor for name, factor in SIZES.items() if name != "b"}, "512MB or 2GiB", whole=True)
DURATION = Quantity("time", SECONDS, "300s or 5min")

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
policy = click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="What you demand, in TOML. [default: F1 may drop 0.5 pp, least memory]",
)
variant = click.option(
    "--variant",
    default=None,
    metavar="NAME",
    help="Which variant of a results file to take, or to build of a checkpoint.",
)
pair_samples = click.option(
    "--samples",
    type=click.IntRange(67),
    default=100,
    show_default=True,
    help="Texts timed in each process of a pair; 67 are the fewest for its p95.",
)
budget = click.option(
    "--budget",
    type=DURATION,
    default="300s",
    show_default=True,
    metavar="TIME",
    help="Longest time for measuring pairs (90s, 5min); it ends earlier when the question is settled.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the record as JSON and nothing else on stdout.")
debug = click.option("--debug", is_flag=True, help="Show the traceback of an error.")


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
