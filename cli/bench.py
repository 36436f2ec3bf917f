"""`slimner bench`: memory and latency of an artifact."""

from __future__ import annotations

import statistics
from pathlib import Path

import click
import numpy as np
from rich.table import Table

from ..bench import Plan, Step, measure, read_workload, steps
from ..core.records import MeasurementRecord
from ..reports.comparison import percentile
from ..reports.units import megabytes, milliseconds
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
    plan = Plan(
        workload=workload,
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
            records.append(measure(step, plan))
    if as_json:
        options.print_json(records)
        return
    console = options.out_console()
    timed = [record for record in records if record.timed]
    console.print(f"{manifest.name}, {threads} thread(s), {len(timed)} timed processes\n", markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("stage")
    for heading in ("after", "PSS", "USS", "RSS", "peak so far"):
        table.add_column(heading, justify="right")
    for stage in records[0].stages:
        table.add_row(
            stage.name,
            f"{stage.after_s:.2f} s",
            *map(megabytes, (stage.pss_bytes, stage.uss_bytes, stage.rss_bytes, stage.hwm_bytes)),
        )
    console.print(table)
    every = np.asarray([s for record in timed for s in record.samples_ms])
    by_process = ", ".join(milliseconds(statistics.median(record.samples_ms)) for record in timed)
    shown = "  ".join(f"p{q} {milliseconds(v)}" for q in (50, 95, 99) if (v := percentile(every, q)) is not None)
    console.print(
        f"\nload     {statistics.median(r.load_s for r in timed):.2f} s\n"
        f"latency  {shown}  ({len(every)} samples; p50 by process: {by_process})\n"
        f"rate     {1000 / float(every.mean()):.0f} texts per second, one at a time",
        markup=False,
    )
    if any(record.other_load_cores > 0.15 for record in timed):
        console.print("note     other load on the machine; run again when it is quiet", markup=False)
