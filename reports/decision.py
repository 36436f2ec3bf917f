"""The winner and the reason for every loser: constraints first, the objective second, a tie to the simpler variant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ..core.metrics import METRICS, Metric, limits, objectives
from ..core.records import Note
from ..core.statistics import Spread
from .comparison import Row
from .formatting import points, show
from .policy import F1_DROP, Policy
from .ties import best_of, excess, front, mean, open_questions, scores, standing, surely_better_f1, surely_less

# How far beyond a constraint is still a near miss, as a share of it.
NEAR = 0.1

# Only random weights have no score at all.
UNCHECKED = "F1 not checked: random weights"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Which variant wins; None if none is feasible, and `closest` then misses the constraints by least.

    `losers` gives a reason for each of the others, `near_misses` what a constraint would have to be for those that just
    miss it, `alternatives` what is shown to beat the winner in another objective, `front` the winner and the variants
    that no other is shown to beat in F1, memory, p95 or size without being beaten in another. `undecided` names
    those that need more processes to tell whether they should have won.
    """

    policy: Policy
    winner: str | None
    because: str
    losers: dict[str, str]
    closest: str | None = None
    near_misses: tuple[str, ...] = ()
    alternatives: dict[str, str] = {}
    undecided: tuple[str, ...] = ()
    front: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """A constraint that a variant misses, by what share of the limit, and the limit that it would meet."""

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
            front=front(rows),
        )
    best = best_of(feasible, policy.objective)
    tied = [
        row for row in feasible if row is best or standing(excess(row, best, policy.objective), policy.tie) == "tied"
    ]
    winner = min(
        tied, key=lambda row: (complexity.get(row.variant, 0), mean(scores(row, policy.objective) or [math.inf]))
    )
    still_open = open_questions(feasible, complexity, policy.objective, policy.tie)
    for row in feasible:
        if row is not winner:
            simpler = complexity.get(winner.variant, 0) < complexity.get(row.variant, 0)
            losers[row.variant] = (
                _not_told_apart(row, best, policy)
                if row is not best and standing(excess(row, best, policy.objective), policy.tie) == "open"
                else _loses(row, winner, policy, tie=row in tied, simpler=simpler)
            )
    baseline = next((row for row in rows if row.baseline), None)
    alternatives: dict[str, str] = {}
    for name in objectives():
        if better := _surely_best(feasible, winner, name, policy.tie):
            alternatives[name] = better.variant
    return Decision(
        policy=policy,
        winner=winner.variant,
        because=_wins(winner, best, baseline, policy, alone=len(feasible) == 1),
        losers={row.variant: losers[row.variant] for row in rows if row.variant in losers},
        near_misses=near,
        alternatives=alternatives,
        undecided=tuple(row.variant for row in still_open),
        front=_with(winner.variant, front(rows), rows),
    )


def undecided(rows: Sequence[Row], complexity: Mapping[str, int], policy: Policy) -> tuple[str, ...]:
    """Variants to measure in more processes, as it is open which of them should win; none if that is settled.

    The best one is among them, so that both sides of each comparison get surer.
    """
    feasible = [row for row in rows if not any(_misses(row, policy, rows))]
    if len(feasible) < 2:
        return ()
    found = open_questions(feasible, complexity, policy.objective, policy.tie)
    return (best_of(feasible, policy.objective).variant, *(row.variant for row in found)) if found else ()


def standings(rows: Sequence[Row], decision: Decision) -> dict[str, tuple[str, ...]]:
    """How each variant stands: `winner`, `tied` with the best, `infeasible` or `failed`, on the `front`, `baseline`."""
    feasible = [row for row in rows if not any(_misses(row, decision.policy, rows))]
    best = best_of(feasible, decision.policy.objective) if feasible else None
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        tied = best and row in feasible and (row is best or _tied(row, best, decision.policy))
        marks = {
            "winner": row.variant == decision.winner,
            "tied": bool(tied) and row.variant != decision.winner,
            "failed": bool(row.failed),
            "infeasible": row not in feasible and not row.failed,
            "front": row.variant in decision.front,
            "baseline": row.baseline,
        }
        found[row.variant] = tuple(mark for mark, holds in marks.items() if holds)
    return found


def _tied(row: Row, best: Row, policy: Policy) -> bool:
    return standing(excess(row, best, policy.objective), policy.tie) == "tied"


def _surely_best(rows: Sequence[Row], winner: Row, objective: str, tie: float) -> Row | None:
    """The best in another objective, if it is shown to beat the winner in it by more than `tie`."""
    having = [row for row in rows if scores(row, {objective: 1.0})]
    if winner not in having:
        return None
    best = best_of(having, {objective: 1.0})
    return best if standing(excess(winner, best, {objective: 1.0}), tie) == "worse" else None


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
    if scores(row, policy.objective) is None:
        missing = [METRICS[name].title for name in policy.objective if not row.processes(name)]
        yield Miss(reason=f"{' and '.join(missing)} was not measured")


def f1_misses(row: Row, policy: Policy) -> list[str]:
    """What the F1 of a variant, and its change against the baseline, do not meet."""
    found: list[Miss] = []
    if policy.f1_max_drop_pp is not None:
        found += _drop(row, policy.f1_max_drop_pp)
    if (least := policy.limits.get("f1_min")) is not None:
        found += _beyond(row, limits()["f1_min"], least)
    return [miss.reason for miss in found]


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


def _with(winner: str, names: Sequence[str], rows: Sequence[Row]) -> tuple[str, ...]:
    """The winner among the others, in the order of the rows: by the policy nothing is better."""
    return tuple(row.variant for row in rows if row.variant in names or row.variant == winner)


def _wins(winner: Row, best: Row, baseline: Row | None, policy: Policy, *, alone: bool) -> str:
    """Why it wins, then its other advantages over the baseline that are shown."""
    parts = [_made_it_win(winner, best, baseline, policy, alone=alone)]
    if baseline and not winner.baseline:
        for name in ("p95", "size"):
            mine, theirs = winner.spread(name), baseline.spread(name)
            if name not in policy.objective and mine and theirs and _differ(mine, theirs):
                parts.append(f"{METRICS[name].title} {_change(mine.value, theirs.value)}")
    if winner.change is not None and policy.f1_max_drop_pp is not None:
        parts.append(f"F1 within {policy.f1_max_drop_pp:g} pp ({points(winner.change.points)})")
    elif winner.f1 is None and winner.parity and policy.f1_max_drop_pp is not None:
        parts.append(UNCHECKED)
    return ", ".join(parts)


def _made_it_win(winner: Row, best: Row, baseline: Row | None, policy: Policy, *, alone: bool) -> str:
    own = ", ".join(f"{METRICS[name].title} {show(METRICS[name], winner.value(name))}" for name in policy.objective)
    if alone:
        return f"the only one that passes, {own}"
    if winner is not best:
        theirs = ", ".join(show(METRICS[name], best.value(name)) for name in policy.objective)
        return f"{own}, within {policy.tie * 100:g} % of {best.variant}'s {theirs}, and simpler"
    gains: list[str] = []
    for name in policy.objective:
        metric, mine = METRICS[name], winner.spread(name)
        theirs_of = baseline.spread(name) if baseline and not winner.baseline else None
        if mine and theirs_of and _differ(mine, theirs_of):
            gains.append(f"{metric.title} {_change(mine.value, theirs_of.value)}")
        else:
            gains.append(
                f"{'most' if metric.higher_is_better else 'least'} {metric.title}, {show(metric, winner.value(name))}"
            )
    return ", ".join(gains)


def _change(now: float | None, before: float | None) -> str:
    return "" if now is None or before is None else f"{(now / before - 1) * 100:+.0f} %"


def _not_told_apart(row: Row, best: Row, policy: Policy) -> str:
    change = excess(row, best, policy.objective)
    own = " and ".join(show(METRICS[name], row.value(name)) for name in policy.objective)
    reach = (
        "" if change.low is None or change.high is None else f" ({change.low * 100:+.1f} to {change.high * 100:+.1f} %)"
    )
    return (
        f"{own}, not told apart from {best.variant} in {_objective_name(policy)} by {change.n} processes: "
        f"{change.value * 100:+.1f} %{reach} at a tie margin of {policy.tie * 100:g} %; raise --repetitions"
    )


def _loses(row: Row, winner: Row, policy: Policy, *, tie: bool, simpler: bool) -> str:
    mine, theirs = mean(scores(row, policy.objective) or [1]), mean(scores(winner, policy.objective) or [1])
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
        if (one := row.spread(metric.name)) and (other := winner.spread(metric.name)) and surely_less(one, other)
    ]
    if row.f1 and winner.f1 and surely_better_f1(row, winner):
        better.insert(0, f"F1 {row.f1.value * 100:.2f} against {winner.f1.value * 100:.2f}")
    return f"{reason}, though {', '.join(better)}" if better else f"{reason}, and surely better in nothing else"


def _differ(one: Spread, other: Spread) -> bool:
    return surely_less(one, other) or surely_less(other, one)
