"""`slimner report`: what a run found, as a page, as Markdown, or in the terminal."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Group

from ..core.errors import UserError
from ..core.store import write_text
from ..jobs import report as report_job
from ..reports import terminal
from ..reports.report import TABLE, WRITERS
from ..reports.tables import as_csv
from . import options, printing

# By format, the file that a directory gets; the table is that of the rows, not of the report.
FILES = {name: file for name, (file, _) in WRITERS.items()} | {"csv": TABLE}


def _formats(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if unknown := [name for name in names if name not in FILES]:
        raise click.BadParameter(f"'{unknown[0]}' is not one of {', '.join(FILES)}")
    return names or ("html",)


@click.command(short_help="Write a report to send on: one page that opens offline, Markdown, CSV or JSON.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR|FILE.html",
    help="Directory to write to, or the page itself. [default: print the report]",
)
@click.option(
    "--format",
    "formats",
    default="html",
    show_default=True,
    callback=_formats,
    metavar=",".join(FILES),
    help=f"Formats to write into a directory, with commas: {', '.join(FILES.values())}.",
)
@click.option("--before", metavar="VARIANT", help="Put this variant beside --after. [default: the baseline]")
@click.option("--after", metavar="VARIANT", help="The variant beside --before. [default: the winner]")
@options.policy
@options.debug
def report(
    results: tuple[Path, ...],
    out: Path | None,
    formats: tuple[str, ...],
    before: str | None,
    after: str | None,
    policy_file: Path | None,
) -> None:
    """Report on RESULTS, recorded by `slimner run` (its directory, or its results.json); nothing is measured, and no
    model is needed.

    Several results, a directory of reports or a history are also shown over time, by machine and by checkpoint.

    What `slimner load --json` and `slimner ledger --json` printed may be given too: it becomes load curves and minimum
    memory. In the directory of a run, files named load*.json and ledger*.json are found by themselves.

    \b
    slimner report slimner-report
    slimner report slimner-report --out report.html
    slimner report old-report new-report --out report.html
    slimner report slimner-report load.json --out share --format html,md,csv
    """
    if out is not None and out.suffix == ".html" and formats != ("html",):
        raise UserError(f"--format {','.join(formats)} needs a directory, and --out is {out}", "give --out a directory")
    found = report_job(results, policy=options.policy_of(policy_file), before=before, after=after)
    if out is None:
        console = printing.out_console()
        for part in terminal.report(found.report, console.room):
            console.print(part, soft_wrap=not isinstance(part, Group))
        return
    page = out.suffix == ".html"
    for name in formats:
        path = out if page else out / FILES[name]
        if name == "csv":
            write_text(path, as_csv(found.rows, found.decision.winner))
        else:
            WRITERS[name][1](path, found.report)
        printing.tell("report", str(path))
