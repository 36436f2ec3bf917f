"""`slimner bench`: memory and latency of an artifact."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.metrics import METRICS
from ..core.records import Measuring
from ..jobs import bench as bench_job
from ..jobs.inputs import artifact_in
from ..reports.comparison import measured_row
from ..reports.content import Text
from ..reports.costs import by_length
from ..reports.formatting import spread_of
from ..reports.ledger import stages
from . import options, printing
from .progress import Steps


@click.command(short_help="Measure memory by stage and latency of an artifact.")
@click.argument("artifact", type=click.Path(path_type=Path))
@options.workload
@options.repetitions
@options.measuring
@options.output
def bench(artifact: Path, workload: str | None, repetitions: int, settings: Measuring, as_json: bool) -> None:
    """Measure ARTIFACT (a directory made by `slimner build` or `slimner bundle`), each repetition in a fresh process.

    The first process is sampled from outside for its memory over time; the others are timed. Texts are answered one at
    a time.

    \b
    slimner bench my-artifact --workload texts.txt --repetitions 5
    """
    opened = artifact_in(artifact)
    printing.warn_of_other_instructions(opened.manifest)
    with Steps() as progress:
        report = bench_job(opened, workload=workload, settings=settings, repetitions=repetitions, progress=progress)
    if as_json:
        printing.print_json(report)
        return
    manifest = opened.manifest
    row = measured_row(manifest.variant, report.measurements, report.workload.lengths, deviations=report.deviations)
    printing.say(f"{manifest.name}, {settings.threads} thread(s), {repetitions} timed processes", "")
    printing.show(stages(report.measurements[0]), Text(""), by_length([row]))
    printing.say("")
    for metric in METRICS.values():
        if figure := row.spread(metric.name):
            printing.say(f"{metric.title:<12}  {spread_of(figure, metric)}, {metric.meaning}")
    printing.say(f"{'samples':<12}  {row.samples}")
    printing.print_notes(report.notes)
