"""`slimner sweep`: many runs, on this machine or on many, and a verdict for each kind of machine."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import EXIT_FAILED, EXIT_PASS, EXIT_REGRESSION
from ..core.store import RESULTS, SWEEP, read_results
from ..jobs import sweep as sweep_job
from ..jobs.fleet.sweeping import OUT
from ..reports.fleet import sections
from . import options, printing
from .progress import Steps


@click.command(short_help="Do many runs, on one machine or many, with a verdict for each kind of machine.")
@click.argument("plan", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(OUT),
    show_default=True,
    help=f"Directory of the reports, one a cell, and of {SWEEP}.",
)
@click.option(
    "--scheduler",
    default=None,
    metavar="ADDRESS",
    help="Measure on the workers of this Dask scheduler, started with --resources measure=1: tcp://HOST:8786 or "
    "tls://HOST:8786. [default: here]",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=None,
    help="With --scheduler: wait until this many workers have joined. [default: 1]",
)
@click.option("--fresh", is_flag=True, help="Measure everything again, including finished cells.")
@options.output
def sweep(plan: Path, out: Path, scheduler: str | None, workers: int | None, fresh: bool, as_json: bool) -> int:
    """Run every checkpoint on every workload with every number of threads that PLAN names, a TOML file, and choose the
    winner for each kind of machine.

    Each cell is a run with a report of its own below --out, which `slimner report`, `pick` and `compare` read. A sweep
    that was interrupted goes on where it stopped, and one that is started again measures what is not there yet. A cell
    that fails is a row with its reason, the others finish, and the exit code is 4. It is 1 if no variant fits the
    policy on some kind of machine.

    \b
    slimner sweep plan.toml
    slimner sweep plan.toml --scheduler tcp://10.0.0.1:8786 --workers 3
    """
    with Steps() as progress:
        found = sweep_job(plan, out=out, scheduler=scheduler, workers=workers, fresh=fresh, progress=progress)
    if as_json:
        printing.print_json(found)
    else:
        printing.print_sections(list(sections(found)))
        printing.tell("kept", f"{out / SWEEP}; slimner report {out}")
    directories = [out / cell.directory for cell in found.cells if cell.directory]
    if any(cell.failed for cell in found.cells) or any(read_results(d / RESULTS).failures for d in directories):
        return EXIT_FAILED
    winners = [choice.variant for verdict in found.verdicts for choice in verdict.choices]
    return EXIT_PASS if all(winners) else EXIT_REGRESSION
