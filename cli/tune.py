"""`slimner tune`: a better onnx-int8 of a checkpoint, if there is one."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.records import Measuring
from ..eval import CorpusSource
from ..jobs import tune as tune_job
from ..jobs.tuning import BUDGET_S
from ..reports.tuning import table
from ..variants import LoadOptions
from . import options, printing
from .progress import Steps


@click.command(short_help="Search for a better onnx-int8: layers in FP32, fusions, measured in pairs.")
@options.checkpoint
@options.policy
@click.option(
    "--budget",
    type=options.DURATION,
    default=f"{BUDGET_S:g}s",
    show_default=True,
    metavar="TIME",
    help="Time after which nothing new is tried (300s, 2h); it ends earlier when everything was.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Directory that holds the best artifact so far; new, or of the same search.",
)
@options.corpus
@options.workload
@options.pairing
@options.output
def tune(
    checkpoint: str,
    load: LoadOptions,
    policy_file: Path | None,
    budget: float,
    out: Path,
    corpus: CorpusSource,
    workload: str | None,
    settings: Measuring,
    as_json: bool,
) -> int:
    """Search for an onnx-int8 of CHECKPOINT that suits a policy better than the default one.

    Layers are left in FP32 where that brings F1 within the policy or is faster, and fusions of onnxruntime are tried.
    A change is kept if it is shown to be better in the policy's objective, in pairs of processes, by more than its tie
    margin. The best so far is always in --out. The same command goes on where a search was interrupted or its budget
    ended. Exit code: 0 if the best meets the policy, better than the default or not; 1 if it does not.

    \b
    slimner tune --policy policy.toml --budget 30min --out tuned
    slimner tune my-checkpoint --corpus dev.bio --workload texts.txt --out tuned
    """
    with Steps() as progress:
        tuned = tune_job(
            checkpoint,
            out,
            policy=options.policy_of(policy_file),
            corpus=corpus,
            workload=workload,
            budget_s=budget,
            settings=settings,
            load=load,
            progress=progress,
        )
    if as_json:
        printing.print_json(tuned)
        return tuned.exit_code
    printing.show(table(tuned))
    printing.say("", tuned.found)
    printing.say(*(f"failed   {what}" for what in tuned.failed))
    if tuned.misses:
        printing.say(f"It does not meet the policy in {', '.join(tuned.misses)}.")
    printing.say(f"best     {tuned.out} ({tuned.artifact})", f"ended    {tuned.ended}", f"policy   {tuned.policy}")
    return tuned.exit_code
