"""What this machine has shown of the deviation between runs, from each run of an artifact."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from ..core.between_runs import RunFigures, assumed, figures_of, shown
from ..core.machine import fingerprint
from ..core.paired import BetweenRuns
from ..core.records import Machine, MeasurementRecord, Measuring
from .shown import keep, kept

KIND = "between-runs"


def remember(measured: Sequence[MeasurementRecord], workload_sha256: str, settings: Measuring) -> None:
    """Keep the figures of one run of an artifact."""
    if not any(record.timed for record in measured):
        return
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    figures = figures_of(measured, date=now, workload_sha256=workload_sha256, settings=settings)
    keep(KIND, measured[0].machine, figures)


def deviations(machine: Machine) -> dict[str, float]:
    """By metric the relative deviation between runs that a machine has shown; without those of which it has not."""
    found = shown(kept(KIND, machine, RunFigures))
    return {name: one.deviation for name, one in found.items() if one.repeats}


def between_runs(one: Machine, other: Machine) -> dict[str, BetweenRuns]:
    """By metric what the machine of two runs has shown; what is assumed where it has not, or they are two machines."""
    if fingerprint(one) != fingerprint(other):
        return assumed()
    return shown(kept(KIND, one, RunFigures))
