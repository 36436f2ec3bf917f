"""A gate: what a comparison and a policy mean for a change, as checks and one outcome. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..core.errors import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASS, EXIT_REGRESSION
from ..core.gate_records import Check, Outcome
from ..core.metrics import F1, METRICS, Metric, gated, limits, metric_of
from ..core.verdicts import Comparison, MetricVerdict, Side, surely_no_worse
from ..eval import f1_interval
from .comparison import measured_row
from .formatting import show
from .lengths import slower_where
from .policy import Policy
from .verdicts import NO_GOLD, change_of, margin_of, margin_text

NOT_MEASURED = "not measured"

EXIT_CODES: dict[Outcome, int] = {
    "pass": EXIT_PASS,
    "regression": EXIT_REGRESSION,
    "inconclusive": EXIT_INCONCLUSIVE,
    "failed": EXIT_FAILED,
}


def margins(policy: Policy) -> tuple[dict[str, float], str]:
    """The margin of each metric that is judged, and where they are from.

    A margin says what matters to the user; what a calibration found of the machine's noise never widens one.

    The metrics are those of the policy's margins, else the default ones; F1 is judged at the policy's largest drop.
    """
    found: dict[str, float] = {}
    if policy.f1_max_drop_pp is not None:
        found["f1"] = policy.f1_max_drop_pp
    sources: list[str] = []
    for name in policy.margins or [name for name in gated() if name != "f1"]:
        given = policy.margins.get(name)
        found[name] = given if given is not None else METRICS[name].margin
        source = "policy" if given is not None else "built-in"
        sources.append(f"{METRICS[name].title} {margin_text(METRICS[name], found[name])} ({source})")
    if "f1" in found:
        sources.insert(0, f"F1 {found['f1']:g} pp (policy)")
    return found, ", ".join(sources)


def joint_outcome(verdicts: Iterable[MetricVerdict]) -> Outcome:
    """The outcome of metrics together: one that is worse decides; what cannot be compared or judged does not count."""
    outcome: Outcome = "pass"
    for verdict in verdicts:
        if verdict.verdict == "worse":
            return "regression"
        if verdict.verdict not in ("not comparable", "not judged") and not surely_no_worse(
            verdict, metric_of(verdict.metric)
        ):
            outcome = "inconclusive"
    return outcome


def decided_by_scores(comparison: Comparison) -> str | None:
    """Why measuring cannot change the outcome of a gate: F1, a type's F1 or the artifact's size decides; else None."""
    for verdict in (*comparison.verdicts, *comparison.types):
        metric = metric_of(verdict.metric)
        if verdict.verdict == "not judged":
            return "F1 has nothing to judge"
        if metric.kind in ("f1", "size") and verdict.verdict == "worse":
            kind = verdict.metric.partition(" ")[2]
            return f"{' of '.join(filter(None, (metric.title, kind)))} is already a regression"
    return None


def checks(comparison: Comparison, policy: Policy) -> Iterator[Check]:
    """Everything that a gate holds against a candidate or in its favour.

    F1 of a single type can only fail a gate, if it is shown to have dropped: few types have enough entities to show
    that it has not. A metric whose margin the policy names has to be judged; recorded timings need not be, as few
    processes at another time can show a large change only.
    """
    variant = comparison.candidate.variant
    decided = None if comparison.candidate.measurements else decided_by_scores(comparison)
    for verdict in comparison.verdicts:
        if decided and metric_of(verdict.metric).kind in ("timing", "memory"):
            yield _not_measured(variant, verdict.metric, decided)
            continue
        required = verdict.metric in policy.margins
        open_question = joint_outcome([verdict]) == "inconclusive"
        if open_question and not required and not comparison.looks and metric_of(verdict.metric).kind == "timing":
            message = f"{change_of(verdict)}: recorded timings cannot tell; give two artifacts, to be measured in pairs"
            yield Check(variant=variant, name=verdict.metric, outcome="not judged", message=message)
        else:
            yield _check(variant, verdict, required=required, where=_where(verdict, comparison))
    for verdict in comparison.types:
        if verdict.verdict == "worse":
            yield _check(variant, verdict, required=False)
    for key, value in policy.limits.items():
        metric = limits()[key]
        if decided and metric.kind in ("timing", "memory"):
            yield _not_measured(variant, key, decided)
        else:
            yield _limit(comparison.candidate, metric, value)


def _where(verdict: MetricVerdict, comparison: Comparison) -> str:
    """Where a timing has become worse, if it is not everywhere."""
    slower = verdict.verdict == "worse" and metric_of(verdict.metric).kind == "timing"
    return slower_where(comparison.lengths) if slower else ""


def _not_measured(variant: str, name: str, why: str) -> Check:
    return Check(variant=variant, name=name, outcome="not judged", message=f"{NOT_MEASURED}: {why}")


def _check(variant: str, verdict: MetricVerdict, *, required: bool, where: str = "") -> Check:
    name = verdict.metric
    if verdict.verdict == "not comparable":
        outcome: Outcome = "inconclusive" if required else "not judged"
        return Check(variant=variant, name=name, outcome=outcome, message=f"not comparable: {verdict.reason}")
    if verdict.verdict == "not judged":  # a gate was asked for it
        return Check(variant=variant, name=name, outcome="failed", message=verdict.reason)
    outcome = joint_outcome([verdict])
    words = {"pass": "no worse than", "regression": "worse than", "inconclusive": "cannot tell yet whether worse than"}
    known = change_of(verdict) if verdict.change else "not known"
    message = f"{known}, {words[outcome]} the margin of {margin_of(verdict)}"
    message = "; ".join(filter(None, (message, where, verdict.reason)))
    return Check(variant=variant, name=name, outcome=outcome, message=message)


def _limit(side: Side, metric: Metric, value: float) -> Check:
    """Whether the candidate keeps an absolute constraint, by its interval."""
    low = high = middle = None
    if metric is F1 and side.evaluation:
        interval = f1_interval(side.evaluation, seed=1)
        if interval is None:
            return Check(variant=side.variant, name=metric.limit, outcome="failed", message=NO_GOLD)
        middle, low, high = interval.value, interval.low, interval.high
    elif metric is not F1:
        lengths = side.workload.lengths if side.workload else ()
        row = measured_row(side.variant, side.measurements, lengths, side.size_bytes, side.deviations)
        if spread := row.spread(metric.name):
            middle, low, high = spread.value, spread.low, spread.high
    if middle is None:
        return Check(variant=side.variant, name=metric.limit, outcome="inconclusive", message="was not measured")
    low, high = middle if low is None else low, middle if high is None else high
    within, beyond = (high <= value, low > value) if not metric.higher_is_better else (low >= value, high < value)
    reach = "" if low == high else f" ({show(metric, low)} to {show(metric, high)})"
    outcome: Outcome = "pass" if within else "regression" if beyond else "inconclusive"
    words = {"pass": "keeps", "regression": "breaks", "inconclusive": "cannot tell yet whether it keeps"}[outcome]
    message = f"{show(metric, middle)}{reach} {words} {metric.limit} = {show(metric, value)}"
    return Check(variant=side.variant, name=metric.limit, outcome=outcome, message=message)


def outcome_of(found: Sequence[Check]) -> Outcome:
    """The outcome of all checks: failure, else regression, else inconclusive (also without checks), else pass."""
    kinds = {check.outcome for check in found}
    for outcome in ("failed", "regression", "inconclusive"):
        if outcome in kinds:
            return outcome
    return "pass" if "pass" in kinds else "inconclusive"


def failures(baseline: Mapping[str, Side], candidate: Mapping[str, Side]) -> Iterator[Check]:
    """Reasons that prevent any judgement: a side that is missing, failed, or empty."""
    for variant in baseline:
        if variant not in candidate:
            yield Check(
                variant=variant, name="candidate", outcome="failed", message="the candidate has no such variant"
            )
            continue
        for name, side in (("baseline", baseline[variant]), ("candidate", candidate[variant])):
            for failure in side.failures:
                message = f"{failure.step} failed: {failure.reason}"
                yield Check(variant=variant, name=name, outcome="failed", message=message)
            if not side.failures and side.evaluation is None and not side.measurements:
                yield Check(variant=variant, name=name, outcome="failed", message=f"{side.label} has no results of it")
