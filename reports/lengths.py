"""Where a change of latency is: by length of the text, from pairs of processes. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ..core.paired import ratio_of_pairs, shared_level
from ..core.records import MeasurementRecord
from ..core.statistics import BUCKETS, by_length
from ..core.verdicts import LengthChange, Side

# The lower end of a length's change has to lie so far above the middle of the others' to be named.
APART = 0.02


def changes_by_length(baseline: Side, candidate: Side) -> tuple[LengthChange, ...]:
    """Change of the mean latency in each length bucket that every undisturbed pair timed; () if there is one only.

    The intervals hold together with 95 %.
    """
    lengths = baseline.workload.lengths if baseline.workload else ()
    pairs = [
        (_means(one, lengths), _means(two, lengths))
        for one, two in zip(baseline.measurements, candidate.measurements, strict=True)
        if not (one.disturbed or two.disturbed)
    ]
    shared = [i for i in range(len(BUCKETS) + 1) if pairs and all(one[i] and two[i] for one, two in pairs)]
    if len(shared) < 2:
        return ()
    level = shared_level(len(shared))
    return tuple(
        LengthChange(
            least=BUCKETS[i - 1] + 1 if i else 1,
            most=BUCKETS[i] if i < len(BUCKETS) else None,
            change=ratio_of_pairs([one[i] or 1.0 for one, _ in pairs], [two[i] or 1.0 for _, two in pairs], level),
        )
        for i in shared
    )


def slower_where(changes: Sequence[LengthChange]) -> str:
    """The lengths that a slowdown is in, in words; empty if all lengths share it."""
    for change in sorted(changes, key=lambda change: -change.change.value):
        others = statistics.median(other.change.value for other in changes if other is not change)
        if change.change.low is not None and change.change.low > others + APART:
            return f"most in {change.words} ({change.change.value * 100:+.0f} %)"
    return ""


def _means(record: MeasurementRecord, lengths: Sequence[int]) -> list[float | None]:
    return [statistics.fmean(found) if found else None for found in by_length([record], lengths)]
