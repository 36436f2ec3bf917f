"""The decision under other policies than the built-in one."""

from __future__ import annotations

import msgspec
import pytest
from slimner.core.records import Results
from slimner.reports import Policy, decide, rows_of
from slimner.reports.decision import pareto

from ..made import make

COMPLEXITY = {"fp32": 0, "plain": 1, "lean": 2}
RESULTS = make({"fp32": (360, 400, 8), "plain": (360, 90, 5), "lean": (360, 70, 6)})


def picked(results: Results, policy: Policy) -> str | None:
    return decide(rows_of(results), COMPLEXITY, policy).winner


@pytest.mark.parametrize(
    ("objective", "winner"),
    [("memory", "lean"), ("p50", "plain"), ("size", "lean"), ("peak", "lean"), ("qps_per_gib", "lean")],
)
def test_the_objective_decides_among_those_that_pass(objective: str, winner: str) -> None:
    assert picked(RESULTS, Policy(objective={objective: 1.0})) == winner


def test_weights_trade_one_metric_against_another() -> None:
    assert picked(RESULTS, Policy(objective={"memory": 1.0, "p50": 0.01})) == "lean"
    assert picked(RESULTS, Policy(objective={"memory": 0.01, "p50": 1.0})) == "plain"


def test_a_constraint_removes_a_variant_and_the_reason_has_the_figure_and_the_limit() -> None:
    decision = decide(rows_of(RESULTS), COMPLEXITY, Policy(limits={"memory_max": 100e6, "p50_max": 6.5}))
    assert decision.winner == "plain"
    assert decision.losers["fp32"].startswith("memory 400 MB, more than memory_max = 100 MB")
    assert decision.losers["lean"].startswith("p50 6.64 ms")
    assert "p50_max = 6.50 ms" in decision.losers["lean"]


def test_a_limit_has_to_be_shown_to_hold_by_the_interval() -> None:
    row = next(row for row in rows_of(RESULTS) if row.variant == "lean")
    p50 = row.spread("p50")
    assert p50 is not None
    assert p50.high is not None
    between = (p50.value + p50.high) / 2
    decision = decide([row], COMPLEXITY, Policy(f1_max_drop_pp=None, limits={"p50_max": between}))
    assert decision.winner is None
    assert "not shown to be within" in decision.losers["lean"]
    assert picked(RESULTS, Policy(limits={"p50_max": p50.high * 1.01}, objective={"size": 1.0})) == "lean"


def test_no_feasible_variant_names_the_closest_one_and_what_it_would_take() -> None:
    decision = decide(rows_of(RESULTS), COMPLEXITY, Policy(limits={"memory_max": 68e6}))
    assert decision.winner is None
    assert decision.closest == "lean"
    assert decision.near_misses == ("lean would pass with memory_max = 70 MB",)


def test_a_far_miss_is_no_near_miss() -> None:
    assert decide(rows_of(RESULTS), COMPLEXITY, Policy(limits={"memory_max": 10e6})).near_misses == ()


def test_what_is_shown_to_beat_the_winner_in_another_objective_is_named() -> None:
    alternatives = decide(
        rows_of(make({"fp32": (360, 400, 8), "plain": (360, 90, 5), "lean": (360, 70, 15)})), COMPLEXITY
    ).alternatives
    assert alternatives["p50"] == "plain"
    assert not {"memory", "size", "qps"} & set(alternatives)


def test_what_two_processes_do_not_show_is_no_alternative() -> None:
    close = make({"fp32": (360, 400, 8), "plain": (360, 90, 5.9), "lean": (360, 70, 6)})
    assert "p50" not in decide(rows_of(close), COMPLEXITY).alternatives


def test_a_statistical_tie_goes_to_the_simpler_and_says_that_it_is_one() -> None:
    close = make({"fp32": (360, 400, 8), "plain": (360, 90, 5.02), "lean": (360, 70, 5)})
    decision = decide(rows_of(close), COMPLEXITY, Policy(objective={"p50": 1.0}))
    assert decision.winner == "plain"
    assert "not shown to differ in p50" in decision.losers["lean"]


def test_the_front_holds_what_nothing_beats_in_everything() -> None:
    dominated = make({"fp32": (360, 400, 8), "plain": (362, 90, 5), "lean": (360, 70, 4)})
    assert pareto(rows_of(dominated)) == ("plain", "lean")


def test_without_a_score_f1_is_not_checked_and_says_so() -> None:
    unscored = msgspec.structs.replace(RESULTS, corpus=None, evaluations=())
    decision = decide(rows_of(unscored), COMPLEXITY, Policy(limits={"f1_min": 0.9}))
    assert decision.winner == "lean"
    assert "F1 not checked" in decision.because


def test_a_metric_that_was_not_measured_cannot_be_an_objective() -> None:
    alone = msgspec.structs.replace(
        RESULTS, measurements=tuple(msgspec.structs.replace(m, concurrent=None) for m in RESULTS.measurements)
    )
    decision = decide(rows_of(alone), COMPLEXITY, Policy(objective={"qps": 1.0}))
    assert decision.winner is None
    assert decision.losers["lean"] == "qps was not measured"
