"""`slimner gate`: an exit code for CI."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ..core.gate_records import GateRecord
from ..core.records import Measuring
from ..core.store import write_json, write_text
from ..eval import CorpusSource
from ..jobs import gate as gate_job
from ..reports.gate_output import background, check_line, comment, github_annotations, junit, summary
from . import options, printing
from .progress import Steps
from .streams import verbatim

STYLES = {
    "pass": "green",
    "regression": "bold red",
    "failed": "bold red",
    "inconclusive": "yellow",
    "not judged": "dim",
}


@click.command(short_help="Fail CI if a candidate is worse than its baseline, and only then.")
@click.option("--baseline", required=True, metavar="X", help="Committed results, a report, an artifact, a bundle, ...")
@click.option("--candidate", required=True, metavar="Y", help="What to judge; any of the same kinds.")
@options.variant
@options.policy
@options.budget
@click.option("--all", "everything", is_flag=True, help="Judge every metric, even if F1 is already a regression.")
@click.option(
    "--junit", "junit_file", type=click.Path(path_type=Path, dir_okay=False), help="File to write as JUnit XML."
)
@click.option(
    "--comment",
    "comment_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write as Markdown for a pull request: the verdict, what decided it, the rest folded.",
)
@click.option(
    "--github",
    is_flag=True,
    help="Print GitHub annotations, and append to $GITHUB_STEP_SUMMARY and $GITHUB_OUTPUT.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write the whole record to, as JSON."
)
@options.corpus
@options.workload
@options.pairing
@options.output
def gate(
    baseline: str,
    candidate: str,
    variant: str | None,
    policy_file: Path | None,
    budget: float,
    everything: bool,
    junit_file: Path | None,
    comment_file: Path | None,
    github: bool,
    out: Path | None,
    corpus: CorpusSource,
    workload: str | None,
    settings: Measuring,
    as_json: bool,
) -> int:
    """Decide whether a candidate is worse than its baseline by more than the margins, or breaks a constraint of the
    policy.

    Two artifacts or checkpoints are measured in pairs until that is known or the budget is spent. A committed results
    file holds the figures that carry over to other machines: F1, sizes, and memory with the same libraries. Timings
    recorded elsewhere are never judged.

    \b
    Exit codes: 0 no worse; 1 a regression; 2 the request is wrong (such as a missing baseline);
    3 cannot tell; 4 a build or a measurement failed, or results are missing.

    \b
    slimner gate --baseline main-artifact --candidate branch-artifact --junit gate.xml
    slimner gate --baseline baseline.json --candidate slimner-report --policy policy.toml
    """
    with Steps() as progress:
        record = gate_job(
            baseline,
            candidate,
            variant=variant,
            policy=options.policy_of(policy_file),
            corpus=corpus,
            workload=workload,
            settings=settings,
            budget_s=budget,
            everything=everything,
            progress=progress,
        )
    if as_json:
        printing.print_json(record)
    else:
        _print(record, github=github)
    sys.stdout.flush()  # the verdict is out before any file is written
    if junit_file:
        _write(junit_file, junit(record))
    if comment_file:
        _write(comment_file, comment(record))
    if out:
        _write(out, record)
    if github and (path := os.environ.get("GITHUB_STEP_SUMMARY")):
        _write(Path(path), summary(record), add=True)
    if github and (path := os.environ.get("GITHUB_OUTPUT")):
        _write(Path(path), f"outcome={record.outcome}\nexit-code={record.exit_code}\n", add=True)
    return record.exit_code


def _write(path: Path, content: str | GateRecord, *, add: bool = False) -> None:
    """Write a file; if that fails, print a note and leave the verdict as it is."""
    try:
        if isinstance(content, GateRecord):
            write_json(path, content)
        elif add:
            with path.open("a", encoding="utf-8") as file:
                file.write(content)
        else:
            write_text(path, content)
    except OSError as error:
        printing.remark(f"note: {path} could not be written: {error.strerror or error}; the verdict stands")


def _print(record: GateRecord, *, github: bool) -> None:
    console = printing.out_console()
    if github:
        for line in github_annotations(record):
            verbatim(line)
    width = max((len(check_line(check)[0]) for check in record.checks), default=0)
    for check in record.checks:
        name, outcome, message = check_line(check)
        console.print(f"  {name:<{width}}  ", markup=False, end="")
        console.print(f"{outcome:<12}", style=STYLES[outcome], end=" ")
        console.print(message, markup=False, soft_wrap=True)
    console.print()
    for comparison in record.comparisons:
        if not comparison.pairs and comparison.ended:
            printing.say(f"  pairs: none, {comparison.ended}")
        elif comparison.pairs:
            printing.say(
                f"  pairs: {comparison.pairs} ({comparison.ended}), {comparison.disturbed_pairs} more disturbed; "
                f"{comparison.correction}"
            )
    for line in background(record):
        printing.say(f"  {line}")
    printing.say(f"  time: {record.seconds:.0f} s")
    printing.say("", record.outcome, style=STYLES[record.outcome])
    if record.outcome == "inconclusive":
        printing.say("next: raise --budget, widen the margin in the policy, or run on a quieter machine")
