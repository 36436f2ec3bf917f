"""Verdicts from records: what may be compared, what an interval means at a margin, and that swapping swaps."""

from __future__ import annotations

import random
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slimner.core.metrics import METRICS
from slimner.core.paired import Change
from slimner.core.records import Failure, MeasurementRecord, Results
from slimner.core.verdicts import MetricVerdict, Side, judge, sides, surely_no_worse
from slimner.reports import Policy, Terms, compare_sides
from slimner.reports.gate import checks, joint_outcome
from slimner.reports.verdicts import change_of

from ..made import evaluation, make, measurement

MARGINS = {"f1": 0.5, "size": 0.01, "memory": 0.03, "p50": 0.05}
OPPOSITE = {"better": "worse", "worse": "better", "same": "same", "inconclusive": "inconclusive"}


def side(results: Results, variant: str = "fp32") -> Side:
    return sides(results, "r")[variant]


def paired(memory: float, milliseconds: float, pairs: int, seed: int) -> Side:
    """A side of so many processes with 2 % of noise."""
    draw = random.Random(seed)
    records = [measurement("v", i + 1, int(memory * 1e6), milliseconds * draw.gauss(1, 0.02)) for i in range(pairs)]
    return msgspec.structs.replace(side(make({"fp32": (360, 100, 8)})), measurements=tuple(records))


def verdict(low: float, high: float, metric: str = "p50", margin: float = 0.05) -> str:
    return judge(Change(value=(low + high) / 2, low=low, high=high, level=0.95, n=10), margin, METRICS[metric])


def test_an_interval_beyond_the_margin_is_a_verdict_and_one_across_it_is_none() -> None:
    assert verdict(0.06, 0.10) == "worse"
    assert verdict(-0.10, -0.06) == "better"
    assert verdict(-0.04, 0.05) == "same"
    assert verdict(0.01, 0.04) == "same"  # real, and of no consequence
    assert verdict(0.04, 0.06) == "inconclusive"
    assert verdict(0.06, 0.10, "qps") == "better"
    assert verdict(-1.2, -0.6, "f1", 0.5) == "worse"


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0.001, 0.5), st.sampled_from(sorted(METRICS)))
def test_swapping_the_sides_swaps_the_verdict(middle: float, half: float, margin: float, metric: str) -> None:
    change = Change(value=middle, low=middle - half, high=middle + half, level=0.95, n=10)
    assert judge(change.mirrored, margin, METRICS[metric]) == OPPOSITE[judge(change, margin, METRICS[metric])]


def test_a_gate_needs_only_that_worse_is_ruled_out() -> None:
    change = Change(value=-0.04, low=-0.09, high=0.01, level=0.95, n=10)
    maybe_better = MetricVerdict(metric="p50", change=change, margin=0.05, verdict="inconclusive")
    assert surely_no_worse(maybe_better, METRICS["p50"])
    assert joint_outcome([maybe_better]) == "pass"


def test_pairs_find_a_slowdown_and_clear_what_did_not_change() -> None:
    base, slow = paired(100, 8, 14, 1), paired(100, 9.2, 14, 2)
    comparison = compare_sides(base, slow, Terms(margins=MARGINS), looks=(10, 14))
    assert comparison.of("p50").verdict == "worse"
    assert comparison.of("memory").verdict == "same"
    assert comparison.of("f1").verdict == "same"
    assert comparison.pairs == 14
    back = compare_sides(slow, base, Terms(margins=MARGINS), looks=(10, 14))
    assert back.of("p50").verdict == "better"


def test_a_slowdown_of_long_texts_only_is_named_by_their_length() -> None:
    base, slow = paired(100, 8, 14, 1), paired(100, 8, 14, 2)
    assert base.workload is not None
    lengths = base.workload.lengths
    longer = tuple(
        msgspec.structs.replace(
            one,
            samples_ms=tuple(
                ms * (1.3 if lengths[text] > 50 else 1.0) for ms, text in zip(one.samples_ms, one.texts, strict=True)
            ),
        )
        for one in slow.measurements
    )
    terms = Terms(margins=MARGINS)
    comparison = compare_sides(base, msgspec.structs.replace(slow, measurements=longer), terms, looks=(14,))
    assert [(change.least, change.most) for change in comparison.lengths] == [(1, 16), (17, 50), (51, 128)]
    p50 = next(check for check in checks(comparison, Policy()) if check.name == "p50")
    assert p50.outcome == "regression"
    assert re.search(r"most in texts of 51 to 128 characters \(\+(29|30|31) %\)", p50.message), p50.message
    everywhere = compare_sides(base, paired(100, 10, 14, 2), terms, looks=(14,))
    slower = next(check for check in checks(everywhere, Policy()) if check.name == "p50")
    assert slower.outcome == "regression"
    assert "most in" not in slower.message


def test_too_few_pairs_are_inconclusive_and_say_so() -> None:
    few = compare_sides(paired(100, 8, 4, 1), paired(100, 9, 4, 2), Terms(margins=MARGINS), looks=(4,))
    assert few.of("p50").verdict == "inconclusive"
    assert "4 pairs are too few" in few.of("p50").reason


def test_no_pairs_at_all_are_no_pass() -> None:
    none = compare_sides(paired(100, 8, 0, 1), paired(100, 9, 0, 2), Terms(margins=MARGINS), looks=(0,))
    assert none.of("p50").verdict == "inconclusive"
    assert joint_outcome(none.verdicts) == "inconclusive"


def elsewhere(results: Results, **fields: Any) -> Results:
    return msgspec.structs.replace(results, machine=msgspec.structs.replace(results.machine, **fields))


@pytest.mark.parametrize(
    ("field", "value", "timings", "memory"),
    [
        ("cpu", "another", False, True),
        ("kernel", "another", False, True),
        ("instruction_sets", (), False, True),
        ("architecture", "another", False, False),
        ("libraries", {"numpy": "0"}, True, False),
        ("memory_bytes", 1, True, True),
    ],
)
def test_recorded_figures_of_other_machines_are_refused_by_the_field(
    field: str, value: object, timings: bool, memory: bool
) -> None:
    results = make({"fp32": (360, 100, 8)})
    comparison = compare_sides(side(results), side(elsewhere(results, **{field: value})), Terms(margins=MARGINS))
    assert comparison.of("f1").verdict == "same"
    assert comparison.of("size").verdict == "same"
    for metric, allowed in (("p50", timings), ("memory", memory)):
        found = comparison.of(metric)
        assert (found.verdict != "not comparable") == allowed
        if not allowed:
            assert field in found.reason
            assert found.change is None
            assert found.candidate is None


def test_another_corpus_workload_or_setting_is_refused_by_the_field() -> None:
    results = make({"fp32": (360, 100, 8)})
    assert results.corpus is not None
    changes: list[tuple[Results, str, str]] = [
        (
            msgspec.structs.replace(results, corpus=msgspec.structs.replace(results.corpus, sha256="x")),
            "f1",
            "corpus (c and x)",
        ),
        (
            msgspec.structs.replace(results, workload=msgspec.structs.replace(results.workload, sha256="x")),
            "p50",
            "workload (w and x)",
        ),
        (
            msgspec.structs.replace(results, settings=msgspec.structs.replace(results.settings, threads=2)),
            "memory",
            "settings.threads (1 and 2)",
        ),
        (
            msgspec.structs.replace(results, settings=msgspec.structs.replace(results.settings, samples=9)),
            "p50",
            "settings.samples (100 and 9)",
        ),
    ]
    for other, metric, reason in changes:
        found = compare_sides(side(results), side(other), Terms(margins=MARGINS)).of(metric)
        assert (found.verdict, found.reason) == ("not comparable", reason)


def test_a_loss_of_f1_is_judged_against_the_margin_overall_and_by_type() -> None:
    before, after = make({"fp32": (380, 100, 8)}), make({"fp32": (340, 100, 8)})
    comparison = compare_sides(side(before), side(after), Terms(margins=MARGINS))
    assert comparison.of("f1").verdict == "worse"
    assert comparison.sentences is not None
    assert (comparison.sentences.gained, comparison.sentences.lost) == (0, 160)
    assert comparison.sentences.p < 1e-9
    assert change_of(comparison.of("f1")).startswith("-10.00 pp (")


def test_types_without_support_are_not_judged() -> None:
    record = evaluation("fp32", 380)
    score = msgspec.structs.replace(record.strict, support=10)
    both = tuple((*sentence, msgspec.structs.replace(sentence[0], type="ORG")) for sentence in record.sentences)
    rare = msgspec.structs.replace(
        record, sentences=both, strict_by_type={"PER": record.strict, "ORG": record.strict, "RARE": score}
    )
    one = msgspec.structs.replace(side(make({"fp32": (380, 100, 8)})), evaluation=rare)
    comparison = compare_sides(one, one, Terms(margins=MARGINS))
    assert [found.metric for found in comparison.types] == ["f1 PER", "f1 ORG"]


def test_a_constant_offset_of_both_sides_changes_no_ratio() -> None:
    one, two = paired(100, 8, 12, 3), paired(100, 8.4, 12, 4)

    def scaled(of: Side) -> Side:
        def times(record: MeasurementRecord) -> MeasurementRecord:
            return msgspec.structs.replace(record, samples_ms=tuple(3 * s for s in record.samples_ms))

        return msgspec.structs.replace(of, measurements=tuple(map(times, of.measurements)))

    plain = compare_sides(one, two, Terms(margins=MARGINS), looks=(12,)).of("p50").change
    tripled = compare_sides(scaled(one), scaled(two), Terms(margins=MARGINS), looks=(12,)).of("p50").change
    assert plain is not None
    assert tripled is not None
    assert tripled.value == pytest.approx(plain.value)
    assert tripled.high == pytest.approx(plain.high)


def test_a_side_of_a_failed_variant_carries_its_failures() -> None:
    failure = Failure(variant="late", step="build", kind="raised", reason="no")
    results = make({"fp32": (360, 100, 8)}, failures=(failure,), broken=("late",))
    assert sides(results, "r")["late"].failures == (failure,)
