"""`slimner compare`: a candidate against its baseline, metric by metric."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASS, EXIT_REGRESSION, UserError
from ..eval import CorpusSource
from ..reports import Policy, Question, read_policy
from ..reports.gate import margins, settle
from ..reports.gate_output import comparison_section
from . import options
from .calibrate import stored
from .judging import judge_sides
from .sides import given, pair_settings


@click.command(short_help="Better, worse, the same, or cannot tell: a candidate against its baseline.")
@click.argument("baseline")
@click.argument("candidate")
@options.variant
@options.policy
@options.budget
@options.corpus
@options.workload
@options.threads
@options.pair_samples
@options.warmup
@options.seed
@options.timeout
@options.as_json
@options.debug
def compare(
    baseline: str,
    candidate: str,
    variant: str | None,
    policy_file: Path | None,
    budget: float,
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
    """Compare CANDIDATE with BASELINE: two artifacts or checkpoints, measured now in pairs; or two results files.

    Every metric gets a change with its interval and a verdict: better, worse, same (inside the margin), or
    inconclusive. Pairs of fresh processes run in turn until all is settled or the budget is spent. Recorded figures are
    compared only where corpus, machine and settings are the same. Exit code: 0 nothing is worse, 1 something is, 3
    cannot tell.

    \b
    slimner compare artifact-a artifact-b
    slimner compare old/results.json new/results.json --variant onnx-int8
    """
    policy = read_policy(policy_file) if policy_file else Policy()
    judged, sources = margins(policy, stored())
    question = Question(margins=judged, seed=seed)
    settings = pair_settings(threads=threads, samples=samples, warmup=warmup, seed=seed, timeout=timeout)
    screen = options.err_console()
    with screen.status("reading") as status:
        one, two = (given(name, variant, timeout, status.update) for name in (baseline, candidate))
    comparisons = judge_sides(
        one,
        two,
        question,
        corpus=corpus,
        workload=workload,
        settings=settings,
        budget_s=budget,
        to_the_end=True,
    )
    if not comparisons:
        raise UserError(f"{baseline} and {candidate} have no variant in common", "name one with --variant")
    if as_json:
        options.print_json(comparisons)
    else:
        sections = [
            comparison_section(
                c,
                f"{c.candidate.variant} ({c.candidate.label}) against {c.baseline.variant} ({c.baseline.label})",
            )
            for c in comparisons
        ]
        options.print_sections(sections, ())
        console = options.out_console()
        console.print(f"  margins {sources}", markup=False, soft_wrap=True)
        for comparison in comparisons:
            if comparison.ended and comparison.ended != "settled":
                console.print(f"  ended   {comparison.ended}", markup=False, soft_wrap=True)
    outcomes = {settle(comparison.verdicts) for comparison in comparisons}
    if any(side.failures for c in comparisons for side in (c.baseline, c.candidate)):
        return EXIT_FAILED
    if all(v.verdict == "not comparable" for c in comparisons for v in c.verdicts):
        return EXIT_INCONCLUSIVE
    return (
        EXIT_REGRESSION if "regression" in outcomes else EXIT_INCONCLUSIVE if "inconclusive" in outcomes else EXIT_PASS
    )
