"""The winner and the reason for every loser: constraints first, the objective second, a tie to the simpler variant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ..core.metrics import METRICS, Metric, limits, objectives
from ..core.paired import LEVEL, ratio_of_groups
from ..core.records import Note
from ..core.statistics import Spread
from .comparison import Row
from .formatting import points, show
from .policy import F1_DROP, Policy

# How far beyond a constraint is still a near miss, as a share of it.
NEAR = 0.1

# Only random weights have no score at all.
UNCHECKED = "F1 not checked: random weights"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`winner` is None when no variant is feasible, and `closest` then misses its constraints by least.

    `losers` gives a reason for each of the others, `near_misses` what a constraint would have to be for those that just
    miss it, `alternatives` what is shown to beat the winner in another objective, `front` the variants that no other
    beats in F1, memory, p95 and size at once.
    """

    policy: Policy
    winner: str | None
    because: str
    losers: dict[str, str]
    closest: str | None = None
    near_misses: tuple[str, ...] = ()
    alternatives: dict[str, str] = {}
    front: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """A constraint that a variant does not meet, by what share of the limit, and the limit that it would meet."""

    reason: str
    excess: float = math.inf
    would_pass: str = ""


def decide(rows: Sequence[Row], complexity: Mapping[str, int], policy: Policy | None = None) -> Decision:
    """Pick among compared rows; `complexity` orders variants that tie, lowest first."""
    policy = policy or Policy()
    misses = {row.variant: found for row in rows if (found := list(_misses(row, policy, rows)))}
    feasible = [row for row in rows if row.variant not in misses]
    losers = {variant: found[0].reason for variant, found in misses.items()}
    near = tuple(
        f"{variant} would pass with {miss.would_pass}"
        for variant, found in misses.items()
        for miss in found
        if len(found) == 1 and miss.excess <= NEAR
    )
    if not feasible:
        by_excess = sorted(misses, key=lambda v: (len(misses[v]), max(miss.excess for miss in misses[v])))
        closest = next((v for v in by_excess if all(math.isfinite(miss.excess) for miss in misses[v])), None)
        return Decision(
            policy=policy,
            winner=None,
            because="no variant passes the policy",
            losers=losers,
            closest=closest,
            near_misses=near,
            front=pareto(rows),
        )
    winner, tied = _pick(feasible, complexity, policy.objective, policy.tie)
    for row in feasible:
        if row is not winner:
            simpler = complexity.get(winner.variant, 0) < complexity.get(row.variant, 0)
            losers[row.variant] = _loses(row, winner, policy, tie=row in tied, simpler=simpler)
    baseline = next((row for row in rows if row.baseline), None)
    alternatives: dict[str, str] = {}
    for name in objectives():
        if better := _surely_best(feasible, winner, name, policy.tie):
            alternatives[name] = better.variant
    return Decision(
        policy=policy,
        winner=winner.variant,
        because=_wins(winner, baseline, policy),
        losers={row.variant: losers[row.variant] for row in rows if row.variant in losers},
        near_misses=near,
        alternatives=alternatives,
        front=pareto(rows),
    )


def pareto(rows: Sequence[Row]) -> tuple[str, ...]:
    """Variants that no other beats or equals in all of F1, memory, p95 and size while beating it in one."""

    def costs(row: Row) -> tuple[float, ...]:
        f1 = -row.f1.value if row.f1 else 0.0
        return (f1, *(_figure(row, METRICS[name], math.inf) for name in ("memory", "p95", "size")))

    whole = [(row.variant, costs(row)) for row in rows if not row.failed]
    return tuple(
        name
        for name, mine in whole
        if not any(other != mine and all(o <= m for o, m in zip(other, mine, strict=True)) for _, other in whole)
    )


def _figure(row: Row, metric: Metric, missing: float) -> float:
    value = row.value(metric.name)
    return missing if value is None else value


def _scores(row: Row, objective: Mapping[str, float]) -> list[float] | None:
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


def _mean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))


def _pick(
    rows: Sequence[Row], complexity: Mapping[str, int], objective: Mapping[str, float], tie: float
) -> tuple[Row, list[Row]]:
    """The winner and those that tie with the best: not shown to be worse than it by more than `tie`."""
    scores = {row.variant: found for row in rows if (found := _scores(row, objective))}
    best = min(rows, key=lambda row: _mean(scores[row.variant]))

    def ties(row: Row) -> bool:
        # all variants of a run are measured in turn: what drifts touches them alike
        change = ratio_of_groups(scores[best.variant], scores[row.variant], LEVEL)
        return (change.value if change.low is None else change.low) <= tie

    tied = [row for row in rows if row is best or ties(row)]
    return min(tied, key=lambda row: (complexity.get(row.variant, 0), _mean(scores[row.variant]))), tied


def _surely_best(rows: Sequence[Row], winner: Row, objective: str, tie: float) -> Row | None:
    """The best in another objective, if it is shown to beat the winner in it by more than `tie`."""
    scores = {row.variant: found for row in rows if (found := _scores(row, {objective: 1.0}))}
    if winner.variant not in scores:
        return None
    best = min((row for row in rows if row.variant in scores), key=lambda row: _mean(scores[row.variant]))
    change = ratio_of_groups(scores[best.variant], scores[winner.variant], LEVEL)
    return best if (change.value if change.low is None else change.low) > tie else None


def _misses(row: Row, policy: Policy, rows: Sequence[Row]) -> Iterator[Miss]:
    """What a variant does not meet, in the order of the policy."""
    if row.failed:
        yield Miss(reason=f"failed ({row.failed})")
        return
    scored = any(r.f1 for r in rows) or not any(r.parity for r in rows)
    if policy.f1_max_drop_pp is not None and scored and not row.baseline:
        yield from _drop(row, policy.f1_max_drop_pp)
    for key, value in policy.limits.items():
        if key != "f1_min" or scored:
            yield from _beyond(row, limits()[key], value)
    if _scores(row, policy.objective) is None:
        missing = [METRICS[name].title for name in policy.objective if not row.processes(name)]
        yield Miss(reason=f"{' and '.join(missing)} was not measured")


def _drop(row: Row, allowed: float) -> Iterator[Miss]:
    if row.f1 is None:
        yield Miss(reason="F1 cannot be judged: the corpus has no gold entity")
        return
    if row.change is None:
        yield Miss(reason="F1 has no baseline to be compared with")
        return
    change = row.change.points
    if change.low < -allowed:
        shown = change.value < -allowed
        reason = f"more than {allowed:g} pp lost" if shown else f"is not shown to stay within {allowed:g} pp"
        yield Miss(
            reason=f"F1 {points(change)}{',' if shown else ''} {reason}",
            excess=(-change.low - allowed) / max(allowed, 0.1),
            would_pass=f'{F1_DROP} = "{_up(-change.low, 2):g}pp"',
        )


def _beyond(row: Row, metric: Metric, value: float) -> Iterator[Miss]:
    """The end of the interval decides: a limit has to be shown to hold."""
    name, figure = metric.title, row.spread(metric.name)
    if figure is None:
        yield Miss(reason=f"{name} was not measured, and {metric.limit} is {show(metric, value)}")
        return
    upper = not metric.higher_is_better
    end = (figure.high if upper else figure.low) or figure.value
    if (end <= value) if upper else (end >= value):
        return
    beyond = figure.value > value if upper else figure.value < value
    reach = f" ({'up' if upper else 'down'} to {show(metric, end)} at 95 %)" if end != figure.value else ""
    how = ("more" if upper else "less") if beyond else "not shown to be within"
    than = f"{how} than" if beyond else how
    yield Miss(
        reason=f"{name} {show(metric, figure.value)}{reach}, {than} {metric.limit} = {show(metric, value)}",
        excess=abs(end / value - 1),
        would_pass=f"{metric.limit} = {show(metric, end)}",
    )


def _up(value: float, digits: int) -> float:
    scale = float(10**digits)
    return math.ceil(value * scale - 1e-9) / scale


def _objective_name(policy: Policy) -> str:
    return " and ".join(METRICS[name].title for name in policy.objective)


def _wins(winner: Row, baseline: Row | None, policy: Policy) -> str:
    goals = [(METRICS[name], winner.value(name)) for name in policy.objective]
    if winner.baseline or baseline is None or any(baseline.value(metric.name) is None for metric, _ in goals):
        best = ", ".join(
            f"{'most' if metric.higher_is_better else 'least'} {metric.title}, {show(metric, value)}"
            for metric, value in goals
        )
        kept = UNCHECKED if winner.parity else "of those that pass" if policy.limits else "of those that keep F1"
        return f"{best}, {kept}"
    parts = [f"{m.title} {_change(v, baseline.value(m.name))}" for m, v in goals]
    for name in ("p95", "size"):
        mine, theirs = winner.spread(name), baseline.spread(name)
        if name not in policy.objective and mine and theirs and (name == "size" or _differ(mine, theirs)):
            parts.append(f"{METRICS[name].title} {_change(mine.value, theirs.value)}")
    if winner.change is not None and policy.f1_max_drop_pp is not None:
        parts.append(f"F1 within {policy.f1_max_drop_pp:g} pp ({points(winner.change.points)})")
    elif winner.f1 is None and policy.f1_max_drop_pp is not None:
        parts.append(UNCHECKED)
    return ", ".join(parts)


def _change(now: float | None, before: float | None) -> str:
    return "" if now is None or before is None else f"{(now / before - 1) * 100:+.0f} %"


def _loses(row: Row, winner: Row, policy: Policy, *, tie: bool, simpler: bool) -> str:
    mine, theirs = _mean(_scores(row, policy.objective) or [1]), _mean(_scores(winner, policy.objective) or [1])
    share = mine / theirs
    own = " and ".join(show(METRICS[name], row.value(name)) for name in policy.objective)
    name, less = _objective_name(policy), "less simple" if simpler else "no simpler"
    if tie:
        same = "as much" if len(policy.objective) == 1 and "memory" in policy.objective else "not shown to differ in"
        reason = f"{own}, {same} {name} {'as ' if same == 'as much' else 'from '}the winner, {less}"
    else:
        only = METRICS[next(iter(policy.objective))] if len(policy.objective) == 1 else None
        what = f"{name}" if only else f"weighted {name}"
        if only and only.higher_is_better:
            more = f"{(1 - 1 / share) * 100:.0f} % less {what} than the winner"
        elif share >= 1.2:
            more = f"{share:.1f} times the winner's {what}"
        else:
            more = f"{(share - 1) * 100:.0f} % more {what} than the winner"
        reason = f"{own}, {more}"
    better = [
        f"{metric.title} {show(metric, one.value)} against {show(metric, other.value)}"
        for metric in METRICS.values()
        if metric.column and not metric.higher_is_better
        if (one := row.spread(metric.name)) and (other := winner.spread(metric.name)) and _surely_less(one, other)
    ]
    if row.f1 and winner.f1 and row.f1.value > winner.f1.value + 0.0005:
        better.insert(0, f"F1 {row.f1.value * 100:.2f} against {winner.f1.value * 100:.2f}")
    return f"{reason}, though {', '.join(better)}" if better else f"{reason}, and surely better in nothing else"


def _surely_less(mine: Spread, theirs: Spread) -> bool:
    """Whether a figure is lower by more than 2 %, and its interval, if there is one, does not reach the other's."""
    high = mine.value if mine.high is None else mine.high
    low = theirs.value if theirs.low is None else theirs.low
    return mine.value < theirs.value * 0.98 and high < low


def _differ(one: Spread, other: Spread) -> bool:
    return _surely_less(one, other) or _surely_less(other, one)
