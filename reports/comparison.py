"""One row a variant: what it costs and what it loses against the baseline, derived from the raw records."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec
import numpy as np

from ..core.records import EvaluationRecord, MeasurementRecord, Results, Score
from ..eval import F1Change, Interval, f1_change, f1_interval

# A percentile is printed from this many samples beyond it, at least.
SAMPLES_BEYOND = 10


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A variant's figures; None where the step that gives them failed or was too short.

    `loaded_bytes` and `steady_bytes` are PSS after loading and after the whole workload, `peak_bytes` is VmHWM; all
    three, and `load_s`, are medians over processes. Latencies are over the samples of all timed processes.
    """

    variant: str
    baseline: bool
    f1: Interval | None = None
    change: F1Change | None = None
    by_type: dict[str, Score] = {}
    size_bytes: int | None = None
    load_s: float | None = None
    loaded_bytes: int | None = None
    steady_bytes: int | None = None
    peak_bytes: int | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    per_s: float | None = None
    samples: int = 0
    failed: str = ""


def compare(results: Results) -> list[Row]:
    """Rows in the order the variants were asked for."""
    evaluations = {record.variant: record for record in results.evaluations}
    base = evaluations.get(results.settings.baseline)
    return [_row(variant, results, base, evaluations.get(variant)) for variant in results.settings.variants]


def _row(variant: str, results: Results, base: EvaluationRecord | None, evaluation: EvaluationRecord | None) -> Row:
    build = next((b for b in results.builds if b.variant == variant), None)
    failures = [f"{f.step}: {f.reason}" for f in results.failures if f.variant == variant]
    measured = [m for m in results.measurements if m.variant == variant]
    timed = [m for m in measured if m.timed]
    samples = np.asarray([s for m in timed for s in m.samples_ms])
    seed = results.settings.seed
    is_baseline = variant == results.settings.baseline
    return Row(
        variant=variant,
        baseline=is_baseline,
        f1=f1_interval(evaluation, seed=seed) if evaluation else None,
        change=f1_change(base, evaluation, seed=seed) if base and evaluation and not is_baseline else None,
        by_type=evaluation.strict_by_type if evaluation else {},
        size_bytes=build.size_bytes if build else None,
        load_s=statistics.median(m.load_s for m in timed) if timed else None,
        loaded_bytes=_median_pss(measured, "model"),
        steady_bytes=_median_pss(measured, "steady"),
        peak_bytes=int(statistics.median(m.stages[-1].hwm_bytes for m in measured)) if measured else None,
        p50_ms=percentile(samples, 50),
        p95_ms=percentile(samples, 95),
        per_s=1000 / float(samples.mean()) if len(samples) else None,
        samples=len(samples),
        failed="; ".join(failures),
    )


def percentile(samples: np.ndarray, q: float) -> float | None:
    """The q-th percentile, or None if fewer than ten samples would lie beyond it."""
    if len(samples) * (100 - q) / 100 < SAMPLES_BEYOND:
        return None
    return float(np.percentile(samples, q))


def _median_pss(measured: Sequence[MeasurementRecord], stage: str) -> int | None:
    values = [pss for m in measured if (pss := m.stage(stage).pss_bytes) is not None]
    return int(statistics.median(values)) if values else None
