"""One row for each variant: its costs and its losses against the baseline, derived from the raw records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ..core.metrics import METRICS
from ..core.records import EvaluationRecord, MeasurementRecord, Parity, Results, Score
from ..core.statistics import Spread, by_length
from ..eval import F1Change, Interval, f1_change, f1_interval


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A variant's figures; those of a step that failed or was too short are missing.

    `figures` holds one value a timed process of each metric (the artifact's size once), `spreads` its mean over the
    processes with its interval. `lengths[i]` holds the latencies in ms of length bucket i. `disturbed` counts the
    blocks that were still disturbed after they were repeated; their latencies are left out. `parity` with the
    checkpoint takes the place of F1 in a run without a corpus (random weights).
    """

    variant: str
    baseline: bool
    f1: Interval | None = None
    change: F1Change | None = None
    by_type: dict[str, Score] = {}
    figures: dict[str, tuple[float, ...]] = {}
    spreads: dict[str, Spread] = {}
    lengths: tuple[tuple[float, ...], ...] = ()
    samples: int = 0
    disturbed: int = 0
    failed: str = ""
    parity: Parity | None = None

    def processes(self, metric: str) -> tuple[float, ...]:
        """One value a timed process; none where it was not measured."""
        return self.figures.get(metric, ())

    def spread(self, metric: str) -> Spread | None:
        """The metric with its interval; F1 over sentences, any other over processes; None where it is missing."""
        if metric == "f1":
            return Spread(value=self.f1.value, low=self.f1.low, high=self.f1.high, processes=1) if self.f1 else None
        return self.spreads.get(metric)

    def value(self, metric: str) -> float | None:
        """The metric by itself."""
        figure = self.spread(metric)
        return figure.value if figure else None


def rows_of(results: Results) -> list[Row]:
    """Rows in the requested order of variants."""
    evaluations = {record.variant: record for record in results.evaluations}
    base = evaluations.get(results.settings.baseline)
    return [_row(variant, results, base, evaluations.get(variant)) for variant in results.settings.variants]


def measured_row(
    variant: str,
    measured: Sequence[MeasurementRecord],
    lengths: Sequence[int],
    size_bytes: int | None = None,
    deviations: Mapping[str, float] | None = None,
) -> Row:
    """The figures that building and measuring give; `lengths` are those of the workload's texts, and `deviations` are
    those between runs that the machine had shown, by metric."""
    timed = [m for m in measured if m.timed]
    figures = {name: tuple(values) for name, metric in METRICS.items() if (values := metric.values(timed))}
    spreads = {name: figure for name, metric in METRICS.items() if (figure := metric.spread(timed, deviations))}
    if size_bytes:
        figures["size"] = (float(size_bytes),)
        spreads["size"] = Spread(value=float(size_bytes), low=None, high=None, processes=1)
    return Row(
        variant=variant,
        baseline=False,
        figures=figures,
        spreads=spreads,
        lengths=tuple(map(tuple, by_length(timed, lengths))),
        samples=sum(len(m.clean) for m in timed),
        disturbed=sum(bool(block.taints) for m in timed for block in m.blocks),
    )


def _row(variant: str, results: Results, base: EvaluationRecord | None, evaluation: EvaluationRecord | None) -> Row:
    build = next((b for b in results.builds if b.variant == variant), None)
    failures = [f"{f.step}: {f.reason}" for f in results.failures if f.variant == variant]
    measured = [m for m in results.measurements if m.variant == variant]
    seed = results.settings.seed
    is_baseline = variant == results.settings.baseline
    size = build.size_bytes if build else None
    return msgspec.structs.replace(
        measured_row(variant, measured, results.workload.lengths, size, results.deviations),
        baseline=is_baseline,
        f1=f1_interval(evaluation, seed=seed) if evaluation else None,
        change=f1_change(base, evaluation, seed=seed) if base and evaluation and not is_baseline else None,
        by_type=evaluation.strict_by_type if evaluation else {},
        parity=build.parity if build and results.corpus is None else None,
        failed="; ".join(failures),
    )
