"""`slimner eval`: the score of an artifact on a corpus."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.records import Measuring
from ..eval import CorpusSource, f1_interval
from ..jobs import evaluate as evaluate_job
from ..jobs.inputs import artifact_in
from ..reports.content import Table
from . import options, printing
from .progress import Steps


@click.command(name="eval", short_help="Score an artifact on a labelled corpus.")
@click.argument("artifact", type=click.Path(path_type=Path))
@options.corpus
@options.running
@options.output
def evaluate(artifact: Path, corpus: CorpusSource, settings: Measuring, as_json: bool) -> None:
    """Score ARTIFACT (a directory made by `slimner build` or `slimner bundle`) with seqeval, in its own process.

    The main figure is micro F1 in strict mode with the IOB2 scheme; F1 in seqeval's default mode is shown too.

    \b
    slimner eval my-artifact --corpus test.bio
    """
    opened = artifact_in(artifact)
    printing.warn_of_other_instructions(opened.manifest)
    with Steps() as progress:
        record = evaluate_job(
            opened, corpus=corpus, threads=settings.threads, timeout_s=settings.timeout_s, progress=progress
        )
    if as_json:
        printing.print_json(record)
        return
    interval = f1_interval(record, seed=settings.seed)
    lines = [
        (name, *(f"{v * 100:.2f}" for v in (score.precision, score.recall, score.f1)), str(score.support))
        for name, score in (
            *record.strict_by_type.items(),
            ("all, strict", record.strict),
            ("all, default", record.default),
        )
    ]
    printing.say(f"{record.artifact} on {record.corpus}, {len(record.sentences):,} sentences", "")
    printing.show(Table(headings=("type", "precision", "recall", "F1", "gold"), lines=lines))
    f1 = "F1 unknown: the corpus has no gold entity"
    if interval:
        f1 = f"F1 {interval.value * 100:.2f} (95 % {interval.low * 100:.2f} to {interval.high * 100:.2f})"
    printing.say("", f"{f1}, {record.seconds:.1f} s")
