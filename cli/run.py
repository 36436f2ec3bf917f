"""`slimner run`: build, score, measure, compare, decide, report."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import EXIT_FAILED, EXIT_PASS, EXIT_REGRESSION
from ..core.records import Measuring
from ..core.store import RESULTS
from ..eval import CorpusSource
from ..jobs import run as run_job
from ..jobs.running import REPORT, TIE_BUDGET_S
from ..reports.notes import notes
from ..reports.report import PAGE
from ..variants import LoadOptions
from . import options, printing
from .pick import print_decision
from .progress import Steps


@click.command(short_help="Do the whole job: build, score, measure, compare, decide, report.")
@options.checkpoint
@options.corpus
@click.option(
    "--workload",
    default=None,
    metavar="FILE",
    help="Texts to measure on, one a line. [default: the embedded ones, or the texts of your --corpus]",
)
@click.option(
    "--variants",
    "names",
    default=None,
    metavar="A,B,...",
    help="Variants to compare. [default: the installed standard ones]",
)
@click.option("--baseline", default="fp32", show_default=True, help="Variant to compare the others with.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(REPORT),
    show_default=True,
    help="Directory of the report.",
)
@options.exporter
@options.policy
@options.repetitions
@click.option(
    "--tie-budget",
    type=click.FloatRange(min=0, max=7 * 24 * 3600),
    default=TIE_BUDGET_S,
    show_default=True,
    metavar="SECONDS",
    help="Longest time for more processes of variants that the repetitions do not tell apart, where that decides who "
    "wins; 0 for none.",
)
@click.option("--fresh", is_flag=True, help="Measure everything again, even if an interrupted run could be continued.")
@options.measuring
@options.output
def run(
    checkpoint: str,
    load: LoadOptions,
    corpus: CorpusSource,
    workload: str | None,
    names: str | None,
    baseline: str,
    out: Path,
    exporter: str,
    policy_file: Path | None,
    repetitions: int,
    tie_budget: float,
    fresh: bool,
    settings: Measuring,
    as_json: bool,
) -> int:
    """Take CHECKPOINT through the whole job: a Hugging Face or ModelScope directory, a hub id with @revision if you
    pin one, modelscope:ID, synthetic:NAME for random weights of a known shape, or the embedded news-zh.

    Ends with a table, the winner with its reasons, and a report in --out. Artifacts are cached; an interrupted run
    continues where it stopped. A variant that fails is a row with its reason; the others finish, the exit code is 4.

    \b
    slimner run
    slimner run path/to/checkpoint --corpus test.bio --variants fp32,onnx-int8
    slimner run organization/name@revision --corpus test.bio
    slimner run synthetic:bert-base-chinese
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()] if names else None
    with Steps() as progress:
        found = run_job(
            checkpoint,
            load=load,
            corpus=corpus,
            workload=workload,
            variants=wanted,
            baseline=baseline,
            policy=options.policy_of(policy_file),
            settings=settings,
            repetitions=repetitions,
            tie_budget_s=tie_budget,
            exporter=exporter,
            out=out,
            fresh=fresh,
            progress=progress,
        )
    results, decision = found.results, found.decision
    if as_json:
        printing.print_json(results)
    else:
        print_decision(found.rows, decision)
        printing.print_notes(notes(results))
        printing.tell("report", f"{out / PAGE} (also {found.report.name}; figures: {RESULTS})")
        printing.tell("time", f"{results.seconds:.0f} s")
        if decision.winner:
            printing.tell("next", f"slimner bundle {out} --out my-bundle     slimner gate --baseline {out} ...")
    if results.failures:
        return EXIT_FAILED
    return EXIT_PASS if decision.winner else EXIT_REGRESSION
