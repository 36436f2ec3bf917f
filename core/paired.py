"""Statistics of comparisons: intervals of a change from pairs or from two groups, looks, exact tests. Pure functions.

A pair is one process of the baseline and one of the candidate, started one after the other in a random order; its
figure is the logarithm of candidate over baseline. Given that order, the figure is as likely too high as too low by the
same amount, whatever the machine's noise looks like, which is all that the signed-rank test assumes. Its interval is
exact from few pairs and does not move with an outlier, where a percentile bootstrap of ten pairs is too narrow
(`tests/core/test_paired.py` shows both).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .lasting import UNKNOWN, Lasting, widening
from .records import Record

LEVEL = 0.95

# Numbers of pairs after which a comparison is judged. The chance of an error is shared equally among the looks, so that
# looking early does not make errors likelier (Bonferroni; Pocock's boundary is close to it). Ten pairs are the fewest
# from which a signed-rank interval exists at such a level.
LOOKS = (10, 14, 20, 28, 40)


class Change(Record, frozen=True, kw_only=True):
    """A change with its interval at `level`: a ratio minus 1, or a difference; both ends None if there are too few
    data."""

    value: float
    low: float | None
    high: float | None
    level: float
    n: int

    @property
    def mirrored(self) -> Change:
        """The same difference with baseline and candidate swapped."""
        low = None if self.high is None else -self.high
        high = None if self.low is None else -self.low
        return Change(value=-self.value, low=low, high=high, level=self.level, n=self.n)


class BetweenRuns(Record, frozen=True, kw_only=True):
    """Relative standard deviation of a figure between runs of one artifact on one machine, beyond what the processes of
    a run show; from so many `repeats`, None if it is assumed."""

    deviation: float
    repeats: int | None = None

    def reach(self, level: float) -> float:
        """Half the width of the interval, as a logarithm, that it gives the ratio of two runs: by Student's t where
        the deviation itself was measured."""
        quantile = student(self.repeats, level) if self.repeats else statistics.NormalDist().inv_cdf((1 + level) / 2)
        return quantile * self.deviation * math.sqrt(2)


def shared_level(tests: int, looks: int = 1) -> float:
    """Level of each of `tests` intervals, looked at `looks` times, that all hold together with 95 % (Bonferroni)."""
    return 1 - (1 - LEVEL) / (max(1, tests) * max(1, looks))


@lru_cache(maxsize=256)
def _rank_sums(n: int) -> np.ndarray:
    """Cumulative null distribution of the signed-rank sum of n values: P(T <= t) for t = 0 .. n(n+1)/2."""
    counts = np.zeros(n * (n + 1) // 2 + 1)
    counts[0] = 1.0
    for rank in range(1, n + 1):
        counts[rank:] = counts[rank:] + counts[: len(counts) - rank]
        counts /= 2
    return np.cumsum(counts)


def signed_rank(values: Sequence[float], level: float) -> Change:
    """Hodges and Lehmann's estimate of the centre of `values` and its exact interval.

    The interval is between two of the ordered Walsh averages (means of all pairs of values): M. Hollander and D. Wolfe,
    Nonparametric Statistical Methods, section 3.3. The interval has no ends if there are too few `values` for the
    level. Raises ValueError without values.
    """
    if not len(values):
        raise ValueError("no values")
    array = np.asarray(values, dtype=np.float64)
    rows, columns = np.triu_indices(len(array))
    walsh = np.sort((array[rows] + array[columns]) / 2)
    # how many of the lowest averages may be cut: the largest c with P(T <= c - 1) at most half of 1 - level
    cut = int(np.searchsorted(_rank_sums(len(array)), (1 - level) / 2 * (1 + 1e-9), side="right"))
    low, high = (float(walsh[cut - 1]), float(walsh[-cut])) if cut else (None, None)
    return Change(value=float(np.median(walsh)), low=low, high=high, level=level, n=len(array))


def centre_of_pairs(values: Sequence[float], level: float, known: Lasting = UNKNOWN) -> Change:
    """The centre of the changes of successive pairs: the signed-rank interval, wider by what lasts from pair to pair.

    `known` is what earlier pairs on the machine have shown of that.
    """
    found = signed_rank(values, level)
    if found.low is None or found.high is None:
        return found
    factor = widening(values, known)
    low, high = (found.value + factor * (end - found.value) for end in (found.low, found.high))
    return Change(value=found.value, low=low, high=high, level=level, n=found.n)


def ratio_of_pairs(
    baseline: Sequence[float], candidate: Sequence[float], level: float, known: Lasting = UNKNOWN
) -> Change:
    """Change of positive figures, candidate over baseline minus 1, from pairs."""
    logs = [math.log(c / b) for b, c in zip(baseline, candidate, strict=True)]
    return _from_logs(centre_of_pairs(logs, level, known))


def difference_of_pairs(
    baseline: Sequence[float], candidate: Sequence[float], level: float, known: Lasting = UNKNOWN
) -> Change:
    """Candidate minus baseline, from pairs."""
    return centre_of_pairs([c - b for b, c in zip(baseline, candidate, strict=True)], level, known)


def ratio_of_groups(
    baseline: Sequence[float], candidate: Sequence[float], level: float, *, between: BetweenRuns | None = None
) -> Change:
    """Change of positive figures, candidate over baseline minus 1, from processes that were not measured in pairs.

    Welch's interval on logarithms (B. L. Welch, Biometrika 34, 1947), wider by what runs differ `between` each other
    if the groups are from two. Without ends if a group has fewer than two values.
    """
    one, two = ([math.log(value) for value in group] for group in (baseline, candidate))
    value = statistics.fmean(two) - statistics.fmean(one)
    if min(len(one), len(two)) < 2:
        return _from_logs(Change(value=value, low=None, high=None, level=level, n=min(len(one), len(two))))
    parts = [statistics.variance(group) / len(group) for group in (one, two)]
    error = math.sqrt(sum(parts))
    freedom = 1.0
    if error > 0:
        freedom = sum(parts) ** 2 / sum(p**2 / (len(g) - 1) for p, g in zip(parts, (one, two), strict=True))
    reach = math.hypot(student(max(1, int(freedom)), level) * error, between.reach(level) if between else 0.0)
    return _from_logs(
        Change(value=value, low=value - reach, high=value + reach, level=level, n=min(len(one), len(two)))
    )


def _from_logs(change: Change) -> Change:
    low, high = (None if end is None else math.expm1(end) for end in (change.low, change.high))
    return Change(value=math.expm1(change.value), low=low, high=high, level=change.level, n=change.n)


@lru_cache(maxsize=1024)
def student(freedom: int, level: float = LEVEL) -> float:
    """Quantile of Student's t with whole degrees of freedom for a two-sided interval at `level`."""
    low, high = 0.0, 1.0
    while _student_within(high, freedom) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_within(middle, freedom) < level else (low, middle)
    return high


def _student_within(t: float, freedom: int) -> float:
    """P(|T| <= t): M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4."""
    theta = math.atan(t / math.sqrt(freedom))
    square = math.cos(theta) ** 2
    odd = freedom % 2
    total, term = 0.0, math.cos(theta) if odd else 1.0
    for k in range(1 + odd, freedom, 2):  # the exponents of the cosine, two apart
        total += term
        term *= square * k / (k + 1)
    if odd:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p that sentences change sides evenly: a binomial test (Q. McNemar, Psychometrika 12, 1947)."""
    n, k = gained + lost, min(gained, lost)
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, i) for i in range(k + 1))
    return float(min(1.0, 2 * tail / 2**n))


def proportion(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Exact interval of a proportion (C. Clopper and E. Pearson, Biometrika 26, 1934), by bisection."""
    half = (1 - level) / 2
    counts = np.arange(trials + 1)
    ways = np.array([math.lgamma(trials + 1) - math.lgamma(i + 1) - math.lgamma(trials - i + 1) for i in counts])

    def at_least(least: int, p: float) -> float:
        return float(np.exp(ways + counts * math.log(p) + (trials - counts) * math.log1p(-p))[least:].sum())

    def solve(least: int, target: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if at_least(least, middle) < target else (low, middle)
        return high

    low = 0.0 if successes == 0 else solve(successes, half)
    high = 1.0 if successes == trials else solve(successes + 1, 1 - half)
    return low, high
