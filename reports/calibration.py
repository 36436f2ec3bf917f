"""How often a gate on this machine is wrong, and what it can detect: gates resampled from A/A pairs. Pure functions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from ..core.gate_records import Calibration, MetricCalibration, Outcome
from ..core.lasting import lasting_of
from ..core.machine import fingerprint
from ..core.metrics import METRICS, Metric, gated
from ..core.paired import LOOKS, Change, centre_of_pairs, proportion, shared_level
from ..core.records import MeasurementRecord, Measuring, WorkloadFacts
from ..core.verdicts import MetricVerdict, harm, judge
from .content import Section, tabled
from .gate import joint_outcome
from .verdicts import margin_text

POWER = 0.9
RUNS = 1000

# Largest change that is looked for, in hundredths of a ratio, or in margins of a difference.
LARGEST = 400

SCHEMA = 2

Intervals = list[dict[str, Change]]
"""Of one resampled gate: the change of each metric with its interval, a look each."""


def summarize(
    baseline: Sequence[MeasurementRecord],
    candidate: Sequence[MeasurementRecord],
    *,
    date: str,
    disturbed: int,
    workload: WorkloadFacts,
    settings: Measuring,
) -> Calibration:
    """What A/A pairs (the i-th process of both sides, in order) show about the machine they ran on."""
    changes = changes_of(baseline, candidate)
    gates = resample(changes, tests=len(changes), seed=settings.seed)
    metrics = tuple(calibrate(gates, changes))
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
        pairs=len(baseline) - disturbed,
        disturbed_pairs=disturbed,
        changes=changes,
        metrics=metrics,
        runs=len(gates),
        false_alarms=found["regression"],
        false_alarm_low=low,
        false_alarm_high=high,
        inconclusive=found["inconclusive"],
    )


def changes_of(
    baseline: Sequence[MeasurementRecord], candidate: Sequence[MeasurementRecord]
) -> dict[str, tuple[float, ...]]:
    """Change of each pair, by metric that a gate judges by default: the logarithm of a ratio, or a difference."""
    found: dict[str, tuple[float, ...]] = {}
    for name in gated():
        metric = METRICS[name]
        one, two = metric.pairs(baseline, candidate)
        if one and 2 * len(one) > len(baseline):
            found[name] = tuple(c - b if metric.difference else math.log(c / b) for b, c in zip(one, two, strict=True))
    return found


def section(calibration: Calibration) -> Section:
    """A calibration as a table."""
    return tabled(
        title=f"This machine, from {calibration.pairs} pairs of {calibration.artifact} with itself",
        headings=("metric", "deviation of a pair", "with the next pair", "smallest seen change", "called worse from"),
        lines=[
            (
                METRICS[m.metric].title,
                f"{_size(m, m.deviation)} ({_size(m, m.deviation_low)} to {_size(m, m.deviation_high)})",
                f"{m.autocorrelation:+.2f}",
                _size(m, m.detectable),
                f"{_size(m, m.caught)} at a margin of {_size(m, m.margin)}",
            )
            for m in calibration.metrics
        ],
        remarks=(
            f"{calibration.false_alarms} of {calibration.runs} resampled gates said regression though nothing changed "
            f"(95 % {calibration.false_alarm_low * 100:.2f} to {calibration.false_alarm_high * 100:.2f} %), "
            f"{calibration.inconclusive / calibration.runs * 100:.1f} % could not tell",
            "seen, called worse: in nine of ten gates",
            *lasting(calibration.metrics, calibration.pairs),
        ),
    )


def lasting(metrics: Iterable[MetricCalibration], pairs: int) -> Iterator[str]:
    """Warning of metrics in which pairs resemble the next ones (beyond twice the error of an autocorrelation of 0)."""
    limit = 2 / math.sqrt(max(1, pairs))
    names = ", ".join(METRICS[m.metric].title for m in metrics if m.autocorrelation > limit)
    if names:
        yield (
            f"{names}: what favours one side lasts from pair to pair, so intervals are wider here and gates take more "
            "pairs; find out what it is, or calibrate again in a quieter hour"
        )


def _size(calibration: MetricCalibration, change: float | None) -> str:
    return "never" if change is None else margin_text(METRICS[calibration.metric], change)


def said(calibration: Calibration | None) -> str:
    """A calibration in a line."""
    if calibration is None:
        return "none of this machine; slimner calibrate tells what it can see"
    sees = ", ".join(f"{METRICS[m.metric].title} +{_size(m, m.caught)}" for m in calibration.metrics if m.caught)
    return (
        f"of {calibration.date} with {calibration.artifact}: {calibration.false_alarms} false alarms in "
        f"{calibration.runs} resampled gates (95 % {calibration.false_alarm_low * 100:.2f} to "
        f"{calibration.false_alarm_high * 100:.2f} %); nine of ten gates call worse {sees}"
    )


def resample(
    changes: Mapping[str, Sequence[float]], *, tests: int, runs: int = RUNS, looks: Sequence[int] = LOOKS, seed: int = 1
) -> list[Intervals]:
    """Gates whose pairs are drawn from `changes` (by metric) with replacement, two in a row as measured.

    Each gate knows how far a change lasts from pair to pair from all of them.
    """
    draw = np.random.default_rng(seed)
    columns = {name: np.asarray(values) for name, values in changes.items()}
    blocks = min(map(len, columns.values())) // 2
    level = shared_level(tests, len(looks))
    known = {name: lasting_of(values) for name, values in changes.items()}
    found: list[Intervals] = []
    for _ in range(runs):
        first = draw.integers(0, blocks, math.ceil(looks[-1] / 2)) * 2
        chosen = np.stack((first, first + 1), axis=1).ravel()
        found.append(
            [
                {
                    name: centre_of_pairs(column[chosen[:look]].tolist(), level, known[name])
                    for name, column in columns.items()
                }
                for look in looks
            ]
        )
    return found


def _moved(change: Change, by: float, metric: Metric) -> Change:
    """The change of a resampled gate as it is judged, if the candidate had changed by `by` more."""
    if metric.difference:
        low, high = (None if end is None else end + by for end in (change.low, change.high))
        return Change(value=change.value + by, low=low, high=high, level=change.level, n=change.n)
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
            change = _moved(look[name], shifts.get(name, 0.0), METRICS[name])
            verdict = judge(change, margin, METRICS[name])
            verdicts.append(MetricVerdict(metric=name, change=change, margin=margin, verdict=verdict))
        outcome = joint_outcome(verdicts)
        if outcome != "inconclusive":
            break
    return outcome


def calibrate(gates: Sequence[Intervals], changes: Mapping[str, Sequence[float]]) -> Iterator[MetricCalibration]:
    """What each metric can show, from its resampled gates."""
    for name, values in changes.items():
        metric = METRICS[name]
        unit = metric.margin if metric.difference else 0.01
        deviation = float(np.std(values, ddof=1))
        low, high = _deviation_factors(len(values))
        detectable = _smallest(partial(_detected, gates, metric), unit)
        caught = _smallest(partial(_called_worse, gates, metric, metric.margin), unit)
        yield MetricCalibration(
            metric=name,
            deviation=deviation,
            deviation_low=low * deviation,
            deviation_high=high * deviation,
            autocorrelation=lasting_of(values).correlation,
            detectable=detectable,
            margin=metric.margin,
            caught=caught,
        )


def _deviation_factors(n: int) -> tuple[float, float]:
    """Ends of the 95 % interval of a standard deviation from n values, as shares of it.

    From quantiles of chi-squared by the cube root of E. Wilson and M. Hilferty (PNAS 17, 1931).
    """
    freedom = n - 1

    def quantile(z: float) -> float:
        return freedom * (1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))) ** 3

    return math.sqrt(freedom / quantile(1.96)), math.sqrt(freedom / quantile(-1.96))


def _worsened(change: float, metric: Metric) -> float:
    """The value after a change for the worse: rates fall, everything else grows."""
    return 1 / (1 + change) - 1 if metric.higher_is_better else change


def _detected(gates: Sequence[Intervals], metric: Metric, change: float) -> float:
    by = _worsened(change, metric)

    def seen(gate: Intervals) -> bool:
        lows = (harm(_moved(look[metric.name], by, metric), metric).low for look in gate)
        return any(low is not None and low > 0 for low in lows)

    return sum(map(seen, gates)) / len(gates)


def _called_worse(gates: Sequence[Intervals], metric: Metric, margin: float, change: float) -> float:
    found = outcomes(gates, {metric.name: margin}, {metric.name: _worsened(change, metric)})
    return found["regression"] / len(gates)


def _smallest(power: Callable[[float], float], unit: float) -> float | None:
    """The smallest change that reaches the power, by bisection to a hundredth of itself; None if none up to 400 times
    `unit` does."""
    low, high = 0.0, unit
    while power(high) < POWER:
        if high >= LARGEST * unit:
            return None
        low, high = high, high * 2
    while high - low > 0.01 * high and high > 0.01 * unit:
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle) < POWER else (low, middle)
    return high
