"""The queue of a plan against a simulation of it, request by request."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slimner.core.queueing import erlang_c, highest_rate, latency_ms

REQUESTS = 200_000


def simulated(service_ms: np.ndarray, servers: int, rate_per_s: float, seed: int) -> np.ndarray:
    """Latency of each request in ms: first come, first served, by whichever server is free first."""
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1e3 / rate_per_s, REQUESTS))
    services = random.choice(service_ms, REQUESTS)
    free = [0.0] * servers
    taken = np.empty(REQUESTS)
    for i, (at, needs) in enumerate(zip(arrivals, services, strict=True)):
        ends = max(at, heapq.heappop(free)) + needs
        heapq.heappush(free, ends)
        taken[i] = ends - at
    return taken[REQUESTS // 20 :]


SHAPES = {
    "even": np.full(100, 10.0),
    "exponential": np.random.default_rng(1).exponential(10, 5000),
    "short and long": np.array([4.0] * 80 + [34.0] * 20),
    "lognormal": np.random.default_rng(2).lognormal(2, 0.6, 5000),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("servers", [1, 2, 8])
@pytest.mark.parametrize("busy", [0.3, 0.6, 0.85])
def test_the_p95_is_that_of_a_simulation_within_twelve_per_cent(shape: str, servers: int, busy: float) -> None:
    service = SHAPES[shape]
    rate = busy * servers * 1e3 / service.mean()
    real = float(np.percentile(simulated(service, servers, rate, seed=3), 95))
    assert latency_ms(service, servers, rate, 95) == pytest.approx(real, rel=0.12)


def test_erlang_c_is_the_load_for_one_server_and_known_for_more() -> None:
    assert erlang_c(1, 0.7) == pytest.approx(0.7)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert erlang_c(10, 8.0) == pytest.approx(0.409, abs=5e-4)  # of published tables


@settings(max_examples=60)
@given(
    mean=st.floats(0.5, 200),
    servers=st.integers(1, 64),
    slack=st.floats(1.5, 20),
    seed=st.integers(0, 5),
)
def test_the_highest_rate_keeps_the_limit_and_a_higher_one_does_not(
    mean: float, servers: int, slack: float, seed: int
) -> None:
    service = np.random.default_rng(seed).gamma(4, mean / 4, 200)
    limit = slack * float(np.percentile(service, 95))
    rate = highest_rate(service, servers, limit, 95)
    assert 0 < rate < servers * 1e3 / service.mean()
    assert latency_ms(service, servers, rate, 95) <= limit * 1.001
    assert latency_ms(service, servers, rate * 1.02, 95) > limit * 0.999


def test_a_limit_below_the_service_leaves_no_rate_and_too_much_is_endless() -> None:
    service = SHAPES["even"]
    assert highest_rate(service, 4, 9.0, 95) == 0
    assert latency_ms(service, 4, 400.0, 95) == float("inf")
