"""What a gate makes of comparisons, and how it says so."""

from __future__ import annotations

import random
import re
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slimner.core.gate_records import Check, GateRecord, Outcome
from slimner.core.metrics import METRICS
from slimner.core.records import EvaluationRecord, Failure, Results
from slimner.core.verdicts import Comparison, MetricVerdict, sides
from slimner.reports import Policy, Terms, compare_sides
from slimner.reports.calibration import calibrate, lasting, outcomes, resample
from slimner.reports.gate import EXIT_CODES, checks, decided_by_scores, failures, margins, outcome_of
from slimner.reports.gate_output import comment, github_annotations, junit, summary

from ..made import make

BASE = make({"fp32": (380, 100, 8)})


def judged(candidate: Results, policy: Policy, base: Results = BASE) -> list[Check]:
    asked, _ = margins(policy)
    one, two = sides(base, "a")["fp32"], sides(candidate, "b")["fp32"]
    return list(checks(compare_sides(one, two, Terms(margins=asked)), policy))


def found(candidate: Results, policy: Policy) -> dict[str, str]:
    return {check.name: check.outcome for check in judged(candidate, policy)}


def test_results_like_the_baseline_pass_what_is_sure_and_leave_noisy_timings_open() -> None:
    outcomes_by_name = found(BASE, Policy())
    assert outcomes_by_name["f1"] == outcomes_by_name["size"] == outcomes_by_name["memory"] == "pass"
    assert outcomes_by_name["p50"] == "not judged"  # two processes a side say little
    assert found(BASE, Policy(margins={"p50": 0.01}))["p50"] == "inconclusive"


def test_recorded_timings_that_are_much_worse_fail_a_gate() -> None:
    assert found(make({"fp32": (380, 100, 24.0)}), Policy())["p50"] == "regression"


def scored(results: Results, sentences: int | None = None, *, gold: bool = True, artifact: str = "another") -> Results:
    """The same scores by another artifact, of the first sentences, or without any gold entity."""

    def cut(record: EvaluationRecord) -> EvaluationRecord:
        kept = record.sentences[:sentences]
        if not gold:
            kept = tuple(tuple(msgspec.structs.replace(c, gold=0, right=0) for c in sentence) for sentence in kept)
        return msgspec.structs.replace(record, artifact=artifact, sentences=kept, predictions=((),) * len(kept))

    return msgspec.structs.replace(results, evaluations=tuple(map(cut, results.evaluations)))


def test_few_sentences_are_no_pass_and_the_message_says_how_many_would_do() -> None:
    checks_by_name = {c.name: c for c in judged(scored(BASE, 100), Policy(), scored(BASE, 100, artifact="base"))}
    assert checks_by_name["f1"].outcome == "inconclusive"
    assert "at 0.5 pp 80 % power needs 750 sentences with 750 entities" in checks_by_name["f1"].message
    assert found(scored(BASE), Policy())["f1"] == "pass"


def test_the_very_same_artifact_has_no_change_however_few_the_sentences() -> None:
    few = scored(BASE, 5)
    assert {c.name: c.outcome for c in judged(few, Policy(), few)}["f1"] == "pass"


def test_without_a_gold_entity_there_is_nothing_to_judge_and_the_gate_fails() -> None:
    empty = scored(BASE, gold=False)
    for policy in (Policy(), Policy(limits={"f1_min": 0.5})):
        outcomes_by_check = judged(empty, policy, empty)
        assert outcome_of(outcomes_by_check) == "failed"
        assert "no gold entity" in next(c.message for c in outcomes_by_check if c.outcome == "failed")


def test_what_f1_has_decided_leaves_timings_unmeasured_and_quiet() -> None:
    policy = Policy(limits={"p95_max": 1.0, "size_max": 1e12})
    asked, _ = margins(policy)
    one, two = (
        msgspec.structs.replace(sides(results, "a")["fp32"], measurements=())
        for results in (BASE, make({"fp32": (340, 100, 8)}))
    )
    comparison = compare_sides(one, two, Terms(margins=asked), looks=(0,))
    assert decided_by_scores(comparison) == "F1 is already a regression"
    listed = {check.name: check for check in checks(comparison, policy)}
    for name in ("p50", "memory", "p95_max"):
        assert (listed[name].outcome, listed[name].message) == (
            "not judged",
            "not measured: F1 is already a regression",
        )
    assert listed["size_max"].outcome == "pass"
    found_record = record(*((check.outcome, check.message) for check in listed.values()))
    assert found_record.outcome == "regression"
    assert len(list(github_annotations(found_record))) == 1
    suite = ElementTree.fromstring(junit(found_record)).find("testsuite")
    assert suite is not None
    assert suite.get("skipped") == str(sum(check.outcome == "not judged" for check in listed.values()))
    assert suite.get("errors") == "0"


def test_a_type_that_has_regressed_ends_a_gate_as_f1_does() -> None:
    worse = MetricVerdict(metric="f1 PER", margin=0.5, verdict="worse")
    one = sides(BASE, "a")["fp32"]
    clean = compare_sides(one, one, Terms(margins={"f1": 0.5}))
    assert decided_by_scores(clean) is None
    assert decided_by_scores(msgspec.structs.replace(clean, types=(worse,))) == "F1 of PER is already a regression"


def test_a_gate_judges_the_metrics_whose_margins_the_policy_names() -> None:
    assert set(found(BASE, Policy(margins={"memory": 0.05}))) == {"f1", "memory"}
    assert set(found(BASE, Policy(f1_max_drop_pp=None, margins={"size": None}))) == {"size"}


@pytest.mark.parametrize(
    ("figures", "metric"), [((330, 100, 8.0), "f1"), ((380, 120, 8.0), "memory"), ((380, 120, 8.0), "size")]
)
def test_each_metric_can_fail_a_gate(figures: tuple[int, int, float], metric: str) -> None:
    policy = Policy(margins={"memory": None, "size": None})
    assert found(make({"fp32": figures}), policy)[metric] == "regression"


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [({"memory_max": 101e6}, "pass"), ({"memory_max": 99e6}, "regression"), ({"p50_max": 8.7}, "inconclusive")],
)
def test_a_candidate_has_to_keep_the_policys_constraints(limits: dict[str, float], outcome: str) -> None:
    assert found(BASE, Policy(margins={"memory": 0.05}, limits=limits))[next(iter(limits))] == outcome


def test_timings_of_another_machine_are_not_judged_unless_the_policy_names_them() -> None:
    other = msgspec.structs.replace(BASE, machine=msgspec.structs.replace(BASE.machine, cpu="another"))
    assert found(other, Policy())["p50"] == "not judged"
    assert outcome_of(judged(other, Policy())) == "pass"
    assert found(other, Policy(margins={"p50": 0.05}))["p50"] == "inconclusive"


@given(st.lists(st.sampled_from(["pass", "regression", "inconclusive", "failed", "not judged"]), max_size=6))
def test_a_failure_comes_before_a_regression_and_nothing_judged_is_no_pass(kinds: list[Outcome]) -> None:
    outcome = outcome_of([Check(variant="v", name="n", outcome=kind, message="") for kind in kinds])
    if "failed" in kinds:
        assert outcome == "failed"
    elif "regression" in kinds:
        assert outcome == "regression"
    else:
        assert (outcome == "pass") == ("pass" in kinds and "inconclusive" not in kinds)
    assert EXIT_CODES[outcome] == {"pass": 0, "regression": 1, "inconclusive": 3, "failed": 4}[outcome]


def test_a_missing_variant_a_failure_and_an_empty_result_are_failures() -> None:
    failure = Failure(variant="fp32", step="measure", kind="timed-out", reason="still running")
    failed = make({}, failures=(failure,), broken=("fp32",))
    empty = msgspec.structs.replace(BASE, evaluations=(), measurements=())
    base = sides(BASE, "a")
    for candidate, said in (
        (make({"lean": (1, 1, 1)}), "no such variant"),
        (failed, "still running"),
        (empty, "no results"),
    ):
        problems = list(failures(base, sides(candidate, "b")))
        assert outcome_of(problems) == "failed"
        assert said in problems[0].message
    assert not list(failures(base, base))


def record(*messages: tuple[Outcome, str]) -> GateRecord:
    listed = [Check(variant="v", name=f"check {i}", outcome=o, message=m) for i, (o, m) in enumerate(messages)]
    outcome = outcome_of(listed)
    return GateRecord(
        outcome=outcome,
        exit_code=EXIT_CODES[outcome],
        baseline="a",
        candidate="b",
        policy="p",
        margins="m",
        checks=tuple(listed),
    )


def test_junit_counts_regressions_as_failures_and_what_is_not_known_as_errors() -> None:
    text = junit(record(("pass", "a"), ("regression", "b < c & d"), ("inconclusive", "e"), ("not judged", "f")))
    suite = ElementTree.fromstring(text).find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "b < c & d"


@given(st.text())
def test_junit_is_xml_whatever_a_message_holds(message: str) -> None:
    ElementTree.fromstring(junit(record(("regression", message), ("pass", message), ("not judged", message))))


@given(st.text())
def test_an_annotation_is_one_line(message: str) -> None:
    lines = list(github_annotations(record(("regression", message), ("pass", message))))
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert "\r" not in lines[0]
    assert lines[0].startswith("::error title=slimner gate%3A v check 0 regression::")


def test_a_summary_has_every_check_and_what_it_rests_on() -> None:
    text = summary(record(("regression", "p50 +20 %"), ("not judged", "not comparable: cpu")))
    assert text.startswith("## slimner gate: regression")
    assert "p50 +20 %" in text
    assert "- policy: p" in text


def test_a_summary_says_the_verdict_first_then_what_failed_with_its_interval_and_folds_the_rest() -> None:
    candidate = make({"fp32": (330, 100, 8)})
    asked, _ = margins(Policy())
    comparison = compare_sides(sides(BASE, "a")["fp32"], sides(candidate, "b")["fp32"], Terms(margins=asked))
    told = msgspec.structs.replace(
        record(*((c.outcome, c.message) for c in checks(comparison, Policy()))), comparisons=(comparison,)
    )
    shown, *folded = summary(told).split("<details>")
    lines = [line for line in shown.split("\n") if line]
    assert lines[0] == "## slimner gate: regression"
    assert lines[1].startswith("**Worse: 1 of ")
    assert re.search(r"regression: -12\.50 pp \(-\d+\.\d+ to -\d+\.\d+\), worse than the margin of 0\.5 pp", lines[2])
    assert len(lines) == 3
    assert len(folded) == 3
    assert all(fold.count("</details>") == 1 for fold in folded)
    assert comment(told).startswith("<!-- slimner gate: regression, significant -->\n## slimner gate")
    better = msgspec.structs.replace(told, outcome="pass", comparisons=(improved(comparison),))
    assert comment(better).startswith("<!-- slimner gate: pass, significant -->")
    assert comment(record(("pass", "a"))).startswith("<!-- slimner gate: pass, not significant -->")


def improved(comparison: Comparison) -> Comparison:
    verdict = msgspec.structs.replace(comparison.verdicts[0], verdict="better")
    return msgspec.structs.replace(comparison, verdicts=(verdict,))


def test_a_comment_is_never_too_long_and_calls_nobody() -> None:
    long = record(*[("regression", "@somebody broke #12 " + "x" * 2000)] * 400)
    told = comment(long)
    assert len(told) < 65_536
    assert "and 380 more" in told
    assert "All checks: too long to be shown here." in told
    assert not re.search(r"[@#]\w", told)


def pool(deviation: float, pairs: int = 40) -> dict[str, list[float]]:
    draw = random.Random(5)
    return {name: [draw.gauss(0, deviation) for _ in range(pairs)] for name in ("memory", "p50")}


def test_calibrated_gates_rarely_err_and_catch_what_they_say_they_catch() -> None:
    ratios = pool(0.04)
    gates = resample(ratios, tests=3, runs=300)
    metrics = {metric.metric: metric for metric in calibrate(gates, ratios)}
    margin = {name: metric.margin for name, metric in metrics.items()}
    nothing = outcomes(gates, margin)
    assert nothing["regression"] <= 3
    slower = outcomes(gates, margin, {"p50": metrics["p50"].caught})
    assert slower["regression"] >= 0.9 * 300
    assert metrics["p50"].caught > metrics["p50"].margin >= metrics["p50"].detectable > 0


def test_a_noisy_machine_sees_less_and_allows_no_more() -> None:
    loud, quiet = (
        next(m for m in calibrate(resample(ratios, tests=3, runs=100), ratios) if m.metric == "p50")
        for ratios in (pool(0.05), pool(0.001))
    )
    assert quiet.detectable < 0.2 * loud.detectable
    assert quiet.margin == loud.margin == METRICS["p50"].margin


def test_a_calibration_warns_of_pairs_that_resemble_the_next() -> None:
    ratios = pool(0.04)
    ratios["p50"] = [ratios["p50"][i // 4] for i in range(40)]  # each change stays for four pairs
    metrics = list(calibrate(resample(ratios, tests=3, runs=20), ratios))
    (warning,) = lasting(metrics, 40)
    assert "p50" in warning
    assert "memory" not in warning
    assert not list(lasting([m for m in metrics if m.metric == "memory"], 40))


def test_every_metric_but_f1_has_a_margin_of_its_own() -> None:
    assert {name for name, metric in METRICS.items() if metric.margin} == set(METRICS) - {"f1"}
