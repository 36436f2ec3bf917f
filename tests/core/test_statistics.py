from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from slimner.core.statistics import BUCKETS, bucket, percentile, samples_needed, spread


def test_an_interval_is_scipys_on_logarithms() -> None:
    values = [8.1, 7.9, 8.6, 8.2]
    found = spread(values)
    low, high = stats.t.interval(
        0.95, 3, statistics.fmean(map(math.log, values)), stats.sem([math.log(v) for v in values])
    )
    assert found.low == pytest.approx(math.exp(low), rel=1e-4)
    assert found.high == pytest.approx(math.exp(high), rel=1e-4)
    assert found.value == pytest.approx(statistics.geometric_mean(values))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(2000):
        found = spread([math.exp(chance.gauss(2.0, 0.05)) for _ in range(3)])
        assert found.low is not None
        assert found.high is not None
        held += found.low <= math.exp(2.0) <= found.high
    assert 0.935 <= held / 2000 <= 0.965


def test_drift_between_runs_widens_an_interval_that_processes_of_one_run_make_too_narrow() -> None:
    close = [8.00, 8.01, 8.02]
    alone, wide = spread(close), spread(close, drift=0.02)
    assert alone.half_width is not None
    assert wide.half_width is not None
    assert alone.half_width < 0.005 * 8
    assert wide.half_width == pytest.approx(1.96 * 0.02 * 8.01, rel=0.03)


def test_one_process_has_no_interval_and_none_has_no_figure() -> None:
    assert spread([3.0]).half_width is None
    with pytest.raises(ValueError, match="no values"):
        spread([])


@given(st.lists(st.floats(0.1, 1e9), min_size=2, max_size=9), st.floats(0.01, 100))
def test_a_spread_scales_with_its_unit(values: list[float], factor: float) -> None:
    one, other = spread(values), spread([v * factor for v in values])
    assert other.value == pytest.approx(one.value * factor)
    assert one.low is not None
    assert one.high is not None
    assert one.low <= one.value * (1 + 1e-9)
    assert one.value <= one.high * (1 + 1e-9)


@pytest.mark.parametrize(("q", "needed"), [(50, 20), (95, 200), (99, 1000), (5, 200)])
def test_a_percentile_needs_ten_samples_beyond_it(q: float, needed: int) -> None:
    assert samples_needed(q) == needed
    assert percentile([1.0] * (needed - 1), q) is None
    assert percentile([1.0] * needed, q) == 1.0


@given(st.integers(0, 10_000))
def test_every_length_is_in_one_bucket(length: int) -> None:
    found = bucket(length)
    assert found == len(BUCKETS) or length <= BUCKETS[found]
    assert found == 0 or length > BUCKETS[found - 1]
