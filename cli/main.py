"""`slimner`: commands are imported when they are called, so that `--help` is quick and needs no torch."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import signal
import sys
from types import FrameType
from typing import Any

import click
from rich.console import Console

from ..core.errors import EXIT_FAILED, EXIT_USER, ChildError, SlimnerError

COMMANDS = {
    "run": "slimner.cli.run:run",
    "build": "slimner.cli.build:build",
    "eval": "slimner.cli.eval:evaluate",
    "bench": "slimner.cli.bench:bench",
    "ledger": "slimner.cli.ledger:ledger",
    "load": "slimner.cli.load:load",
    "compare": "slimner.cli.compare:compare",
    "diff": "slimner.cli.diff:diff",
    "pick": "slimner.cli.pick:pick",
    "gate": "slimner.cli.gate:gate",
    "baseline": "slimner.cli.baseline:baseline",
    "calibrate": "slimner.cli.calibrate:calibrate",
    "bundle": "slimner.cli.bundle:bundle",
    "verify": "slimner.cli.verify:verify",
    "serve": "slimner.cli.serve:serve",
    "export": "slimner.cli.export:export",
    "corpus": "slimner.cli.corpus:corpus",
    "variants": "slimner.cli.variants:variants",
}


# Commands that keep what they have measured, to go on after an interruption.
RESUMES = ("run", "compare", "gate", "calibrate")


class Commands(click.Group):
    """Commands in the order of the work, imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 pass; 1 a regression, or no variant fits the policy; 2 the request is wrong; 3 cannot tell; "
    "4 a build or measurement failed.",
)
@click.version_option(importlib.metadata.version("slimner"), prog_name="slimner")
def cli() -> None:
    """Build leaner variants of a token-classification model, prove what each costs and loses, and pick one.

    `slimner run` does the whole job on the embedded Chinese model; give it a checkpoint and a corpus of your own next.
    """


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGHUP, _terminate)
    signal.signal(signal.SIGTERM, _terminate)  # ends children and removes temporary files, as Ctrl-C does
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments or bool(os.environ.get("SLIMNER_DEBUG"))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        code: Any = cli.main(args=arguments, prog_name="slimner", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        _interrupted(console, arguments)
    except KeyboardInterrupt:
        _interrupted(console, arguments)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USER)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing left to flush to
        sys.exit(EXIT_FAILED)
    except SlimnerError as error:
        if debug:
            console.print_exception()
        if isinstance(error, ChildError) and error.stderr_tail:
            lines = error.stderr_tail.splitlines()
            console.print("\n".join(lines if debug else lines[-1:]), markup=False, style="dim")
        _say(console, error.message, error.remedy)
        sys.exit(error.exit_code)
    except OSError as error:
        if debug:
            console.print_exception()
        where = f"{error.filename}: " if error.filename else ""
        _say(console, f"{where}{error.strerror or error}", "free space or fix the permissions, then start again")
        sys.exit(EXIT_FAILED)


def _interrupted(console: Console, arguments: list[str]) -> None:
    resumes = " The same command goes on where it stopped." if arguments and arguments[0] in RESUMES else ""
    console.print(f"interrupted; nothing half-written is left.{resumes}")
    sys.exit(130)


def _say(console: Console, message: str, remedy: str) -> None:
    console.print("[bold red]error[/] ", end="")
    console.print(message, markup=False, end="")
    console.print(f"\n      {remedy}" if remedy else "", markup=False)
