"""Where the level of a series of runs changes: Pettitt's test, applied again to both parts until it finds no more.

A. N. Pettitt, A Non-Parametric Approach to the Change-Point Problem, Applied Statistics 28, 1979. It looks at ranks
only: one outlier moves nothing, and nothing is assumed of the noise but that it is independent from run to run. Some
fifteen runs are the fewest in which it can find a change at this level, so a change is marked some runs after it
happened; until then there are the verdicts of the single steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEVEL = 0.01


def change_points(values: Sequence[float], level: float = LEVEL) -> list[int]:
    """Indices of the values that begin a new level, in order."""
    found: list[int] = []
    parts = [(0, len(values))]
    while parts:
        begin, end = parts.pop()
        if pettitt(values[begin:end]) < level:
            at = begin + _begins(values[begin:end])
            found.append(at)
            parts += [(begin, at), (at, end)]
    return sorted(found)


def pettitt(values: Sequence[float]) -> float:
    """The approximate p-value of there being only one level."""
    n = len(values)
    if n < 2:
        return 1.0
    array = np.asarray(values, dtype=np.float64)
    ordered = np.sort(array)
    ranks = (np.searchsorted(ordered, array, "left") + np.searchsorted(ordered, array, "right") + 1) / 2
    largest = np.abs(2 * np.cumsum(ranks)[:-1] - np.arange(1, n) * (n + 1)).max()
    return min(1.0, 2 * math.exp(-6 * float(largest) ** 2 / (n**3 + n**2)))


def _begins(values: Sequence[float]) -> int:
    """Where a new level begins: the medians of both parts are closest to their values (ranks alone do not say)."""
    array = np.asarray(values, dtype=np.float64)
    splits = (np.split(array, [at]) for at in range(1, len(array)))
    far = [sum(float(np.abs(part - np.median(part)).sum()) for part in split) for split in splits]
    return 1 + int(np.argmin(far))
