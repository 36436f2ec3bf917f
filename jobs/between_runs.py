"""What this machine has shown of the deviation between runs: a file for each run of an artifact, in the cache."""

from __future__ import annotations

import contextlib
import datetime
import uuid
from collections.abc import Sequence
from pathlib import Path

from ..core.between_runs import RunFigures, assumed, figures_of, shown
from ..core.cache import cache_directory
from ..core.errors import UserError
from ..core.machine import fingerprint
from ..core.outside import read_json
from ..core.paired import BetweenRuns
from ..core.records import Machine, MeasurementRecord, Measuring
from ..core.store import write_json

# Runs that are kept of a machine, the latest.
MOST = 200


def directory_of(machine: Machine) -> Path:
    """Where the runs on a machine are kept."""
    return cache_directory() / "between-runs" / fingerprint(machine)


def remember(measured: Sequence[MeasurementRecord], workload_sha256: str, settings: Measuring) -> None:
    """Keep the figures of one run of an artifact; nothing is kept where the cache cannot be written."""
    if not any(record.timed for record in measured):
        return
    now = datetime.datetime.now(datetime.UTC)
    figures = figures_of(
        measured, date=now.isoformat(timespec="seconds"), workload_sha256=workload_sha256, settings=settings
    )
    directory = directory_of(measured[0].machine)
    with contextlib.suppress(OSError):
        write_json(directory / f"{now:%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}.json", figures)
        for path in sorted(directory.glob("*.json"))[:-MOST]:
            path.unlink(missing_ok=True)


def between_runs(one: Machine, other: Machine) -> dict[str, BetweenRuns]:
    """By metric what the machine of two runs has shown; what is assumed where it has not, or they are two machines."""
    if fingerprint(one) != fingerprint(other):
        return assumed()
    found: list[RunFigures] = []
    for path in sorted(directory_of(one).glob("*.json")):
        with contextlib.suppress(UserError):  # damaged, or of another version
            found.append(read_json(path, RunFigures))
    return shown(found)
