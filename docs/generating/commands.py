"""A page for each command, and their index."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
from slimner.cli.commands import cli
from slimner.cli.main import COMMANDS

from .markdown import table

GUIDES = {
    "baseline": "gate",
    "build": "variants",
    "corpus": "corpora",
    "diff": "compare",
    "pick": "policy",
    "verify": "bundle",
}
"""Guide pages of the commands whose page has another name."""


def command_page(name: str) -> str:
    """One command: how it is called, what it does, its options."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    parts = [f"# slimner {name}"]
    if isinstance(command, click.Group):
        parts += [prose(command), guide(name)]
        for sub in command.commands.values():
            parts += [f"## slimner {name} {sub.name}", *described(f"slimner {name} {sub.name}", sub)]
    else:
        parts += [*described(f"slimner {name}", command, name)]
    return "\n\n".join(part for part in parts if part)


def guide(name: str) -> str:
    """The link to the page of the guide that shows the command at work."""
    page = GUIDES.get(name, name)
    return f"At work: [{page}](../../guide/{page}.md). [Exit codes](../exit-codes.md)."


def described(call: str, command: click.Command, page: str = "") -> Iterator[str]:
    """Usage, help, and the options of a command; before the options the page of the guide."""
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    names = [argument.metavar or str(argument.name).upper() for argument in arguments]
    names = [text if one.required else f"[{text}]" for text, one in zip(names, arguments, strict=True)]
    names = [f"{text}..." if argument.nargs == -1 else text for text, argument in zip(names, arguments, strict=True)]
    yield "```\n" + " ".join((call, "[OPTIONS]", *names)) + "\n```"
    yield prose(command)
    if page:
        yield guide(page)
    shown = [parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden]
    if shown:
        yield table(("option", "default", "meaning"), map(option_row, shown))


def prose(command: click.Command) -> str:
    r"""The help text as Markdown: a paragraph that begins with \b is kept as it is."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        if paragraph.startswith("\b"):
            parts.append("```text\n" + paragraph.removeprefix("\b").strip("\n") + "\n```")
        else:
            parts.append(re.sub(r"(?<!`)\B(--[a-z][a-z0-9-]*)(?![^`]*`)", r"`\1`", " ".join(paragraph.split())))
    return "\n\n".join(parts)


def option_row(option: click.Option) -> tuple[str, str, str]:
    """An option's names and value, its default, and its help."""
    value = "" if option.is_flag else " " + value_of(option)
    names = ", ".join(f"`{name}{value}`" for name in (*option.opts, *option.secondary_opts))
    text = (option.help or "").strip()
    if option.required:
        return names, "required", text
    told = re.search(r"\s*\[default: ([^\]]*)\]", text)
    if told:
        return names, told[1], text.replace(told[0], "")
    default = option.to_info_dict()["default"]
    if option.is_flag:
        return names, "off" if not default else "on", text
    given = not option.multiple and isinstance(default, str | int | float | Path)
    return names, f"`{plain(default)}`" if given else "", text


def value_of(option: click.Option) -> str:
    """What stands for an option's value: its metavar, its choices, or its type."""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(str(choice) for choice in option.type.choices)
    if isinstance(option.type, click.types.IntParamType):
        return "N"
    if isinstance(option.type, click.types.FloatParamType):
        return "X"
    if isinstance(option.type, click.Path):
        return "PATH" if option.type.dir_okay else "FILE"
    return option.type.name.upper()


def plain(value: object) -> str:
    """A default as one types it: 900, not 900.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def commands_index() -> str:
    """All commands with what they are for."""
    lines = []
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        lines.append((f"[`slimner {name}`]({name}.md)", command.get_short_help_str(120)))
    return (
        "# Commands\n\n"
        + table(("command", "what it does"), lines)
        + "\n\nEvery command has `--help`. `slimner --version` prints the version."
    )
