"""How far the figures of an artifact differ from run to run on a machine, beyond what the processes of a run show.

The processes of one run share the state of the machine, so two runs differ by more than their intervals say. What a
machine has shown of that comes from runs of the same artifact under the same conditions. Pure functions.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from .metrics import METRICS
from .paired import BetweenRuns
from .records import MeasurementRecord, Measuring, Record
from .statistics import ASSUMED
from .store import sha256_of

SCHEMA = 1

# Repeats (runs beyond the first of an artifact) from which a machine's own deviation is used.
ENOUGH = 5

KINDS = ("timing", "memory")


class RunFigures(Record, frozen=True, kw_only=True):
    """Figures of one run of an artifact: one value a timed process by metric. `conditions` names what has to be the
    same for another run to be a repeat of it."""

    schema: int = SCHEMA
    date: str
    artifact: str
    conditions: str
    figures: dict[str, tuple[float, ...]]


def figures_of(
    measured: Sequence[MeasurementRecord], *, date: str, workload_sha256: str, settings: Measuring
) -> RunFigures:
    """The figures of the timed processes of one artifact, of which there is at least one."""
    timed = [record for record in measured if record.timed]
    first = timed[0]
    conditions = (workload_sha256, settings.threads, settings.samples, settings.warmup, first.paired)
    found = {
        name: tuple(values)
        for name, metric in METRICS.items()
        if metric.kind in KINDS and not metric.difference and (values := metric.values(timed))
    }
    return RunFigures(
        date=date,
        artifact=first.artifact,
        conditions=sha256_of([first.artifact, *conditions, first.machine.libraries])[:16],
        figures=found,
    )


def assumed() -> dict[str, BetweenRuns]:
    """What is taken of a machine that has shown nothing, by metric: a deviation of timings, none of memory."""
    return {name: BetweenRuns(deviation=ASSUMED) for name, metric in METRICS.items() if metric.kind == "timing"}


def shown(runs: Sequence[RunFigures]) -> dict[str, BetweenRuns]:
    """By metric what runs on one machine show, where they have enough repeats; else what is assumed.

    The variance of the runs' means about their artifact's, less what the processes within the runs explain: analysis
    of variance with one random factor (S. Searle, G. Casella, C. McCulloch, Variance Components, 1992, section 3.6).
    """
    found = assumed()
    for name in {name for run in runs for name in run.figures}:
        groups: dict[str, list[list[float]]] = {}
        for run in runs:
            if name in run.figures:
                groups.setdefault(run.conditions, []).append([math.log(value) for value in run.figures[name]])
        repeated = [group for group in groups.values() if len(group) > 1]
        repeats = sum(len(group) - 1 for group in repeated)
        if repeats < ENOUGH:
            continue
        total = sum((len(group) - 1) * statistics.variance(map(statistics.fmean, group)) for group in repeated)
        within = sum(
            statistics.variance(logs) / len(logs) * (len(group) - 1) / len(group)
            for group in repeated
            for logs in group
            if len(logs) > 1
        )
        found[name] = BetweenRuns(deviation=math.sqrt(max(0.0, total - within) / repeats), repeats=repeats)
    return found


def said(between: Mapping[str, BetweenRuns]) -> str:
    """What is taken of some metrics, in words; empty if there are none."""
    if not between:
        return ""
    own = [
        f"{METRICS[name].title} {one.deviation * 100:.1f} % ({one.repeats} repeats)"
        for name, one in between.items()
        if one.repeats
    ]
    other = [METRICS[name].title for name, one in between.items() if not one.repeats]
    parts = [f"as this machine has shown, {', '.join(own)}"] if own else []
    if other:
        parts.append(f"{ASSUMED * 100:g} % assumed for {', '.join(other)}: fewer than {ENOUGH} repeats on this machine")
    return f"deviation between runs: {'; '.join(parts)}"
