"""Who is as good as whom: the objective of a variant by process, ties that are shown, what is open, and the front.

A tie has to be shown, as a difference has: its whole interval is inside the tie margin. What reaches across an end of
the margin is open, and more processes would tell. Pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from ..core.metrics import METRICS
from ..core.paired import LEVEL, Change, ratio_of_groups
from ..core.statistics import Spread
from .comparison import Row

Standing = Literal["tied", "worse", "open"]

# Figures of the front, beside F1.
FRONT = ("memory", "p95", "size")

# How much lower a figure has to be to count as lower at all.
WORTH = 0.02


def scores(row: Row, objective: Mapping[str, float]) -> list[float] | None:
    """The objective of each process, smaller is better: the weighted geometric mean of its metrics; or None."""
    logs: list[list[float]] = []
    for name, weight in objective.items():
        sign = -1 if METRICS[name].higher_is_better else 1
        values = row.processes(name)
        if not values:
            return None
        logs.append([sign * weight * math.log(value) for value in values])
    length = max(map(len, logs))
    if any(len(column) not in (1, length) for column in logs):
        return None
    total = sum(objective.values())
    wide = [column * length if len(column) == 1 else column for column in logs]
    return [math.exp(sum(parts) / total) for parts in zip(*wide, strict=True)]


def mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


def excess(row: Row, best: Row, objective: Mapping[str, float]) -> Change:
    """How much more of the objective a variant has than another; without ends from too few processes."""
    mine, theirs = scores(row, objective), scores(best, objective)
    assert mine is not None
    assert theirs is not None
    # all variants of a run are measured in turn: what drifts touches them alike
    change = ratio_of_groups(theirs, mine, LEVEL)
    if set(objective) == {"size"}:  # known exactly
        return Change(value=change.value, low=change.value, high=change.value, level=1.0, n=1)
    return change


def standing(change: Change, tie: float) -> Standing:
    """What an excess says at the tie margin."""
    if change.low is None or change.high is None:
        return "open"
    return "tied" if change.high <= tie else "worse" if change.low > tie else "open"


def best_of(rows: Sequence[Row], objective: Mapping[str, float]) -> Row:
    """The variant with the least of the objective, as measured; every row has one."""
    return min(rows, key=lambda row: mean(scores(row, objective) or [math.inf]))


def open_questions(
    rows: Sequence[Row], complexity: Mapping[str, int], objective: Mapping[str, float], tie: float
) -> tuple[Row, ...]:
    """Variants of which it is open whether they should win in place of the best: simpler, or perhaps better by more
    than the margin."""
    best = best_of(rows, objective)
    found: list[Row] = []
    for row in rows:
        change = excess(row, best, objective)
        simpler = complexity.get(row.variant, 0) < complexity.get(best.variant, 0)
        perhaps_better = change.low is None or change.low < -tie
        if row is not best and standing(change, tie) == "open" and (simpler or perhaps_better):
            found.append(row)
    return tuple(found)


def surely_less(mine: Spread, theirs: Spread) -> bool:
    """Whether a figure is lower by more than 2 %, and its interval, if there is one, does not reach the other's."""
    high = mine.value if mine.high is None else mine.high
    low = theirs.value if theirs.low is None else theirs.low
    return mine.value < theirs.value * (1 - WORTH) and high < low


def surely_better_f1(mine: Row, theirs: Row) -> bool:
    """Whether F1 is higher by the intervals of both changes against the baseline, whose own change is 0."""
    low = mine.change.points.low if mine.change else 0.0 if mine.baseline and mine.f1 else None
    high = theirs.change.points.high if theirs.change else 0.0 if theirs.baseline and theirs.f1 else None
    return low is not None and high is not None and low > high


def surely_better(mine: Row, theirs: Row) -> bool:
    """Whether a variant is shown to be better than another in F1, memory, p95 or size."""
    pairs = ((mine.spread(name), theirs.spread(name)) for name in FRONT)
    return surely_better_f1(mine, theirs) or any(one and two and surely_less(one, two) for one, two in pairs)


def front(rows: Sequence[Row]) -> tuple[str, ...]:
    """Variants that no other is shown to beat in one of F1, memory, p95 and size without being beaten in another.

    What noise may have made counts for neither side.
    """
    whole = [row for row in rows if not row.failed]
    return tuple(
        row.variant
        for row in whole
        if not any(surely_better(other, row) and not surely_better(row, other) for other in whole)
    )
