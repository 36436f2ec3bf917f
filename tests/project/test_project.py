"""The repository keeps what it promises: packages, layers of import, and docs that name everything there is."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import click
import pytest
from slimner.cli.commands import cli
from slimner.cli.main import COMMANDS
from slimner.core import errors
from slimner.core.metrics import METRICS, limits
from slimner.variants import VARIANTS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DOCS = "\n".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
)


def test_every_package_on_disk_is_packaged() -> None:
    mapped = PROJECT["tool"]["setuptools"]["package-dir"]
    on_disk = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for top in mapped.values()
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert {folder.replace("/", ".") for folder in mapped.values()} == on_disk
    assert set(mapped) == set(PROJECT["tool"]["setuptools"]["packages"])
    for folder in mapped.values():
        assert (ROOT / folder / "py.typed").exists()


def test_every_built_in_variant_is_an_entry_point_with_a_file_of_its_own() -> None:
    for name, value in PROJECT["project"]["entry-points"]["slimner.variants"].items():
        module = value.partition(":")[0].removeprefix("slimner.").replace(".", "/")
        assert (ROOT / f"{module}.py").exists()
        assert module == f"variants/{name.replace('-', '_')}"


@pytest.mark.parametrize("folder", ["recipes", "studies"])
def test_programs_that_no_test_runs_to_their_end_still_fit_the_packages(folder: str) -> None:
    names = sorted(path.stem for path in (ROOT / folder).glob("*.py"))
    assert names
    code = f"import importlib\nfor name in {names}:\n    importlib.import_module(name)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / folder, check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_docs_name_every_command_and_each_of_its_options(name: str) -> None:
    assert f"slimner {name}" in DOCS
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help
    subcommands = command.commands.values() if isinstance(command, click.Group) else ()
    for sub in subcommands:
        assert f"slimner {name} {sub.name}" in DOCS
        assert sub.help
    for parameter in (*command.params, *(parameter for sub in subcommands for parameter in sub.params)):
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            for option in parameter.opts:
                assert f"`{option}" in DOCS or f" {option} " in DOCS, f"{name} {option}"


def test_docs_name_every_variant_and_exit_code() -> None:
    for name in VARIANTS.names():
        assert f"`{name}`" in DOCS
    for constant in ("EXIT_PASS", "EXIT_REGRESSION", "EXIT_USER", "EXIT_INCONCLUSIVE", "EXIT_FAILED"):
        assert re.search(rf"^\| {getattr(errors, constant)} \|", DOCS, re.MULTILINE), constant


def test_docs_name_every_column_of_the_table_and_every_file_of_a_report() -> None:
    from slimner.reports.tables import csv_columns, headings

    for name in (*headings(), *csv_columns()):
        assert f"`{name.removesuffix('_low').removesuffix('_high')}`" in DOCS, name
    for name in (
        "results.json",
        "decision.json",
        "dependencies.json",
        "differences.json",
        "table.csv",
        "report.md",
        "report.html",
        "plots/*.svg",
    ):
        assert name in DOCS


def test_docs_name_every_key_of_a_policy_and_every_verdict() -> None:
    from slimner.core.verdicts import Verdict
    from slimner.reports.policy import F1_DROP

    for name in (F1_DROP, *limits(), *METRICS, *get_args(Verdict)):
        assert f"`{name}`" in DOCS or f"{name} = " in DOCS, name


def test_links_between_pages_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_error_tree_is_drawn_as_it_is() -> None:
    drawn = set(re.findall(r"\b(\w+Error)\b", errors.__doc__ or ""))
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.SlimnerError)
    }
    assert drawn == defined


def test_every_extra_that_a_message_names_can_be_installed() -> None:
    folders = PROJECT["tool"]["setuptools"]["package-dir"].values()
    code = "".join(path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py"))
    named = set(re.findall(r"""(?:install_hint\(|extra=)["']([a-z]+)["']""", code))
    assert {"lab", "load"} <= named <= set(PROJECT["project"]["optional-dependencies"])
