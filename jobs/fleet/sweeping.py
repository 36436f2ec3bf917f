"""A sweep: the cells of a plan measured, here or on a cluster, and a verdict for each kind of machine."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from ...core.errors import SlimnerError
from ...core.locks import held_directory
from ...core.machine import describe
from ...core.records import Machine, Results
from ...core.store import SWEEP, write_json
from ...reports.fleet import CellResult, Judge, Measured, Sweep, TryOn, kind_of, not_carried, verdicts
from ..deciding import complexity
from ..progress import SILENT, Progress
from .cells import Cell, Outcome, cells_of, kept, measure_cell
from .plan import Policies, SweepPlan, read_plan

OUT = "slimner-sweep"


def sweep(
    plan: str | Path | SweepPlan,
    *,
    out: str | Path = OUT,
    scheduler: str | None = None,
    workers: int | None = None,
    fresh: bool = False,
    progress: Progress = SILENT,
) -> Sweep:
    """Measure the cells of a plan, each a run with a report of its own below `out`, and decide for each kind.

    Without `scheduler` they are measured on this machine, one after the other. With it, every kind of machine among the
    workers of that Dask scheduler measures every cell, one at a time a machine; `workers` waits until as many have
    joined. Finished cells are kept, unless `fresh`; a cell that fails is one with its reason, and the others go on.
    Raises UserError when the plan is wrong.
    """
    plan = plan if isinstance(plan, SweepPlan) else read_plan(plan)
    policies = Policies(plan)
    cells = cells_of(plan)
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    directory = Path(out)
    with held_directory(directory):
        if scheduler is None:
            outcomes = list(_here(cells, policies, directory, fresh=fresh, progress=progress))
            record = _decided(outcomes, policies, not_carried, started)
        else:
            from .cluster import fleet

            with fleet(
                cells, policies, directory, scheduler, workers=workers or 1, fresh=fresh, progress=progress
            ) as machines:
                outcomes = list(machines.measure())
                record = _decided(outcomes, policies, machines.carrying(outcomes), started)
        write_json(directory / SWEEP, record)
    return record


def _decided(outcomes: list[Outcome], policies: Policies, try_on: TryOn, started: str) -> Sweep:
    told = [_told(cell, machine, ended) for cell, machine, ended in outcomes]
    told.sort(key=lambda one: (one[0].kind, one[0].checkpoint, one[0].workload, one[0].threads))
    measured: list[Measured] = [(cell, ended) for cell, ended in told if isinstance(ended, Results)]
    failed = [cell for cell, results in told if results is None]
    names = dict.fromkeys(name for _, results in measured for name in results.settings.variants)
    judge = Judge(policy_of=policies.of, complexity=complexity(names), try_on=try_on)
    return Sweep(
        slimner=importlib.metadata.version("slimner"),
        started=started,
        cells=tuple(cell for cell, _ in told),
        verdicts=tuple(verdicts(measured, judge, failed)),
    )


def _here(
    cells: list[Cell], policies: Policies, directory: Path, *, fresh: bool, progress: Progress
) -> Iterator[Outcome]:
    machine = describe()
    progress.phase("cell", len(cells))
    for cell in cells:
        place = directory / cell.directory(machine)
        results = None if fresh else kept(cell, place)
        if results is not None:
            progress.done("cell", f"{cell.shown} (kept)")
            yield cell, machine, results
            continue
        progress.now("cell", cell.shown)
        progress.note(f"cell: {cell.shown}")
        try:
            yield cell, machine, measure_cell(cell, policies.of(machine), place, fresh=fresh, progress=progress)
        except (SlimnerError, OSError) as error:
            progress.failed("cell", f"{cell.shown}: {error}")
            yield cell, machine, str(error)
        else:
            progress.done("cell", cell.shown)


def _told(cell: Cell, machine: Machine, ended: Results | str) -> tuple[CellResult, Results | None]:
    results = ended if isinstance(ended, Results) else None
    return (
        CellResult(
            kind=kind_of(machine),
            machine=results.machine if results else machine,
            checkpoint=cell.checkpoint,
            workload=cell.texts,
            threads=cell.settings.threads,
            directory=cell.directory(machine) if results else None,
            failed="" if isinstance(ended, Results) else ended,
        ),
        results,
    )
