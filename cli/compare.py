"""`slimner compare`: a candidate against its baseline, metric by metric."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.records import Measuring
from ..eval import CorpusSource
from ..jobs import compare as compare_job
from ..reports.gate_output import comparison_section
from . import options, printing
from .progress import Steps


@click.command(short_help="Compare a candidate with its baseline: better, worse, the same, or cannot tell.")
@click.argument("baseline")
@click.argument("candidate")
@options.variant
@options.policy
@options.budget
@options.corpus
@options.workload
@options.pairing
@options.output
def compare(
    baseline: str,
    candidate: str,
    variant: str | None,
    policy_file: Path | None,
    budget: float,
    corpus: CorpusSource,
    workload: str | None,
    settings: Measuring,
    as_json: bool,
) -> int:
    """Compare CANDIDATE with BASELINE: two artifacts, bundles or checkpoints, measured now in pairs; or two reports.

    Every metric gets a change with its interval and a verdict: better, worse, same (inside the margin), or
    inconclusive. Pairs of fresh processes run until every metric has a verdict or the budget is spent. Recorded figures
    are compared only where corpus, machine and settings are the same. Without gold labels F1 is not judged, unless the
    policy limits its drop. Exit code: 0 nothing is worse, 1 something is, 3 cannot tell, 4 a side failed.

    \b
    slimner compare artifact-a artifact-b
    slimner compare old-report new-report --variant onnx-int8
    """
    with Steps() as progress:
        compared = compare_job(
            baseline,
            candidate,
            variant=variant,
            policy=options.policy_of(policy_file),
            corpus=corpus,
            workload=workload,
            settings=settings,
            budget_s=budget,
            progress=progress,
        )
    if as_json:
        printing.print_json(compared.comparisons)
        return compared.exit_code
    printing.print_sections(
        [
            comparison_section(
                c, f"{c.candidate.variant} ({c.candidate.label}) against {c.baseline.variant} ({c.baseline.label})"
            )
            for c in compared.comparisons
        ]
    )
    printing.say(f"  margins {compared.margins}")
    for comparison in compared.comparisons:
        if comparison.ended and comparison.ended != "settled":
            printing.say(f"  ended   {comparison.ended}")
    return compared.exit_code
