"""`slimner bench`: memory and latency of an artifact."""

from __future__ import annotations

from pathlib import Path

import click

from ..bench import Step, measure, read_workload, steps
from ..core.machine import describe
from ..core.records import BenchReport, MeasurementRecord, Settings
from ..reports.comparison import measured_row
from ..reports.ledger import stages
from ..reports.notes import measurement_notes
from ..reports.tables import by_length
from ..reports.units import megabytes, milliseconds, per_second, seconds, spread_of
from ..variants import verify
from . import options


@click.command(short_help="Measure memory by stage and latency of an artifact.")
@click.argument("artifact", type=click.Path(path_type=Path))
@options.workload
@options.threads
@options.repetitions
@options.samples
@options.warmup
@options.seed
@options.timeout
@options.as_json
@options.debug
def bench(
    artifact: Path,
    workload: str,
    threads: int,
    repetitions: int,
    samples: int,
    warmup: int,
    seed: int,
    timeout: float,
    as_json: bool,
    debug: bool,
) -> None:
    """Measure ARTIFACT (a directory made by `slimner build`), each repetition in a fresh process.

    The first process is sampled from outside for its memory over time; the others are timed. Texts go one at a time.

    \b
    slimner bench my-artifact --workload texts.txt --repetitions 5
    """
    options.require("memory_profiler")
    manifest = verify(artifact)
    options.warn_of_other_instructions(manifest)
    texts = read_workload(workload)
    settings = Settings(
        variants=(manifest.variant,),
        baseline=manifest.variant,
        threads=threads,
        repetitions=repetitions,
        samples=samples,
        warmup=warmup,
        timeout_s=timeout,
        seed=seed,
    )
    records: list[MeasurementRecord] = []
    todo: list[Step] = list(steps([artifact], repetitions))
    with options.err_console().status("measuring") as status:
        for i, step in enumerate(todo, 1):
            status.update(f"measuring {manifest.variant} on {len(texts.texts)} texts, process {i} of {len(todo)}")
            records.append(measure(step, workload, settings))
    notes = measurement_notes(records)
    if as_json:
        options.print_json(
            BenchReport(
                machine=describe(),
                workload=texts.facts,
                settings=settings,
                measurements=tuple(records),
                notes=tuple(notes),
            )
        )
        return
    console = options.out_console()
    row = measured_row(manifest.variant, records, texts.facts.lengths)
    console.print(f"{manifest.name}, {threads} thread(s), {repetitions} timed processes\n", markup=False)
    options.print_sections([stages(records[0]), by_length([row])], ())
    console.print(
        f"\ncold start  {spread_of(row.cold_start, seconds)} from exec to the first answer\n"
        f"memory      {spread_of(row.steady, megabytes)} PSS in steady state, "
        f"{spread_of(row.peak, megabytes)} at its peak\n"
        f"latency     p50 {spread_of(row.p50, milliseconds)}  p95 {spread_of(row.p95, milliseconds)}  "
        f"({row.samples} samples)\n"
        f"rate        {per_second(row.per_s)} one at a time, "
        f"{per_second(row.concurrent.value if row.concurrent else None)} with five clients",
        markup=False,
        soft_wrap=True,
    )
    options.print_notes(notes)
