"""The group of all commands; each is imported when it is called, so that `--help` is quick and needs no torch."""

from __future__ import annotations

import importlib
import importlib.metadata

import click

from .main import COMMANDS


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
    "4 a build or measurement failed, or something unforeseen.",
)
@click.version_option(importlib.metadata.version("slimner"), "-V", "--version", prog_name="slimner")
def cli() -> None:
    """Build leaner variants of a token-classification model, measure what each costs and loses, and pick one.

    `slimner run` does the whole job on the embedded Chinese model. Next, give it your own checkpoint and corpus.
    """
