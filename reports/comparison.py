"""One row a variant: what it costs and what it loses against the baseline, derived from the raw records."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec

from ..core.metrics import METRICS
from ..core.records import EvaluationRecord, MeasurementRecord, Parity, Results, Score
from ..core.statistics import DRIFT, Spread, by_length, clean_ms, latency_spread, spread
from ..eval import F1Change, Interval, f1_change, f1_interval


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A variant's figures; None where the step that gives them failed or was too short.

    `steady` is PSS in bytes after the whole workload, `peak` is VmHWM in bytes; latencies `p50` and `p95` are in ms of
    one text at a time, `cold_start` in s from exec to the first answer, `concurrent` in answers per s with five clients
    in one process. Each is a mean over fresh processes with its interval. `lengths[i]` holds the latencies in ms of
    length bucket i. `disturbed` blocks stayed so after they were repeated, and are left out of the latencies.
    `parity` with the checkpoint takes the place of F1 in a run without a corpus (random weights).
    """

    variant: str
    baseline: bool
    f1: Interval | None = None
    change: F1Change | None = None
    by_type: dict[str, Score] = {}
    size_bytes: int | None = None
    cold_start: Spread | None = None
    steady: Spread | None = None
    peak: Spread | None = None
    p50: Spread | None = None
    p95: Spread | None = None
    per_s: float | None = None
    concurrent: Spread | None = None
    lengths: tuple[tuple[float, ...], ...] = ()
    samples: int = 0
    disturbed: int = 0
    failed: str = ""
    parity: Parity | None = None
    figures: dict[str, tuple[float, ...]] = {}
    """Each metric of `slimner.core.metrics` that has one value a timed process, in order."""

    def processes(self, metric: str) -> tuple[float, ...]:
        """One value a timed process; a single one for the artifact's size; none where it was not measured."""
        if metric == "size":
            return (float(self.size_bytes),) if self.size_bytes else ()
        return self.figures.get(metric, ())

    def spread(self, metric: str) -> Spread | None:
        """The metric with its interval over processes, as the table shows it; None where it was not measured."""
        shown = {"pss": self.steady, "qps": self.concurrent}
        if metric in shown or metric in ("peak", "p50", "p95", "cold_start"):
            figure: Spread | None = shown[metric] if metric in shown else getattr(self, metric)
            return figure
        values = self.processes(metric)
        return spread(values, drift=DRIFT if METRICS[metric].kind == "timing" else 0.0) if values else None

    def value(self, metric: str) -> float | None:
        """The metric by itself."""
        figure = self.spread(metric)
        return figure.value if figure else None


def compare(results: Results) -> list[Row]:
    """Rows in the order the variants were asked for."""
    evaluations = {record.variant: record for record in results.evaluations}
    base = evaluations.get(results.settings.baseline)
    return [_row(variant, results, base, evaluations.get(variant)) for variant in results.settings.variants]


def measured_row(variant: str, measured: Sequence[MeasurementRecord], lengths: Sequence[int]) -> Row:
    """The figures that measuring alone gives; `lengths` are those of the workload's texts."""
    timed = [m for m in measured if m.timed]
    samples = [s for m in timed for s in clean_ms(m)]
    return Row(
        variant=variant,
        baseline=False,
        cold_start=_over(timed, lambda m: m.cold_start_s, drift=DRIFT),
        steady=_over(timed or measured, lambda m: m.stage("steady").pss_bytes),
        peak=_over(timed or measured, lambda m: m.stages[-1].hwm_bytes),
        p50=latency_spread(timed, 50),
        p95=latency_spread(timed, 95),
        per_s=1000 / statistics.fmean(samples) if samples else None,
        concurrent=_over(timed, lambda m: m.concurrent.per_s if m.concurrent else None, drift=DRIFT),
        lengths=tuple(map(tuple, by_length(timed, lengths))),
        samples=len(samples),
        disturbed=sum(bool(block.taints) for m in timed for block in m.blocks),
        figures={name: tuple(values) for name, metric in METRICS.items() if (values := metric.values(timed))},
    )


def _row(variant: str, results: Results, base: EvaluationRecord | None, evaluation: EvaluationRecord | None) -> Row:
    build = next((b for b in results.builds if b.variant == variant), None)
    failures = [f"{f.step}: {f.reason}" for f in results.failures if f.variant == variant]
    measured = [m for m in results.measurements if m.variant == variant]
    seed = results.settings.seed
    is_baseline = variant == results.settings.baseline
    return msgspec.structs.replace(
        measured_row(variant, measured, results.workload.lengths),
        baseline=is_baseline,
        f1=f1_interval(evaluation, seed=seed) if evaluation else None,
        change=f1_change(base, evaluation, seed=seed) if base and evaluation and not is_baseline else None,
        by_type=evaluation.strict_by_type if evaluation else {},
        parity=build.parity if build and results.corpus is None else None,
        size_bytes=build.size_bytes if build else None,
        failed="; ".join(failures),
    )


def _over(
    measured: Sequence[MeasurementRecord], figure: Callable[[MeasurementRecord], float | None], drift: float = 0.0
) -> Spread | None:
    values = [value for m in measured if (value := figure(m)) is not None and value > 0]
    return spread(values, drift=drift) if values else None
