"""`slimner history`: runs over time, over machines and over checkpoints."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import UserError
from ..jobs.history import HISTORY, add_to_history, read_history
from ..reports.report import WRITERS
from ..reports.trend import report_on
from ..reports.verdicts import change_of
from . import options, printing

_directory = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=HISTORY,
    show_default=True,
    help="Directory of the history.",
)
_branch = click.option(
    "--branch", default=None, metavar="NAME", help="Branch of this git repository that holds the history instead."
)


@click.group(short_help="Keep runs over time, and show what changed by commit, machine and checkpoint.")
def history() -> None:
    """Keep a history of runs as plain files, and show what changed in it."""


@history.command(short_help="Add a run to a history.")
@click.argument("results", type=click.Path(path_type=Path))
@_directory
@_branch
@options.output
def add(results: Path, directory: Path, branch: str | None, as_json: bool) -> None:
    """Add RESULTS (the report of `slimner run`) with a verdict on each figure against the run before it on the same
    kind of machine. Some kilobytes are kept of each run; the same results are added once.

    \b
    slimner history add slimner-report
    slimner history add slimner-report --branch slimner-history && git push origin slimner-history
    """
    added = add_to_history(results, directory, branch=branch)
    if as_json:
        printing.print_json(added.entry)
        return
    where = f"branch {branch}" if branch else str(directory)
    printing.say(f"{'known' if added.known else 'added':<8} {added.file} in {where}")
    for variant in added.entry.variants:
        for verdict in variant.verdicts:
            if verdict.verdict in ("better", "worse"):
                printing.say(f"{verdict.verdict:<8} {variant.variant} {verdict.metric} {change_of(verdict)}")
    printing.say(f"next     slimner history show {f'--branch {branch}' if branch else f'--dir {directory}'}")


@history.command(short_help="Show what changed, and every series over time.")
@_directory
@_branch
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html|FILE.md|FILE.json",
    help="File to write: a page that opens offline (.html), Markdown (.md) or JSON (.json).",
)
@options.output
def show(directory: Path, branch: str | None, out: Path | None, as_json: bool) -> None:
    """Show what changed from run to run, the trend of each figure, and which variant wins on which machine.

    \b
    slimner history show
    slimner history show --branch slimner-history --out history.html
    """
    entries = read_history(directory, branch=branch)
    if as_json:
        printing.print_json(entries)
        return
    report = report_on(entries)
    if out:
        if out.suffix[1:] not in WRITERS:
            raise UserError(f"--out {out}: its ending is not .html, .md or .json", "give the file one of them")
        WRITERS[out.suffix[1:]][1](out, report)
        printing.say(f"wrote    {out}")
        return
    printing.say(f"{report.title}. {report.decision}")
    for section in report.sections:
        printing.say("")
        printing.show(section)
