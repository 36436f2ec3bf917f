"""A cell of a sweep: one run, of one checkpoint on one workload with one number of threads, on one kind of machine."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ...core.errors import CheckpointError, UserError
from ...core.machine import describe, fingerprint
from ...core.records import Machine, Measuring, Results
from ...core.store import RESULTS, read_results, sha256_file, sha256_of
from ...reports import Policy
from ...variants import resolve_checkpoint
from ...variants.building import facts
from ..progress import SILENT, Progress
from ..running import run
from .plan import SweepPlan


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What one run measures; `workload` and `corpus` are None for the default ones, `files` hashes what was named."""

    checkpoint: str
    workload: str | None
    corpus: str | None
    variants: tuple[str, ...]
    baseline: str
    settings: Measuring
    repetitions: int
    tie_budget_s: float
    exporter: str
    files: tuple[str, ...]

    @property
    def shown(self) -> str:
        """Its name for people."""
        threads = self.settings.threads
        return f"{Path(self.checkpoint).name}, {self.texts}, {threads} thread{'s' if threads > 1 else ''}"

    @property
    def texts(self) -> str:
        """Name of its workload."""
        return Path(self.workload).name if self.workload else "default texts"

    def directory(self, machine: Machine) -> str:
        """Name of its directory: the machine, what is measured, and a hash of all that decides the figures."""
        words = [Path(self.checkpoint).name, Path(self.workload).stem if self.workload else ""]
        slugs = [slug for word in words if (slug := re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-.")[:40])]
        return "-".join((fingerprint(machine), *slugs, f"{self.settings.threads}t", sha256_of(self)[:8]))


Outcome = tuple[Cell, Machine, Results | str]
"""A cell, the machine that had it, and its results or why there are none."""


def cells_of(plan: SweepPlan) -> list[Cell]:
    """The cells of a plan, those of a checkpoint together, so that its builds are at hand."""
    return [
        Cell(
            checkpoint=checkpoint,
            workload=workload,
            corpus=plan.corpus,
            variants=plan.variants,
            baseline=plan.baseline,
            settings=plan.settings(threads),
            repetitions=plan.repetitions,
            tie_budget_s=plan.tie_budget_s,
            exporter=plan.exporter,
            files=_hashes(workload, plan.corpus),
        )
        for checkpoint in plan.checkpoints
        for workload in plan.workloads or (None,)
        for threads in plan.threads
    ]


def _hashes(*names: str | None) -> tuple[str, ...]:
    return tuple(sha256_file(Path(name)) if name and Path(name).is_file() else "" for name in names)


def kept(cell: Cell, directory: Path) -> Results | None:
    """The finished results of a cell, None if there are none or the checkpoint has changed since."""
    if not (directory / RESULTS).is_file():
        return None
    try:
        results = read_results(directory / RESULTS)
    except UserError:
        return None
    try:
        same = facts(resolve_checkpoint(cell.checkpoint)).sha256 == results.checkpoint.sha256
    except CheckpointError:  # it is on the machines that measure, not here
        same = True
    return results if same else None


def measure_cell(
    cell: Cell, policy: Policy, directory: Path, *, fresh: bool = False, progress: Progress = SILENT
) -> Results:
    """Run a cell on this machine, with its report in `directory`; what was interrupted there goes on.

    Raises what `run` raises.
    """
    here = describe()
    if cell.settings.threads > here.cores:
        raise UserError(
            f"{cell.settings.threads} threads on a machine of {here.cores} core{'s' if here.cores > 1 else ''}",
            "it would measure threads that wait for each other",
        )
    if not fresh and (found := kept(cell, directory)):
        return found
    return run(
        cell.checkpoint,
        corpus=cell.corpus,
        workload=cell.workload,
        variants=cell.variants or None,
        baseline=cell.baseline,
        policy=policy,
        settings=cell.settings,
        repetitions=cell.repetitions,
        tie_budget_s=cell.tie_budget_s,
        exporter=cell.exporter,
        out=directory,
        fresh=fresh,
        progress=progress,
    ).results
