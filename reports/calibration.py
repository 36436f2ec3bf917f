"""How often a gate on this machine is wrong, and what it can see: gates resampled from A/A pairs. Pure functions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from ..core.gate_records import Calibration, MetricCalibration, Outcome
from ..core.machine import fingerprint
from ..core.metrics import METRICS, Metric, gated
from ..core.paired import LOOKS, Change, proportion, shared_level, signed_rank
from ..core.records import MeasurementRecord, Measuring, WorkloadFacts
from ..core.verdicts import MetricVerdict, harm, judge
from .gate import settle
from .tables import Section

POWER = 0.9
RUNS = 1000

# Largest relative change that is looked for.
LARGEST = 4.0

SCHEMA = 2

Intervals = list[dict[str, Change]]
"""Of one resampled gate: the change of each metric with its interval, a look each."""


def summarize(
    baseline: Sequence[MeasurementRecord],
    candidate: Sequence[MeasurementRecord],
    *,
    date: str,
    rejected: int,
    workload: WorkloadFacts,
    settings: Measuring,
) -> Calibration:
    """What A/A pairs (the i-th process of both sides, in order) say of the machine they ran on."""
    ratios = log_ratios(baseline, candidate)
    gates = resample(ratios, tests=len(ratios), seed=settings.seed)
    metrics = tuple(calibrate(gates, ratios))
    found = outcomes(gates, {metric.metric: metric.margin for metric in metrics})
    low, high = proportion(found["regression"], len(gates))
    return Calibration(
        schema=SCHEMA,
        fingerprint=fingerprint(baseline[0].machine),
        date=date,
        machine=baseline[0].machine,
        artifact=baseline[0].artifact,
        workload=workload,
        settings=settings,
        pairs=len(baseline),
        rejected_pairs=rejected,
        ratios=ratios,
        metrics=metrics,
        runs=len(gates),
        false_alarms=found["regression"],
        false_alarm_low=low,
        false_alarm_high=high,
        inconclusive=found["inconclusive"],
    )


def log_ratios(
    baseline: Sequence[MeasurementRecord], candidate: Sequence[MeasurementRecord]
) -> dict[str, tuple[float, ...]]:
    """Logarithm of candidate over baseline of each pair, by metric that a gate judges by default."""
    found: dict[str, tuple[float, ...]] = {}
    for name in gated():
        one, two = METRICS[name].pairs(baseline, candidate)
        if 2 * len(one) > len(baseline):
            found[name] = tuple(math.log(c / b) for b, c in zip(one, two, strict=True))
    return found


def section(calibration: Calibration) -> Section:
    """A calibration as a table."""
    return Section(
        title=f"This machine, from {calibration.pairs} pairs of {calibration.artifact} with itself",
        headings=("metric", "deviation of a pair", "smallest seen change", "margin", "called worse from"),
        lines=[
            (
                METRICS[m.metric].title,
                *(f"{value * 100:.1f} %" for value in (m.deviation, m.detectable, m.margin, m.caught)),
            )
            for m in calibration.metrics
        ],
        remarks=(
            f"{calibration.false_alarms} of {calibration.runs} resampled gates said regression though nothing changed "
            f"(95 % {calibration.false_alarm_low * 100:.2f} to {calibration.false_alarm_high * 100:.2f} %), "
            f"{calibration.inconclusive / calibration.runs * 100:.1f} % could not tell",
            "seen, called worse: in nine of ten gates",
        ),
    )


def said(calibration: Calibration | None) -> str:
    """A calibration in a line."""
    if calibration is None:
        return "none of this machine, so built-in margins; slimner calibrate measures it"
    sees = ", ".join(f"{METRICS[m.metric].title} +{m.caught * 100:.1f} %" for m in calibration.metrics)
    return (
        f"of {calibration.date} with {calibration.artifact}: {calibration.false_alarms} false alarms in "
        f"{calibration.runs} resampled gates (95 % {calibration.false_alarm_low * 100:.2f} to "
        f"{calibration.false_alarm_high * 100:.2f} %); nine of ten gates call worse {sees}"
    )


def resample(
    ratios: Mapping[str, Sequence[float]], *, tests: int, runs: int = RUNS, looks: Sequence[int] = LOOKS, seed: int = 1
) -> list[Intervals]:
    """Gates whose pairs are drawn from `ratios` (logarithms, by metric) with replacement, two in a row as measured."""
    draw = np.random.default_rng(seed)
    columns = {name: np.asarray(values) for name, values in ratios.items()}
    blocks = min(map(len, columns.values())) // 2
    level = shared_level(tests, len(looks))
    found: list[Intervals] = []
    for _ in range(runs):
        first = draw.integers(0, blocks, math.ceil(looks[-1] / 2)) * 2
        chosen = np.stack((first, first + 1), axis=1).ravel()
        found.append(
            [
                {name: signed_rank(column[chosen[:look]].tolist(), level) for name, column in columns.items()}
                for look in looks
            ]
        )
    return found


def _moved(change: Change, by: float) -> Change:
    """A change of logarithms as a relative one, as if the candidate had changed by `by` more."""
    shift = math.log1p(by)
    low, high = (None if end is None else math.expm1(end + shift) for end in (change.low, change.high))
    return Change(value=math.expm1(change.value + shift), low=low, high=high, level=change.level, n=change.n)


def outcomes(
    gates: Sequence[Intervals], margins: Mapping[str, float], shifts: Mapping[str, float] | None = None
) -> Counter[Outcome]:
    """How the resampled gates end at some margins, if the candidate had changed by `shifts`."""
    return Counter(_outcome(gate, margins, shifts or {}) for gate in gates)


def _outcome(gate: Intervals, margins: Mapping[str, float], shifts: Mapping[str, float]) -> Outcome:
    outcome: Outcome = "inconclusive"
    for look in gate:
        verdicts: list[MetricVerdict] = []
        for name, margin in margins.items():
            change = _moved(look[name], shifts.get(name, 0.0))
            verdict = judge(change, margin, METRICS[name])
            verdicts.append(MetricVerdict(metric=name, change=change, margin=margin, verdict=verdict))
        outcome = settle(verdicts)
        if outcome != "inconclusive":
            break
    return outcome


def calibrate(gates: Sequence[Intervals], ratios: Mapping[str, Sequence[float]]) -> Iterator[MetricCalibration]:
    """What each metric can show, from its resampled gates."""
    for name, values in ratios.items():
        metric = METRICS[name]
        detectable = _smallest(partial(_detected, gates, metric))
        margin = max(metric.floor, detectable)
        caught = _smallest(partial(_called_worse, gates, metric, margin))
        yield MetricCalibration(
            metric=name,
            deviation=float(np.std(values, ddof=1)),
            detectable=round(detectable, 5),
            margin=round(margin, 5),
            caught=round(caught, 5),
        )


def _worsened(change: float, metric: Metric) -> float:
    """A change for the worse by so much: a rate that falls, anything else that grows."""
    return 1 / (1 + change) - 1 if metric.higher_is_better else change


def _detected(gates: Sequence[Intervals], metric: Metric, change: float) -> float:
    by = _worsened(change, metric)

    def seen(gate: Intervals) -> bool:
        lows = (harm(_moved(look[metric.name], by), metric).low for look in gate)
        return any(low is not None and low > 0 for low in lows)

    return sum(map(seen, gates)) / len(gates)


def _called_worse(gates: Sequence[Intervals], metric: Metric, margin: float, change: float) -> float:
    found = outcomes(gates, {metric.name: margin}, {metric.name: _worsened(change, metric)})
    return found["regression"] / len(gates)


def _smallest(power: Callable[[float], float]) -> float:
    """The smallest change that reaches the power, by bisection to a hundredth of itself."""
    low, high = 0.0, 0.01
    while power(high) < POWER and high < LARGEST:
        low, high = high, high * 2
    while high - low > 0.01 * high and high > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle) < POWER else (low, middle)
    return high
