"""Immutable comparisons: a candidate against its baseline, metric by metric, and what follows from an interval."""

from __future__ import annotations

from typing import Literal

import msgspec

from .lasting import Lasting
from .metrics import Metric
from .paired import BetweenRuns, Change
from .records import (
    CorpusFacts,
    EvaluationRecord,
    Failure,
    Machine,
    MeasurementRecord,
    Measuring,
    Note,
    Record,
    Results,
    WorkloadFacts,
)

Verdict = Literal["better", "worse", "same", "inconclusive", "not comparable", "not judged"]


class Side(Record, frozen=True, kw_only=True):
    """One side of a comparison: a variant and its records.

    `measurements` are timed processes; in a paired comparison the i-th of both sides ran one after the other.
    `deviations` between runs are relative standard ones that the machine had shown before, by metric.
    """

    label: str
    variant: str
    artifact: str = ""
    size_bytes: int | None = None
    corpus: CorpusFacts | None = None
    workload: WorkloadFacts | None = None
    settings: Measuring | None = None
    machine: Machine
    evaluation: EvaluationRecord | None = None
    measurements: tuple[MeasurementRecord, ...] = ()
    failures: tuple[Failure, ...] = ()
    deviations: dict[str, float] = msgspec.field(default_factory=dict)


def sides(results: Results, label: str) -> dict[str, Side]:
    """Each variant of a run as a side, by name; `label` says where the run is from."""
    evaluations = {record.variant: record for record in results.evaluations}
    builds = {record.variant: record for record in results.builds}
    found: dict[str, Side] = {}
    for variant in results.settings.variants:
        build = builds.get(variant)
        found[variant] = Side(
            label=label,
            variant=variant,
            artifact=build.artifact if build else "",
            size_bytes=build.size_bytes if build else None,
            corpus=results.corpus,
            workload=results.workload,
            settings=results.settings,
            machine=results.machine,
            evaluation=evaluations.get(variant),
            measurements=tuple(m for m in results.measurements if m.variant == variant and m.timed),
            failures=tuple(f for f in results.failures if f.variant == variant),
            deviations=results.deviations,
        )
    return found


class MetricVerdict(Record, frozen=True, kw_only=True):
    """One metric of both sides, the change with its interval, and the verdict at the margin.

    The change is relative (candidate over baseline minus 1) except for F1, whose change and margin are in percentage
    points. `metric` is "f1" for all types together and "f1 PER" for one type. `reason` says why there is no verdict.
    """

    metric: str
    baseline: float | None = None
    candidate: float | None = None
    change: Change | None = None
    margin: float | None = None
    verdict: Verdict
    reason: str = ""


class SentenceCounts(Record, frozen=True, kw_only=True):
    """Sentences that only one side got wholly right, and the exact two-sided p that this is chance (McNemar)."""

    gained: int
    lost: int
    p: float


class LengthChange(Record, frozen=True, kw_only=True):
    """How the mean latency of texts of `least` to `most` characters has changed; `most` is None for no upper end."""

    least: int
    most: int | None
    change: Change

    @property
    def words(self) -> str:
        """`texts of 51 to 128 characters`."""
        return f"texts of {self.least} " + (f"to {self.most} characters" if self.most else "characters and more")


class Comparison(Record, frozen=True, kw_only=True):
    """A candidate against its baseline.

    If both were measured for this, `pairs` is the number of pairs of processes whose times count and `disturbed_pairs`
    the number of those that count only for memory; `baseline_first` says for each pair which side began, `looks` after
    how many pairs it was judged, `ended` why measuring ended, and `lengths` how latency changed by length of the text.
    All intervals hold together with 95 % confidence; `correction` says how. `between_runs` is by how much the figures
    of recorded runs are taken to differ from run to run, and `lasting` what pairs on this machine had shown before of
    what lasts from one to the next, by metric.
    """

    baseline: Side
    candidate: Side
    verdicts: tuple[MetricVerdict, ...]
    types: tuple[MetricVerdict, ...] = ()
    sentences: SentenceCounts | None = None
    lengths: tuple[LengthChange, ...] = ()
    pairs: int = 0
    looks: tuple[int, ...] = ()
    disturbed_pairs: int = 0
    baseline_first: tuple[bool, ...] = ()
    ended: str = ""
    correction: str = ""
    between_runs: dict[str, BetweenRuns] = msgspec.field(default_factory=dict)
    lasting: dict[str, Lasting] = msgspec.field(default_factory=dict)
    seed: int = 0
    seconds: float = 0.0
    notes: tuple[Note, ...] = ()

    def of(self, metric: str) -> MetricVerdict:
        """The verdict of a metric; KeyError if it was not looked at."""
        for verdict in (*self.verdicts, *self.types):
            if verdict.metric == metric:
                return verdict
        raise KeyError(metric)


def harm(change: Change, metric: Metric) -> Change:
    """The change with its sign turned so that higher is worse."""
    return change.mirrored if metric.higher_is_better else change


def judge(change: Change, margin: float, metric: Metric) -> Verdict:
    """The verdict of an interval at a margin: all beyond it (worse, better), all inside it (same), or inconclusive."""
    worse = harm(change, metric)
    if worse.low is None or worse.high is None:
        return "inconclusive"
    if worse.low > margin:
        return "worse"
    if worse.high < -margin:
        return "better"
    if worse.low >= -margin and worse.high <= margin:
        return "same"
    return "inconclusive"


def surely_no_worse(verdict: MetricVerdict, metric: Metric) -> bool:
    """Whether a change beyond the margin for the worse is ruled out, as a gate requires."""
    if verdict.change is None or verdict.margin is None:
        return False
    worse = harm(verdict.change, metric)
    return worse.high is not None and worse.high <= verdict.margin
