"""Verdicts: a candidate against its baseline from records, each metric judged at its margin. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from ..core.between_runs import assumed
from ..core.lasting import UNKNOWN, Lasting
from ..core.machine import FINGERPRINT
from ..core.metrics import F1, METRICS, Kind, Metric, metric_of
from ..core.paired import (
    LOOKS,
    BetweenRuns,
    Change,
    difference_of_pairs,
    mcnemar,
    ratio_of_groups,
    ratio_of_pairs,
    shared_level,
)
from ..core.records import MeasurementRecord, Record
from ..core.verdicts import Comparison, MetricVerdict, SentenceCounts, Side, judge, surely_no_worse
from ..eval import f1_change, plan_from_pair
from .lengths import changes_by_length

T = TypeVar("T")

NO_GOLD = "nothing to judge: the corpus has no gold entity"
NO_CORPUS = "nothing to judge: there is no corpus"
NOT_MEASURED = "was not measured, or from too few samples"

# Gold entities of a type below which its F1 is not judged by itself.
LEAST_SUPPORT = 50


class Terms(Record, frozen=True, kw_only=True):
    """The question of a comparison: metrics with their margins, relative but for F1's, which is in percentage points.

    `variants` is the number of comparisons that are made together, which share the chance of an error. `between_runs`
    is by how much recorded figures differ from run to run, and `lasting` what earlier pairs on the machine have shown,
    by metric.
    """

    margins: Mapping[str, float]
    seed: int = 1
    variants: int = 1
    between_runs: Mapping[str, BetweenRuns] = msgspec.field(default_factory=assumed)
    lasting: Mapping[str, Lasting] = msgspec.field(default_factory=dict)

    @property
    def tests(self) -> int:
        """Number of figures of time and memory that are judged."""
        return self.variants * sum(METRICS[name].kind in ("timing", "memory") for name in self.margins)


def differs(kind: Kind, one: Side, other: Side) -> str | None:
    """The field that makes recorded figures of a kind incomparable, with both values; None if nothing does."""
    for name, mine, theirs in _fields(kind, one, other):
        if mine != theirs:
            return f"{name} ({_short(mine)} and {_short(theirs)})"
    return None


def _fields(kind: Kind, one: Side, other: Side) -> Iterator[tuple[str, object, object]]:
    if kind in ("f1", "size"):
        yield "corpus", one.corpus and one.corpus.sha256, other.corpus and other.corpus.sha256
        return
    yield "workload", one.workload and one.workload.sha256, other.workload and other.workload.sha256
    for name in ("threads",) if kind == "memory" else ("threads", "samples", "warmup"):
        yield f"settings.{name}", getattr(one.settings, name, None), getattr(other.settings, name, None)
    for name in ("architecture",) if kind == "memory" else FINGERPRINT:
        yield f"machine.{name}", getattr(one.machine, name), getattr(other.machine, name)
    if kind == "memory":
        mine, theirs = one.machine.libraries, other.machine.libraries
        for name in sorted({*mine, *theirs}):
            yield f"machine.libraries.{name}", mine.get(name), theirs.get(name)


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 else text


def compare_sides(
    baseline: Side, candidate: Side, question: Terms, *, looks: Sequence[int] = (), planned_looks: int = len(LOOKS)
) -> Comparison:
    """Judge each metric of a question.

    With `looks` (numbers of pairs after which it was judged) the sides were measured in pairs and timings and memory
    are compared by pair; without, as recorded, where that is allowed.
    """
    paired = bool(looks)
    verdicts: list[MetricVerdict] = []
    for name, margin in question.margins.items():
        metric = METRICS[name]
        if metric is F1:
            verdicts.append(_f1(baseline, candidate, margin, shared_level(question.variants), question.seed))
        elif metric.kind == "size":
            verdicts.append(_size(baseline, candidate, margin))
        else:
            level = shared_level(question.tests, planned_looks if paired else 1)
            if paired:
                known = question.lasting.get(name, UNKNOWN)
                verdicts.append(_in_pairs(metric, baseline, candidate, margin, level, known))
            else:
                between = question.between_runs.get(name)
                verdicts.append(_as_recorded(metric, baseline, candidate, margin, level, between))
    types: tuple[MetricVerdict, ...] = ()
    sentences = None
    if "f1" in question.margins and _scored_alike(baseline, candidate):
        types = tuple(_by_type(baseline, candidate, question.margins["f1"], question.seed))
        sentences = _sentences(baseline, candidate)
    return Comparison(
        baseline=baseline,
        candidate=candidate,
        verdicts=tuple(verdicts),
        types=types,
        sentences=sentences,
        lengths=changes_by_length(baseline, candidate) if paired else (),
        pairs=sum(map(_counts, baseline.measurements, candidate.measurements)) if paired else 0,
        looks=tuple(looks),
        correction=correction(question, planned_looks if paired else 1, len(types)),
        between_runs={} if paired else _taken(verdicts, question.between_runs),
        lasting=_taken(verdicts, question.lasting) if paired else {},
        seed=question.seed,
    )


def _taken(verdicts: Sequence[MetricVerdict], known: Mapping[str, T]) -> dict[str, T]:
    """What was known of the metrics that have an interval."""
    names = [v.metric for v in verdicts if v.change is not None]
    return {name: known[name] for name in names if name in known}


def correction(question: Terms, looks: int, types: int) -> str:
    """How the error probability is divided, in words."""
    words = f"intervals of time and memory hold together with 95 %: the 5 % are shared by {question.tests} figures"
    words += f" and {looks} looks (Bonferroni)" if looks > 1 else " (Bonferroni)"
    words += "; F1 has 95 % of its own" if question.variants == 1 else f"; so does F1 of {question.variants} variants"
    return words + (f", and so do its {types} types together" if types else "")


def _scored_alike(one: Side, other: Side) -> bool:
    return bool(one.evaluation and other.evaluation) and differs("f1", one, other) is None


def _other(metric: str, margin: float, reason: str) -> MetricVerdict:
    """Figures that cannot be compared."""
    return MetricVerdict(metric=metric, margin=margin, verdict="not comparable", reason=reason)


def _nothing(metric: str, margin: float, reason: str) -> MetricVerdict:
    """Nothing to compare: whether that matters depends on whether it was asked for."""
    return MetricVerdict(metric=metric, margin=margin, verdict="not judged", reason=reason)


def _missing(metric: str, margin: float, reason: str) -> MetricVerdict:
    """Figures that could be compared but are missing: inconclusive, never a pass."""
    return MetricVerdict(metric=metric, margin=margin, verdict="inconclusive", reason=reason)


def _f1(baseline: Side, candidate: Side, margin: float, level: float, seed: int) -> MetricVerdict:
    if reason := differs("f1", baseline, candidate):
        return _other("f1", margin, reason)
    one, two = baseline.evaluation, candidate.evaluation
    if one is None and two is None and baseline.corpus is None:
        return _nothing("f1", margin, NO_CORPUS)
    if one is None or two is None:
        which = [side.label for side in (baseline, candidate) if side.evaluation is None]
        return _missing("f1", margin, f"no score of {' and '.join(which)}")
    if (found := f1_change(one, two, seed=seed, level=level)) is None:
        return _nothing("f1", margin, NO_GOLD)
    points = found.points
    change = Change(value=points.value, low=points.low, high=points.high, level=level, n=len(one.sentences))
    verdict = MetricVerdict(
        metric="f1",
        baseline=one.strict.f1,
        candidate=two.strict.f1,
        change=change,
        margin=margin,
        verdict=judge(change, margin, F1),
    )
    if verdict.verdict != "inconclusive" or surely_no_worse(verdict, F1):
        return verdict
    return msgspec.structs.replace(verdict, reason=str(plan_from_pair(one, two, margin, level=level)))


def _by_type(baseline: Side, candidate: Side, margin: float, seed: int) -> Iterator[MetricVerdict]:
    one, two = baseline.evaluation, candidate.evaluation
    assert one is not None
    assert two is not None
    kinds = [kind for kind, score in one.strict_by_type.items() if score.support >= LEAST_SUPPORT]
    if len(kinds) < 2:
        return
    level = shared_level(len(kinds))
    for kind in kinds:
        found = f1_change(one, two, seed=seed, level=level, kind=kind)
        assert found is not None  # a type with support has gold entities
        points = found.points
        change = Change(value=points.value, low=points.low, high=points.high, level=level, n=len(one.sentences))
        yield MetricVerdict(
            metric=f"f1 {kind}",
            baseline=one.strict_by_type[kind].f1,
            candidate=two.strict_by_type[kind].f1 if kind in two.strict_by_type else 0.0,
            change=change,
            margin=margin,
            verdict=judge(change, margin, F1),
        )


def _sentences(baseline: Side, candidate: Side) -> SentenceCounts | None:
    assert baseline.evaluation is not None
    assert candidate.evaluation is not None
    change = f1_change(baseline.evaluation, candidate.evaluation, seed=1)
    if change is None:
        return None
    return SentenceCounts(gained=change.gained, lost=change.lost, p=mcnemar(change.gained, change.lost))


def _size(baseline: Side, candidate: Side, margin: float) -> MetricVerdict:
    if reason := differs("size", baseline, candidate):
        return _other("size", margin, reason)
    one, two = baseline.size_bytes, candidate.size_bytes
    if one is None or two is None:
        return _missing("size", margin, "one of the two was not built")
    ratio = two / one - 1
    change = Change(value=ratio, low=ratio, high=ratio, level=1.0, n=1)
    return MetricVerdict(
        metric="size",
        baseline=one,
        candidate=two,
        change=change,
        margin=margin,
        verdict=judge(change, margin, METRICS["size"]),
    )


def _in_pairs(
    metric: Metric, baseline: Side, candidate: Side, margin: float, level: float, known: Lasting
) -> MetricVerdict:
    one, two = metric.pairs(baseline.measurements, candidate.measurements)
    if not one or not two:
        return _missing(metric.name, margin, NOT_MEASURED)
    of_pairs = difference_of_pairs if metric.difference else ratio_of_pairs
    return _measured(metric, one, two, margin, of_pairs(one, two, level, known), "pairs are")


def _as_recorded(
    metric: Metric, baseline: Side, candidate: Side, margin: float, level: float, between: BetweenRuns | None
) -> MetricVerdict:
    if reason := differs(metric.kind, baseline, candidate):
        return _other(metric.name, margin, reason)
    if metric.difference:
        return _other(metric.name, margin, "it is judged in pairs of processes only")
    one, two = (metric.values(side.measurements) for side in (baseline, candidate))
    if not one or not two:
        return _missing(metric.name, margin, NOT_MEASURED)
    return _measured(
        metric, one, two, margin, ratio_of_groups(one, two, level, between=between), "processes a side are"
    )


def _measured(
    metric: Metric, one: Sequence[float], two: Sequence[float], margin: float, change: Change, counted: str
) -> MetricVerdict:
    return MetricVerdict(
        metric=metric.name,
        baseline=_mean(one),
        candidate=_mean(two),
        change=change,
        margin=margin,
        verdict=judge(change, margin, metric),
        reason=f"{change.n} {counted} too few for an interval" if change.low is None else "",
    )


def _counts(one: MeasurementRecord, two: MeasurementRecord) -> bool:
    """Whether the times of a pair count."""
    return not (one.disturbed or two.disturbed)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def change_of(verdict: MetricVerdict) -> str:
    """A change with its interval: `+1.2 % (-0.3 to +2.7)`, in pp for F1."""
    change = verdict.change
    if change is None:
        return "-"
    return words_of(change, metric_of(verdict.metric))


def words_of(change: Change, metric: Metric = METRICS["mean"]) -> str:
    """A change of a metric, by default of a time, with its interval."""
    scale, unit, digits = _written(metric)
    text = f"{change.value * scale:+.{digits}f} {unit}"
    if change.low is None or change.high is None or change.low == change.high:
        return text
    return f"{text} ({change.low * scale:+.{digits}f} to {change.high * scale:+.{digits}f})"


def margin_of(verdict: MetricVerdict) -> str:
    """The margin in the unit of its change."""
    if verdict.margin is None:
        return "-"
    return margin_text(metric_of(verdict.metric), verdict.margin)


def margin_text(metric: Metric, margin: float) -> str:
    """A margin of a metric in the unit of its change."""
    scale, unit, digits = _written(metric)
    return f"{margin:g} pp" if unit == "pp" else f"{margin * scale:.{digits}f} {unit}"


def _written(metric: Metric) -> tuple[float, str, int]:
    """Factor, unit and digits of a change of a metric."""
    if metric is F1:
        return 1.0, "pp", 2
    return (1e-6, "MB per 100", 2) if metric.difference else (100.0, "%", 1)
