"""Statistics of comparisons against scipy, closed forms and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from slimner.core.paired import (
    LOOKS,
    BetweenRuns,
    mcnemar,
    proportion,
    ratio_of_groups,
    ratio_of_pairs,
    shared_level,
    signed_rank,
    student,
)

VALUES = st.lists(st.floats(-10, 10), min_size=1, max_size=25)
POSITIVE = st.floats(0.01, 1000)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 31, 120])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.9975, 0.9999])
def test_students_quantiles_are_scipys(freedom: int, level: float) -> None:
    assert student(freedom, level) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-9)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 1), (3, 10), (10, 3), (50, 50), (0, 400)])
def test_mcnemars_test_is_scipys_binomial_test(gained: int, lost: int) -> None:
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(0, 20), (1, 200), (20, 20), (7, 1000), (500, 1000)])
def test_the_interval_of_a_proportion_is_scipys_exact_one(successes: int, trials: int) -> None:
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, method="exact")
    assert proportion(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_signed_rank_interval_holds_what_scipys_test_does_not_reject() -> None:
    draw = np.random.default_rng(0)
    for n in (10, 12, 14):
        values = draw.normal(0.3, 1, n)
        change = signed_rank(values.tolist(), 0.95)
        assert change.low is not None
        assert change.high is not None
        inside, outside = 1e-6, -1e-6
        for end, sign in ((change.low, 1), (change.high, -1)):
            p = [stats.wilcoxon(values - end - sign * by, method="exact").pvalue for by in (inside, outside)]
            assert p[0] > 0.05 >= p[1]


def test_the_signed_rank_level_is_exact_by_enumeration() -> None:
    magnitudes = [1.0, 2.5, 3.7, 5.1, 8.2, 9.9, 13.0, 17.5]
    held = total = 0
    for signs in itertools.product((-1, 1), repeat=len(magnitudes)):
        change = signed_rank([s * m for s, m in zip(signs, magnitudes, strict=True)], 0.95)
        assert change.low is not None
        assert change.high is not None
        held, total = held + (change.low <= 0 <= change.high), total + 1
    assert 0.95 <= held / total <= 0.97


def test_too_few_pairs_have_no_interval_and_ten_are_enough_for_a_gate() -> None:
    level = shared_level(4, len(LOOKS))
    assert signed_rank([1.0] * 9, level).low is None
    assert signed_rank([1.0] * LOOKS[0], level).low == 1.0


@given(VALUES)
def test_swapping_the_sides_mirrors_the_interval(values: list[float]) -> None:
    one, other = signed_rank(values, 0.9), signed_rank([-v for v in values], 0.9)
    assert other.value == pytest.approx(-one.value)
    assert (other.low, other.high) == pytest.approx((one.mirrored.low, one.mirrored.high))


@given(VALUES, st.floats(-5, 5))
def test_a_constant_shift_is_a_constant_difference(values: list[float], shift: float) -> None:
    one, other = signed_rank(values, 0.9), signed_rank([v + shift for v in values], 0.9)
    assert other.value == pytest.approx(one.value + shift, abs=1e-9)
    if one.low is not None:
        assert other.low == pytest.approx(one.low + shift, abs=1e-9)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=6, max_size=20), st.floats(0.1, 10))
def test_a_ratio_does_not_depend_on_the_unit(pairs: list[tuple[float, float]], unit: float) -> None:
    one = ratio_of_pairs([b for b, _ in pairs], [c for _, c in pairs], 0.9)
    other = ratio_of_pairs([b * unit for b, _ in pairs], [c * unit for _, c in pairs], 0.9)
    assert other.value == pytest.approx(one.value, rel=1e-6, abs=1e-9)


def coverage(draw: np.random.Generator, pairs: int, runs: int = 1000) -> tuple[float, float]:
    """How often the exact interval and the percentile bootstrap of the mean hold a true centre of 0."""
    exact = bootstrap = 0
    for _ in range(runs):
        values = draw.standard_t(3, pairs)  # heavy tails, as timings on a shared machine have
        change = signed_rank(values.tolist(), 0.95)
        assert change.low is not None
        assert change.high is not None
        exact += change.low <= 0 <= change.high
        means = draw.choice(values, (300, pairs)).mean(axis=1)
        low, high = np.quantile(means, (0.025, 0.975))
        bootstrap += low <= 0 <= high
    return exact / runs, bootstrap / runs


def test_intervals_hold_as_often_as_they_say_where_a_bootstrap_of_ten_pairs_does_not() -> None:
    exact, bootstrap = coverage(np.random.default_rng(1), 10)
    assert exact >= 0.935  # three standard errors below 0.95, at a true level of 0.951
    assert bootstrap < 0.93


def test_more_pairs_never_widen_the_interval_on_average() -> None:
    draw = np.random.default_rng(2)
    widths = []
    for pairs in LOOKS:
        found = [signed_rank(draw.standard_t(3, pairs).tolist(), 0.95) for _ in range(300)]
        widths.append(np.mean([c.high - c.low for c in found if c.low is not None and c.high is not None]))
    assert all(later < earlier for earlier, later in itertools.pairwise(widths))


def test_looking_five_times_errs_no_more_often_than_promised() -> None:
    draw = np.random.default_rng(3)
    level = shared_level(1, len(LOOKS))
    wrong = 0
    for _ in range(1000):
        values = draw.normal(0, 1, LOOKS[-1]).tolist()
        changes = [signed_rank(values[:look], level) for look in LOOKS]
        wrong += any(c.low is not None and c.high is not None and not c.low <= 0 <= c.high for c in changes)
    assert wrong <= 50  # 5 % of 1,000: Bonferroni leaves room


def test_groups_are_compared_as_welch_does() -> None:
    one, two = [10.0, 11.0, 10.5, 9.8], [12.0, 13.5, 12.4]
    change = ratio_of_groups(one, two, 0.95)
    expected = stats.ttest_ind(np.log(two), np.log(one), equal_var=False).confidence_interval(0.95)
    assert change.low is not None
    assert change.high is not None
    # whole degrees of freedom, rounded down: a little wider than scipy's
    assert change.low <= math.expm1(expected.low) + 1e-12
    assert change.high >= math.expm1(expected.high) - 1e-12
    assert change.low == pytest.approx(math.expm1(expected.low), abs=0.02)


def test_drift_between_runs_widens_a_comparison_of_recorded_figures() -> None:
    one, two = [10.0, 10.01, 10.02], [10.0, 10.01, 10.02]
    narrow, wide = ratio_of_groups(one, two, 0.95), ratio_of_groups(one, two, 0.95, between=BetweenRuns(deviation=0.02))
    assert narrow.high is not None
    assert wide.high is not None
    assert narrow.high < 0.01
    assert wide.high == pytest.approx(math.expm1(1.96 * 0.02 * math.sqrt(2)), rel=0.02)


def test_one_process_a_side_has_no_interval() -> None:
    assert ratio_of_groups([10.0], [11.0], 0.95).low is None
