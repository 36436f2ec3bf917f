"""A queue before several servers, as far as planning needs it. Pure functions.

Requests arrive at random (Poisson), wait in one line, and are served by the first of `servers` that is free. How long
one takes is as measured, by samples. The mean wait is that of Allen and Cunneen (A. O. Allen, Probability, Statistics,
and Queueing Theory, 2nd ed. 1990, chapter 5): the wait with exponential service, from Erlang's C formula, times half of
one plus the squared coefficient of variation of the service. Who has to wait does so for an exponential time (W. Whitt,
Approximations for the GI/G/m queue, Production and Operations Management 2, 1993). Waits and service are independent.
"""

from __future__ import annotations

import math

import numpy as np

STEPS = 60


def erlang_c(servers: int, load: float) -> float:
    """Share of requests that find all servers busy; `load` is how many are busy on average, below `servers`."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def latency_ms(service_ms: np.ndarray, servers: int, rate_per_s: float, q: float) -> float:
    """The q-th percentile of wait and service together in ms; infinite if more comes than can be served."""
    mean = float(service_ms.mean())
    load = rate_per_s * mean / 1e3
    if load >= servers:
        return math.inf
    waits = erlang_c(servers, load)
    variation = float(service_ms.var()) / mean**2
    wait_ms = mean / (servers - load) * (1 + variation) / 2  # of those that wait

    def beyond(t: float) -> float:
        left = t - service_ms
        return float(np.where(left < 0, 1.0, waits * np.exp(-np.maximum(left, 0) / wait_ms)).mean())

    low, high = 0.0, float(service_ms.max()) + 50 * wait_ms
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > 1 - q / 100 else (low, middle)
    return high


def highest_rate(service_ms: np.ndarray, servers: int, limit_ms: float, q: float) -> float:
    """Requests per second of which the q-th percentile stays within a limit; 0 if the service alone is beyond it."""
    if latency_ms(service_ms, servers, 0.0, q) > limit_ms:
        return 0.0
    low, high = 0.0, servers * 1e3 / float(service_ms.mean())
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if latency_ms(service_ms, servers, middle, q) <= limit_ms else (low, middle)
    return low
