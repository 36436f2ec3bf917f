"""The one table of metrics: everything that policies, decisions, comparisons, gates, tables and docs say of a figure.

A metric is added by one entry in METRICS. Its name is the same in policies, tables, JSON and docs; `aliases` are names
that a policy may also use, and that nothing writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from .records import MeasurementRecord
from .statistics import ASSUMED, Spread, clean_ms, samples_needed, spread, spread_of_differences
from .units import MILLISECONDS, RATES, SECONDS, SHARES, SIZES

Kind = Literal["timing", "memory", "size", "f1"]
Unit = Literal["ms", "s", "bytes", "bytes/100", "1/s", "1/s/GiB", "pp"]
GIB = 1 << 30

# One in so many texts is among the slowest.
TAIL = 20

# How a policy writes a limit on a figure of each unit.
WRITTEN: Mapping[Unit, Mapping[str, float]] = {
    "ms": MILLISECONDS,
    "s": SECONDS,
    "bytes": SIZES,
    "bytes/100": SIZES,
    "1/s": RATES,
    "1/s/GiB": RATES,
    "pp": SHARES,
}


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One figure that a variant is judged by.

    `margin` is the change for the worse that a gate allows unless a policy says otherwise: relative, or in the metric's
    unit if its `difference` is judged. F1 has none, a policy gives its margin in percentage points. `gated` metrics are
    judged by a gate unless the policy names others, `column` ones stand in the table. `of` gives the figure of one
    timed process, None if it has none; `samples` is the least number of timed texts in all processes together that the
    figure needs.
    """

    name: str
    title: str
    unit: Unit
    kind: Kind
    meaning: str
    higher_is_better: bool = False
    aliases: tuple[str, ...] = ()
    margin: float = 0.1
    difference: bool = False
    gated: bool = False
    column: bool = False
    samples: int = 0
    of: Callable[[MeasurementRecord], float | None] | None = None

    @property
    def limit(self) -> str:
        """The key of a policy's limit on it: `memory_max`, `qps_min`."""
        return f"{self.name}_{self._end}"

    @property
    def limit_aliases(self) -> tuple[str, ...]:
        """Other keys that a policy may use for the same limit."""
        return tuple(f"{alias}_{self._end}" for alias in self.aliases)

    @property
    def _end(self) -> str:
        return "min" if self.higher_is_better else "max"

    @property
    def objective(self) -> bool:
        """Whether a policy may ask for the variant that is best in it."""
        return self.kind != "f1" and not self.difference

    def values(self, measured: Iterable[MeasurementRecord]) -> list[float]:
        """One value a process, in order; processes without one are left out, and those whose value is not positive
        where ratios are judged."""
        if self.of is None:
            return []
        found = [value for record in measured if (value := self.of(record)) is not None]
        return found if self.difference else [value for value in found if value > 0]

    def pairs(
        self, baseline: Sequence[MeasurementRecord], candidate: Sequence[MeasurementRecord]
    ) -> tuple[list[float], list[float]]:
        """One value a process of both sides; a pair of which either has none is left out.

        Times of a disturbed pair are left out; its memory counts.
        """
        both = [
            (self.values([one]), self.values([two]))
            for one, two in zip(baseline, candidate, strict=True)
            if self.kind == "memory" or not (one.disturbed or two.disturbed)
        ]
        return [one[0] for one, two in both if one and two], [two[0] for one, two in both if one and two]

    def spread(
        self, measured: Sequence[MeasurementRecord], deviations: Mapping[str, float] | None = None
    ) -> Spread | None:
        """The figure with its interval over processes; None if it was not measured, or from too few samples.

        `deviations` are the relative ones between runs that the machine has shown, by metric; of a timing that is not
        among them, one is assumed.
        """
        if self.samples and sum(len(record.clean) for record in measured) < self.samples:
            return None
        return self.spread_of(self.values(measured), deviations)

    def spread_of(self, values: Sequence[float], deviations: Mapping[str, float] | None = None) -> Spread | None:
        """The same from one value a process."""
        if self.difference:
            return spread_of_differences(values) if values else None
        assumed = ASSUMED if self.kind == "timing" else 0.0
        return spread(values, drift=(deviations or {}).get(self.name, assumed)) if values else None


def latency(record: MeasurementRecord, q: float) -> float | None:
    """The q-th percentile of one process in ms; None if it has less than a third of the samples that q needs."""
    samples = clean_ms(record)
    return float(np.percentile(samples, q)) if 3 * len(samples) >= samples_needed(q) else None


def _mean(record: MeasurementRecord) -> float | None:
    samples = clean_ms(record)
    return float(np.mean(samples)) if samples else None


def _tail(record: MeasurementRecord) -> float | None:
    samples = sorted(clean_ms(record))
    slowest = samples[-max(1, len(samples) // TAIL) :]
    return float(np.mean(slowest)) if len(samples) >= TAIL else None


def _memory(record: MeasurementRecord) -> float | None:
    """RSS: every page that the process maps counts in full, so the figure is the same alone and beside twins."""
    return record.stage("steady").rss_bytes


def _growth(record: MeasurementRecord) -> float | None:
    """Slope of the resident size over the answers, by least squares over the ends of the blocks, a hundred answers."""
    ends = [(b.first + b.samples, b.rss_bytes) for b in record.blocks if b.rss_bytes is not None]
    if len(ends) < 3:
        return None
    answers, sizes = np.array(ends, dtype=np.float64).T
    return float(np.polyfit(answers, sizes, 1)[0] * 100)


def _per_s(record: MeasurementRecord) -> float | None:
    return record.concurrent.per_s if record.concurrent else None


def _per_gib(record: MeasurementRecord) -> float | None:
    rate, memory = _per_s(record), _memory(record)
    return rate / (memory / GIB) if rate and memory else None


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="f1",
            title="F1",
            unit="pp",
            kind="f1",
            meaning="micro F1 over the corpus, strict (seqeval)",
            higher_is_better=True,
            margin=0.0,
            gated=True,
            column=True,
        ),
        Metric(
            name="size",
            title="size",
            unit="bytes",
            kind="size",
            meaning="bytes of the artifact that have to be deployed",
            aliases=("artifact",),
            margin=0.01,
            gated=True,
            column=True,
        ),
        Metric(
            name="cold_start",
            title="cold start",
            unit="s",
            kind="timing",
            meaning="from exec to the first answer, files in the page cache",
            margin=0.15,
            column=True,
            of=lambda m: m.cold_start_s,
        ),
        Metric(
            name="memory",
            title="memory",
            unit="bytes",
            kind="memory",
            meaning="resident memory of one process after the workload, shared pages counted in full (RSS)",
            aliases=("pss", "steady"),
            margin=0.03,
            gated=True,
            column=True,
            of=_memory,
        ),
        Metric(
            name="growth",
            title="growth",
            unit="bytes/100",
            kind="memory",
            meaning="growth of resident memory over a hundred answers",
            margin=250_000,
            difference=True,
            gated=True,
            of=_growth,
        ),
        Metric(
            name="peak",
            title="peak",
            unit="bytes",
            kind="memory",
            meaning="highest resident size of one process (VmHWM)",
            margin=0.05,
            column=True,
            of=lambda m: m.stages[-1].hwm_bytes,
        ),
        Metric(
            name="p50",
            title="p50",
            unit="ms",
            kind="timing",
            meaning="median time of a text, one at a time",
            margin=0.05,
            gated=True,
            column=True,
            samples=samples_needed(50),
            of=lambda m: latency(m, 50),
        ),
        Metric(
            name="p95",
            title="p95",
            unit="ms",
            kind="timing",
            meaning="time that 95 % of the texts do not exceed, one at a time",
            margin=0.1,
            gated=True,
            column=True,
            samples=samples_needed(95),
            of=lambda m: latency(m, 95),
        ),
        Metric(
            name="mean",
            title="mean",
            unit="ms",
            kind="timing",
            meaning="mean time of a text, one at a time",
            margin=0.05,
            of=_mean,
        ),
        Metric(
            name="tail",
            title="tail",
            unit="ms",
            kind="timing",
            meaning="mean time of the slowest twentieth of the texts, one at a time",
            margin=0.15,
            gated=True,
            samples=samples_needed(95),
            of=_tail,
        ),
        Metric(
            name="qps",
            title="qps",
            unit="1/s",
            kind="timing",
            meaning="answers a second to five clients of one process",
            higher_is_better=True,
            aliases=("concurrent",),
            margin=0.1,
            column=True,
            of=_per_s,
        ),
        Metric(
            name="qps_per_gib",
            title="qps per GiB",
            unit="1/s/GiB",
            kind="timing",
            meaning="qps over memory",
            higher_is_better=True,
            margin=0.1,
            of=_per_gib,
        ),
    )
}

F1 = METRICS["f1"]


def metric_of(name: str) -> Metric:
    """The metric that a verdict is about: `p95`, or `f1 PER` for one type; KeyError if there is none."""
    return METRICS[name.partition(" ")[0]]


def limits() -> dict[str, Metric]:
    """Metrics by the key of a policy's limit on them."""
    return {metric.limit: metric for metric in METRICS.values()}


def canonical(name: str) -> str:
    """The name of a metric, or the key of its limit, for one of its aliases; any other name as it is."""
    for metric in METRICS.values():
        if name in metric.aliases:
            return metric.name
        if name in metric.limit_aliases:
            return metric.limit
    return name


def margined() -> tuple[str, ...]:
    """Names of the metrics for which a policy may give a margin."""
    return tuple(metric.name for metric in METRICS.values() if metric.kind != "f1")


def objectives() -> tuple[str, ...]:
    """Names of the metrics that a policy may make its objective."""
    return tuple(metric.name for metric in METRICS.values() if metric.objective)


def gated() -> tuple[str, ...]:
    """Names of the metrics that a gate judges unless the policy names others."""
    return tuple(metric.name for metric in METRICS.values() if metric.gated)
