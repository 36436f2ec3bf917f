"""The search for a peak rate, against simulated servers: one queue, random arrivals, and disturbed moments."""

from __future__ import annotations

import numpy as np
import pytest
from slimner.bench.peak import Counted, agreed, answer_of, find_peak

SERVICE_S, LIMIT_S = 0.005, 0.05
# One server with exponential service times: sojourn times are exponential with rate 200 - arrivals, and their 95th
# percentile is ln 20 over that.
TRUE_PEAK = 1 / SERVICE_S - np.log(20) / LIMIT_S


class Queue:
    """A queue in which a share of the runs is disturbed: every answer of the run is late."""

    def __init__(self, seed: int, disturbed: float = 0.0) -> None:
        self.random = np.random.default_rng(seed)
        self.disturbed = disturbed
        self.runs = 0

    def __call__(self, rate: float, seconds: float) -> Counted:
        self.runs += 1
        count = self.random.poisson(rate * seconds)
        gaps, services = self.random.exponential(1 / rate, count), self.random.exponential(SERVICE_S, count)
        wait, over = 0.0, 0
        late = LIMIT_S if self.random.random() < self.disturbed else 0.0
        for gap, service in zip(gaps, services, strict=True):
            wait = max(0.0, wait - gap)
            wait += service
            over += wait + late > LIMIT_S
        return Counted(over, count)


@pytest.mark.parametrize("disturbed", [0.0, 0.1])
def test_the_peak_is_found_though_single_runs_are_disturbed(disturbed: float) -> None:
    found = [find_peak(Queue(seed, disturbed), first=60) for seed in range(12)]
    ratios = sorted((rate or 0) / TRUE_PEAK for rate in found)
    assert 0.88 < ratios[len(ratios) // 2] < 1.06
    assert ratios[-1] < 1.12  # never promises what the server cannot hold


def test_the_bound_decides_and_not_the_point() -> None:
    assert answer_of(Counted(0, 71)) == "open"  # none of 71: the share may still be more than 5 %
    assert answer_of(Counted(0, 72)) == "within"
    assert answer_of(Counted(12, 260)) == "open"  # 4.6 %
    assert answer_of(Counted(30, 260)) == "beyond"
    assert answer_of(Counted(0, 500, sound=False)) == "beyond"


def test_one_run_settles_nothing_and_two_that_disagree_ask_for_a_third() -> None:
    good, bad, unclear = Counted(0, 300), Counted(100, 300), Counted(15, 300)
    assert agreed([good]) == agreed([bad]) == agreed([good, bad]) == agreed([unclear]) == "open"
    assert agreed([good, good]) == agreed([bad, good, good]) == agreed([good, unclear]) == "within"
    assert agreed([bad, bad]) == agreed([good, bad, bad]) == "beyond"


def test_a_limit_that_no_rate_keeps_and_failures_at_every_rate_have_no_peak() -> None:
    assert find_peak(lambda rate, seconds: Counted(int(rate * seconds), int(rate * seconds)), first=50) is None
    assert find_peak(lambda rate, seconds: Counted(0, int(rate * seconds), sound=False), first=50) is None
