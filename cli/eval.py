"""`slimner eval`: the score of an artifact on a corpus."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from ..core import child
from ..core.machine import thread_environment
from ..core.records import EvaluationRecord
from ..eval import CorpusSource, f1_interval
from ..variants import verify
from . import options


@click.command(name="eval", short_help="Score an artifact on a labelled corpus.")
@click.argument("artifact", type=click.Path(path_type=Path))
@options.corpus
@options.threads
@options.seed
@options.timeout
@options.as_json
@options.debug
def evaluate(
    artifact: Path, corpus: CorpusSource, threads: int, seed: int, timeout: float, as_json: bool, debug: bool
) -> None:
    """Score ARTIFACT (a directory made by `slimner build`) with seqeval in a process of its own.

    The headline is micro F1 in strict mode with the IOB2 scheme; seqeval's default mode stands beside it.

    \b
    slimner eval my-artifact --corpus test.bio
    """
    options.require("seqeval")
    manifest = verify(artifact)
    options.warn_of_other_instructions(manifest)
    labelled = options.read_corpus(corpus)
    labelled.require_types(manifest.labels.types)
    with options.err_console().status(f"scoring {manifest.variant} on {len(labelled.sentences):,} sentences"):
        record = child.run(
            "slimner.eval.scoring:evaluate_in_child",
            {"directory": str(artifact), "corpus": labelled.source, "threads": threads},
            EvaluationRecord,
            timeout_s=timeout,
            environment=thread_environment(threads),
        )
    if as_json:
        options.print_json(record)
        return
    interval = f1_interval(record, seed=seed)
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("type")
    for heading in ("precision", "recall", "F1", "gold"):
        table.add_column(heading, justify="right")
    for name, score in (
        *record.strict_by_type.items(),
        ("all, strict", record.strict),
        ("all, default", record.default),
    ):
        table.add_row(name, *(f"{v * 100:.2f}" for v in (score.precision, score.recall, score.f1)), str(score.support))
    console = options.out_console()
    console.print(f"{record.artifact} on {record.corpus}, {len(record.sentences):,} sentences\n", markup=False)
    console.print(table)
    f1 = "F1 unknown: the corpus has no gold entity"
    if interval:
        f1 = f"F1 {interval.value * 100:.2f} (95 % {interval.low * 100:.2f} to {interval.high * 100:.2f})"
    console.print(f"\n{f1}, {record.seconds:.1f} s", markup=False)
