"""`slimner gate`: an exit code for CI."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from ..core.errors import EXIT_FAILED, ChildError
from ..core.gate_records import Check, GateRecord
from ..core.store import write_json, write_text
from ..core.verdicts import Comparison
from ..eval import CorpusSource
from ..reports import Policy, Question, read_policy
from ..reports.calibration import said
from ..reports.gate import EXIT_CODES, checks, failures, margins, outcome_of
from ..reports.gate_output import background, check_line, github_annotations, junit, summary
from ..variants import verify
from . import options
from .calibrate import stored
from .judging import judge_sides
from .sides import Given, given, pair_settings

STYLES = {
    "pass": "green",
    "regression": "bold red",
    "failed": "bold red",
    "inconclusive": "yellow",
    "not judged": "dim",
}


@click.command(short_help="Fail CI when a candidate is worse than its baseline, and only then.")
@click.option("--baseline", required=True, metavar="X", help="Committed results, an artifact, or a checkpoint.")
@click.option("--candidate", required=True, metavar="Y", help="What may have become worse, of any of the same kinds.")
@options.variant
@options.policy
@options.budget
@click.option("--junit", "junit_file", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML there.")
@click.option("--github", is_flag=True, help="Print GitHub annotations, and add to $GITHUB_STEP_SUMMARY.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the whole record there as JSON.")
@options.corpus
@options.workload
@options.threads
@options.pair_samples
@options.warmup
@options.seed
@options.timeout
@options.as_json
@options.debug
def gate(
    baseline: str,
    candidate: str,
    variant: str | None,
    policy_file: Path | None,
    budget: float,
    junit_file: Path | None,
    github: bool,
    out: Path | None,
    corpus: CorpusSource,
    workload: str,
    threads: int,
    samples: int,
    warmup: int,
    seed: int,
    timeout: float,
    as_json: bool,
    debug: bool,
) -> int:
    """Say whether a candidate is worse than its baseline by more than the margins, or breaks a constraint of the
    policy.

    Two artifacts or checkpoints are measured in pairs until that is known or the budget is spent. A committed results
    file holds what travels between machines: F1, sizes, and memory under the same libraries; timings recorded elsewhere
    are never judged.

    \b
    Exit codes: 0 no worse; 1 a regression; 2 the request is wrong (no baseline there);
    3 it cannot be told yet; 4 a build or a measurement failed, or results are missing.

    \b
    slimner gate --baseline main-artifact --candidate branch-artifact --junit gate.xml
    slimner gate --baseline baseline.json --candidate slimner-report/results.json --policy policy.toml
    """
    begun = time.monotonic()
    policy = read_policy(policy_file) if policy_file else Policy()
    calibration = stored()
    judged, sources = margins(policy, calibration)
    settings = pair_settings(threads=threads, samples=samples, warmup=warmup, seed=seed, timeout=timeout)
    found: list[Check] = []
    comparisons: list[Comparison] = []
    try:
        with options.err_console().status("reading") as status:
            one, two = (given(name, variant, timeout, status.update) for name in (baseline, candidate))
        comparisons = judge_sides(
            one,
            two,
            Question(margins=judged, seed=seed),
            corpus=corpus,
            workload=workload,
            settings=settings,
            budget_s=budget,
            to_the_end=False,
        )
        found += _failures(one, two)
    except (ChildError, OSError) as error:
        if isinstance(error, ChildError) and error.stderr_tail:
            options.err_console().print(error.stderr_tail, style="dim", markup=False)
        found.append(Check(variant=variant or "", name="measurement", outcome="failed", message=str(error)))
    for comparison in comparisons:
        found += checks(comparison, policy)
    outcome = outcome_of(found)
    record = GateRecord(
        outcome=outcome,
        exit_code=EXIT_CODES.get(outcome, EXIT_FAILED),
        baseline=baseline,
        candidate=candidate,
        policy=policy.describe(),
        margins=sources,
        calibration=said(calibration),
        checks=tuple(found),
        comparisons=tuple(comparisons),
        seconds=round(time.monotonic() - begun, 1),
    )
    _write(record, junit_file, out, github=github)
    if as_json:
        options.print_json(record)
    else:
        _print(record, github=github)
    return record.exit_code


def _failures(one: Given, two: Given) -> list[Check]:
    """What a results file lacks."""
    if one.results and two.results:
        return list(failures(one.recorded, two.recorded))
    recorded = one.recorded or two.recorded
    artifact = one.artifact or two.artifact
    if not recorded or artifact is None:
        return []
    name = verify(artifact).variant
    if name not in recorded:
        message = f"the results have no {name}, they have {', '.join(recorded)}"
        return [Check(variant=name, name="baseline", outcome="failed", message=message)]
    return list(failures({name: recorded[name]}, {name: recorded[name]}))


def _write(record: GateRecord, junit_file: Path | None, out: Path | None, *, github: bool) -> None:
    if junit_file:
        write_text(junit_file, junit(record))
    if out:
        write_json(out, record)
    if github and (path := os.environ.get("GITHUB_STEP_SUMMARY")):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary(record))


def _print(record: GateRecord, *, github: bool) -> None:
    console = options.out_console()
    if github:
        for line in github_annotations(record):
            console.print(line, markup=False, soft_wrap=True)
    width = max((len(check_line(check)[0]) for check in record.checks), default=0)
    for check in record.checks:
        name, outcome, message = check_line(check)
        console.print(f"  {name:<{width}}  ", markup=False, end="")
        console.print(f"{outcome:<12}", style=STYLES[outcome], end=" ")
        console.print(message, markup=False, soft_wrap=True)
    console.print()
    for comparison in record.comparisons:
        if not comparison.pairs and comparison.ended:
            console.print(f"  pairs: none, {comparison.ended}", markup=False)
        elif comparison.pairs:
            console.print(
                f"  pairs: {comparison.pairs} ({comparison.ended}), {comparison.rejected_pairs} disturbed and measured "
                f"again; {comparison.correction}",
                markup=False,
                soft_wrap=True,
            )
    for line in background(record):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(f"  time: {record.seconds:.0f} s", markup=False)
    console.print(f"\n{record.outcome}", style=STYLES[record.outcome])
    if record.outcome == "inconclusive":
        console.print("next: raise --budget, widen the margin in the policy, or run on a quieter machine", markup=False)
