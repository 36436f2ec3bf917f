"""Immutable results of a gate, and of the calibration that shows how far to trust it."""

from __future__ import annotations

from typing import Literal

from .records import Machine, Measuring, Note, Record, WorkloadFacts
from .verdicts import Comparison

Outcome = Literal["pass", "regression", "inconclusive", "failed", "not judged"]


class MetricCalibration(Record, frozen=True, kw_only=True):
    """What this machine can tell about one metric, from pairs of an artifact with itself.

    `deviation` is the standard deviation of a pair's change (the logarithm of its ratio, or its difference), with its
    95 % interval over the pairs; `autocorrelation` is the correlation of a pair's change with the next pair's.
    `detectable` is the smallest change whose interval excludes "no change" with 90 % power within the looks of a gate;
    `caught` is the smallest that a gate with the built-in `margin` calls worse with 90 % power. Either is None if no
    change that was tried is large enough.
    """

    metric: str
    deviation: float
    deviation_low: float
    deviation_high: float
    autocorrelation: float
    detectable: float | None
    margin: float
    caught: float | None


class Calibration(Record, frozen=True, kw_only=True):
    """Gates resampled from `pairs` A/A pairs on one machine: how often they were wrong, and what they can detect.

    `changes[metric][i]` is the logarithm of the ratio of pair i, or its difference. Of `runs` resampled gates
    `false_alarms` said "regression" and `inconclusive` could not tell.
    """

    schema: int
    fingerprint: str
    date: str
    machine: Machine
    artifact: str
    workload: WorkloadFacts
    settings: Measuring
    pairs: int
    disturbed_pairs: int
    changes: dict[str, tuple[float, ...]]
    metrics: tuple[MetricCalibration, ...]
    runs: int
    false_alarms: int
    false_alarm_low: float
    false_alarm_high: float
    inconclusive: int


class Check(Record, frozen=True, kw_only=True):
    """One check of a gate, with its outcome and the reason."""

    variant: str
    name: str
    outcome: Outcome
    message: str


class GateRecord(Record, frozen=True, kw_only=True):
    """What a gate found, and the exit code that follows from it."""

    outcome: Outcome
    exit_code: int
    baseline: str
    candidate: str
    policy: str
    margins: str
    checks: tuple[Check, ...]
    comparisons: tuple[Comparison, ...] = ()
    calibration: str = ""
    notes: tuple[Note, ...] = ()
    seconds: float = 0.0
