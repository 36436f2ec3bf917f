"""Options that mean the same in every command."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import click
import msgspec
from rich.console import Console

from ..core.errors import MissingDependencyError
from ..core.machine import describe
from ..variants import Manifest

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
    default=2,
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
    "--warmup", type=click.IntRange(0), default=20, show_default=True, help="Texts answered before timing starts."
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
