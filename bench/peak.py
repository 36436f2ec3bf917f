"""The search for the highest rate at which p95 stays within a limit: what to ask next, given what was answered. Pure.

A run counts as within the limit when the share of its requests over the limit is shown to be at most 5 %, and as beyond
when it is shown to be more, by the exact bound of a binomial (as MLPerf's inference rules end a run early: the bound
decides, not the point). Requests of one run are not independent, though, and a disturbed moment is all of one run: both
answers are confirmed by a second run, and where two runs disagree more of them decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from ..core.paired import proportion
from ..core.statistics import samples_needed

SHARE = 0.05

# How the rate grows, how close it has to get, how long a probe and the confirmation take.
GROWTH = 1.5
RESOLUTION = 1.06
PROBE_S = 6.0
MOST_PROBE_S = 60.0
CONFIRM_S = 30.0
MOST_RUNS = 4  # at one rate
MOST_CONFIRMATIONS = 6
MOST_BRACKETS = 3
MORE = 1.3  # than the expected number of random arrivals, so that there are enough

Answer = Literal["within", "beyond", "open"]


class Counted(NamedTuple):
    """Requests of one run, and those that took longer than the limit; `sound` is False if the run cannot count."""

    over: int
    requests: int
    sound: bool = True


Ask = Callable[[float, float], Counted]
"""Run at a rate in 1/s for a number of seconds."""


def answer_of(run: Counted) -> Answer:
    """What the share over the limit is shown to be, at 97.5 % each way; a run with failures is beyond."""
    if not run.sound or not run.requests:
        return "beyond"
    low, high = proportion(run.over, run.requests)
    return "within" if high <= SHARE else "beyond" if low > SHARE else "open"


def agreed(runs: Sequence[Counted]) -> Answer:
    """What runs at one rate say together: two that agree, or all of them pooled where none says the opposite."""
    answers = [answer_of(run) for run in runs]
    sides: tuple[tuple[Answer, Answer], ...] = (("within", "beyond"), ("beyond", "within"))
    for wanted, opposite in sides:
        if answers.count(wanted) >= 2 and answers.count(wanted) > answers.count(opposite):
            return wanted
    sound = [run for run in runs if run.sound]
    if len(sound) == len(runs) >= 2:
        pooled = answer_of(Counted(sum(run.over for run in runs), sum(run.requests for run in runs)))
        if pooled != "open" and {"within": "beyond", "beyond": "within"}[pooled] not in answers:
            return pooled
    return "open"


def seconds_at(rate: float) -> float:
    """How long a probe takes, so that it has the requests that a p95 needs."""
    return max(PROBE_S, MORE * samples_needed(95) / rate)


def find_peak(ask: Ask, *, first: float) -> float | None:
    """The highest rate that was held for 30 s, of which the last run asked for is the proof; None if there is none.

    The rate grows by half until it is beyond the limit and is halved between until it is known to 6 %; if the rate
    above holds when asked again, the search goes on from there. It is lowered by 6 % when two of its confirmations
    fail, at most six times.
    """

    def holds(rate: float) -> bool:
        runs: list[Counted] = []
        while len(runs) < MOST_RUNS:
            runs.append(ask(rate, seconds_at(rate)))
            if (found := agreed(runs)) != "open":
                return found == "within"
        return False  # at the limit itself no number of runs tells

    low, high, rate = 0.0, math.inf, max(first, MORE * samples_needed(95) / MOST_PROBE_S)
    for _ in range(MOST_BRACKETS):
        while low == 0.0 or high == math.inf:
            if holds(rate):
                low = max(low, rate)
                rate *= GROWTH
            else:
                high = min(high, rate)
                rate /= GROWTH
            if seconds_at(rate) > MOST_PROBE_S:
                return None  # too slow for a p95 within a minute
        while high / low > RESOLUTION:
            middle = (low * high) ** 0.5
            low, high = (middle, high) if holds(middle) else (low, middle)
        if not holds(high):  # asked again: a disturbed minute must not end the search far below the peak
            break
        low, high, rate = high, math.inf, high * GROWTH
    for _ in range(MOST_CONFIRMATIONS):
        for _ in range(2):
            if answer_of(ask(low, max(CONFIRM_S, seconds_at(low)))) == "within":
                return low
        low /= RESOLUTION
    return None
