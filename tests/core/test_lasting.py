"""What lasts from pair to pair, and the intervals that allow for it."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from slimner.core.lasting import ASSUMED_PAIRS, LARGEST, MOST_PAIRS, UNKNOWN, Lasting, lasting_of, together, widening
from slimner.core.paired import LOOKS, centre_of_pairs, shared_level, signed_rank

CHANGES = st.lists(st.floats(-1, 1), min_size=1, max_size=40)


def autocorrelated(draw: np.random.Generator, r: float, count: int = LOOKS[-1]) -> list[float]:
    values = draw.standard_normal(count)
    for i in range(1, count):
        values[i] = r * values[i - 1] + math.sqrt(1 - r**2) * values[i]
    return values.tolist()


def errors(draw: np.random.Generator, r: float, known: Lasting, gates: int = 1500) -> float:
    """How often the interval of one metric lies wholly on one side of no change, on either side, in all looks."""
    wrong = 0
    level = shared_level(5, len(LOOKS))
    for _ in range(gates):
        values = autocorrelated(draw, r)
        found = [centre_of_pairs(values[:look], level, known) for look in LOOKS]
        wrong += any(c.low is not None and c.high is not None and not c.low <= 0 <= c.high for c in found)
    return wrong / gates


def test_pairs_that_resemble_the_next_are_judged_no_more_wrongly() -> None:
    draw = np.random.default_rng(1)
    naive = 0
    for _ in range(500):
        values = autocorrelated(draw, 0.5)
        found = [signed_rank(values[:look], shared_level(5, len(LOOKS))) for look in LOOKS]
        naive += any(c.low is not None and c.high is not None and not c.low <= 0 <= c.high for c in found)
    assert naive / 500 > 0.1
    assert errors(draw, 0.5, Lasting(correlation=0.5, pairs=40)) < 0.025
    assert errors(draw, 0.5, UNKNOWN) < 0.04
    assert errors(draw, 0.0, Lasting(correlation=0.0, pairs=40)) < 0.01


def test_the_correlation_of_a_few_pairs_is_right_on_average() -> None:
    draw = np.random.default_rng(2)
    for r in (0.0, 0.3, 0.5):
        found = [lasting_of(autocorrelated(draw, r, 20)).correlation for _ in range(2000)]
        assert abs(np.mean(found) - r) < 0.05


def test_nothing_is_known_from_too_few_pairs_or_from_equal_ones() -> None:
    assert lasting_of([1.0, 2.0, 3.0, 2.0, 1.0]) == UNKNOWN
    assert lasting_of([0.25] * 40) == UNKNOWN
    assert widening([0.25] * 40, Lasting(correlation=0.0, pairs=ASSUMED_PAIRS)) == 1.0
    assert together([]) == UNKNOWN


def test_comparisons_count_by_their_pairs() -> None:
    assert together([Lasting(correlation=0.5, pairs=30), Lasting(correlation=-0.1, pairs=10)]) == Lasting(
        correlation=0.35, pairs=40
    )


@given(CHANGES, st.floats(-1, 1), st.integers(0, 10_000))
def test_an_interval_is_never_narrower_and_ends_at_a_bound(values: list[float], r: float, pairs: int) -> None:
    known = Lasting(correlation=r, pairs=pairs)
    factor = widening(values, known)
    assert 1 <= factor <= math.sqrt((1 + LARGEST) / (1 - LARGEST)) * math.sqrt(2)
    narrow, wide = signed_rank(values, 0.9), centre_of_pairs(values, 0.9, known)
    assert wide.value == narrow.value
    if narrow.low is not None and narrow.high is not None and wide.low is not None and wide.high is not None:
        assert wide.low <= narrow.low + 1e-12
        assert wide.high >= narrow.high - 1e-12


def test_what_is_assumed_ends_with_what_the_machine_has_shown() -> None:
    values = [1.0, -1.0] * 20
    factors = [widening(values, Lasting(correlation=0.0, pairs=pairs)) for pairs in (0, 10, ASSUMED_PAIRS, 100)]
    assert factors == sorted(factors, reverse=True)
    values = [0.3, -0.2, 0.1, 0.4, -0.5, 0.2, 0.0, -0.1, 0.3, -0.3]
    assert widening(values) > 1.05
    assert widening(values, Lasting(correlation=0.0, pairs=ASSUMED_PAIRS)) == 1.0


def test_earlier_pairs_never_silence_the_pairs_at_hand() -> None:
    rising = [float(i) for i in range(40)]
    assert widening(rising, Lasting(correlation=0.0, pairs=10**9)) == widening(
        rising, Lasting(correlation=0.0, pairs=MOST_PAIRS)
    )
    assert widening(rising, Lasting(correlation=0.0, pairs=10**9)) > 1.1
