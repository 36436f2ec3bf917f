"""What is compared: each metric with its unit, its direction and how one measured process gives it.

Short names are the same in policies, in tables and in records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np

from .records import MeasurementRecord
from .statistics import clean_ms, samples_needed

Kind = Literal["timing", "memory", "size", "f1"]
GIB = 1 << 30


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One figure that a variant is judged by.

    `floor` is the smallest relative margin that is ever used for it without being asked for: a smaller change is of no
    consequence. `of` gives the figure of one timed process, None if it has none.
    """

    name: str
    title: str
    unit: Literal["ms", "s", "bytes", "1/s", "1/s/GiB", "pp"]
    kind: Kind
    higher_is_better: bool = False
    floor: float = 0.0
    of: Callable[[MeasurementRecord], float | None] | None = None

    def values(self, measured: Iterable[MeasurementRecord]) -> list[float]:
        """One positive value a process, in order; processes without one are left out."""
        if self.of is None:
            return []
        return [value for record in measured if (value := self.of(record)) is not None and value > 0]

    def pairs(
        self, baseline: Sequence[MeasurementRecord], candidate: Sequence[MeasurementRecord]
    ) -> tuple[list[float], list[float]]:
        """One positive value a process of both sides; a pair of which either has none is left out."""
        both = [(self.values([one]), self.values([two])) for one, two in zip(baseline, candidate, strict=True)]
        return [one[0] for one, two in both if one and two], [two[0] for one, two in both if one and two]


def latency(record: MeasurementRecord, q: float) -> float | None:
    """The q-th percentile of one process in ms; None if it has less than a third of the samples that q needs."""
    samples = clean_ms(record)
    return float(np.percentile(samples, q)) if 3 * len(samples) >= samples_needed(q) else None


def _memory(record: MeasurementRecord) -> float | None:
    """PSS; of a process of a pair RSS, which is what its PSS would be if nobody else mapped the same files."""
    steady = record.stage("steady")
    return steady.rss_bytes if record.paired else steady.pss_bytes


def _per_s(record: MeasurementRecord) -> float | None:
    return record.concurrent.per_s if record.concurrent else None


def _per_gib(record: MeasurementRecord) -> float | None:
    rate, memory = _per_s(record), record.stage("steady").pss_bytes
    return rate / (memory / GIB) if rate and memory else None


F1 = Metric(name="f1", title="F1", unit="pp", kind="f1", higher_is_better=True)
SIZE = Metric(name="size", title="artifact", unit="bytes", kind="size", floor=0.01)

METRICS = {
    metric.name: metric
    for metric in (
        F1,
        SIZE,
        Metric(
            name="pss",
            title="memory",
            unit="bytes",
            kind="memory",
            floor=0.02,
            of=_memory,
        ),
        Metric(name="peak", title="peak", unit="bytes", kind="memory", floor=0.02, of=lambda m: m.stages[-1].hwm_bytes),
        Metric(name="p50", title="p50", unit="ms", kind="timing", floor=0.05, of=lambda m: latency(m, 50)),
        Metric(name="p95", title="p95", unit="ms", kind="timing", floor=0.05, of=lambda m: latency(m, 95)),
        Metric(name="cold_start", title="cold start", unit="s", kind="timing", floor=0.1, of=lambda m: m.cold_start_s),
        Metric(name="qps", title="5 clients", unit="1/s", kind="timing", higher_is_better=True, floor=0.05, of=_per_s),
        Metric(
            name="qps_per_gib",
            title="5 clients per GiB",
            unit="1/s/GiB",
            kind="timing",
            higher_is_better=True,
            floor=0.05,
            of=_per_gib,
        ),
    )
}
