"""Immutable results of a gate and of the calibration that tells how far to believe it."""

from __future__ import annotations

from typing import Literal

from .records import Machine, Measuring, Note, Record, WorkloadFacts
from .verdicts import Comparison

Outcome = Literal["pass", "regression", "inconclusive", "failed", "not judged"]


class MetricCalibration(Record, frozen=True, kw_only=True):
    """What this machine can tell about one metric, from pairs of an artifact with itself.

    `deviation` is the standard deviation of the logarithm of a pair's ratio. `detectable` is the smallest relative
    change whose interval excludes "no change" with 90 % power within the looks of a gate; no smaller margin is
    sensible, so it is the default one. `caught` is the smallest change that a gate with that margin calls worse with 90
    % power.
    """

    metric: str
    deviation: float
    detectable: float
    margin: float
    caught: float


class Calibration(Record, frozen=True, kw_only=True):
    """Gates resampled from `pairs` A/A pairs on one machine: how often they were wrong, and what they can see.

    `ratios[metric][i]` is the logarithm of the ratio of pair i. Of `runs` resampled gates `false_alarms` said
    "regression" and `inconclusive` could not tell.
    """

    schema: int
    fingerprint: str
    date: str
    machine: Machine
    artifact: str
    workload: WorkloadFacts
    settings: Measuring
    pairs: int
    rejected_pairs: int
    ratios: dict[str, tuple[float, ...]]
    metrics: tuple[MetricCalibration, ...]
    runs: int
    false_alarms: int
    false_alarm_low: float
    false_alarm_high: float
    inconclusive: int

    @property
    def margins(self) -> dict[str, float]:
        """The default margin of each metric."""
        return {metric.metric: metric.margin for metric in self.metrics}


class Check(Record, frozen=True, kw_only=True):
    """One thing that a gate looked at, what came of it, and why."""

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
