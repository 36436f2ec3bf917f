"""The reference says what the code does: its pages are generated, and each command's page has its options."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import ModuleType

import click
import pytest
from slimner.cli.commands import cli
from slimner.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
FOLDERS = ("bench", "cli", "core", "eval", "jobs", "serve", "variants")
INTERNAL = {"SLIMNER_COMPLETE", "SLIMNER_IMPORT_LOG", "SLIMNER_PARENT", "SLIMNER_PORT", "SLIMNER_STARTED"}


def test_the_committed_reference_is_what_the_code_gives(generate: ModuleType) -> None:
    committed = {str(path.relative_to(REFERENCE)): path.read_text(encoding="utf-8") for path in REFERENCE.rglob("*.md")}
    by_hand = {name: committed.get(name, "missing") for name in generate.BY_HAND}
    assert not [name for name, text in by_hand.items() if text == "missing" or text.startswith(generate.NOTICE)]
    expected = generate.pages() | by_hand
    differing = [name for name in {*committed, *expected} if committed.get(name) != expected.get(name)]
    assert not differing, "run `python docs/generate.py` and commit what it writes"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_stands_on_the_page_of_its_own_command(name: str) -> None:
    page = (REFERENCE / "commands" / f"{name}.md").read_text(encoding="utf-8")
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    subcommands = command.commands.values() if isinstance(command, click.Group) else ()
    for parameter in (*command.params, *(parameter for sub in subcommands for parameter in sub.params)):
        if isinstance(parameter, click.Option) and not parameter.hidden:
            for option in parameter.opts:
                assert re.search(rf"^\|.*`{option}[ `]", page, re.MULTILINE), option


def test_the_reference_names_every_environment_variable_that_the_code_reads() -> None:
    page = (REFERENCE / "environment.md").read_text(encoding="utf-8")
    code = subprocess.run(
        ["git", "grep", "-hoE", "SLIMNER_[A-Z_]*[A-Z]", "--", *FOLDERS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {"SLIMNER_CACHE", "SLIMNER_WORKERS"} <= set(code)
    assert {name for name in code if f"`{name}`" not in page} <= INTERNAL


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT / "docs"))
        assert name.startswith("reference/commands/") or name in navigation, name
