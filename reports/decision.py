"""The winner and the reason for every loser: constraints first, the objective second, a tie to the simpler variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..core.records import Note
from ..core.statistics import Spread
from .comparison import Row
from .units import megabytes, milliseconds, points, seconds


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What is demanded of a winner.

    F1 may drop by at most `f1_max_drop_pp` percentage points, and the lower end of the drop's 95 % interval decides;
    among those that pass, the least memory in steady state (PSS) wins; within `tie` of the least, the simpler one.
    """

    f1_max_drop_pp: float = 0.5
    tie: float = 0.02


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`winner` is None when no variant is feasible; `losers` gives a reason for each of the others."""

    policy: Policy
    winner: str | None
    because: str
    losers: dict[str, str]
    closest: str | None = None
    notes: tuple[Note, ...] = ()


def decide(rows: Sequence[Row], complexity: Mapping[str, int], policy: Policy | None = None) -> Decision:
    """Pick among compared rows; `complexity` orders variants that tie, lowest first."""
    policy = policy or Policy()
    losers = {row.variant: reason for row in rows if (reason := _infeasible(row, policy))}
    feasible = [row for row in rows if row.variant not in losers]
    if not feasible:
        scored = [row for row in rows if row.change is not None]
        closest = max(scored, key=lambda row: row.change.points.low if row.change else 0.0, default=None)
        return Decision(
            policy=policy,
            winner=None,
            because="no variant passes the policy",
            losers=losers,
            closest=closest.variant if closest else None,
        )
    least = min(_memory(row) for row in feasible)
    tied = [row for row in feasible if _memory(row) <= least * (1 + policy.tie)]
    winner = min(tied, key=lambda row: (complexity.get(row.variant, 0), _memory(row)))
    for row in feasible:
        if row is not winner:
            simpler = complexity.get(winner.variant, 0) < complexity.get(row.variant, 0)
            losers[row.variant] = _loses(row, winner, tie=row in tied, simpler=simpler)
    baseline = next((row for row in rows if row.baseline), None)
    return Decision(
        policy=policy,
        winner=winner.variant,
        because=_wins(winner, baseline, policy),
        losers={row.variant: losers[row.variant] for row in rows if row.variant in losers},
    )


def _memory(row: Row) -> float:
    assert row.steady is not None
    return row.steady.value


def _infeasible(row: Row, policy: Policy) -> str:
    if row.failed:
        return f"failed ({row.failed})"
    if row.steady is None:
        return "memory was not measured"
    if row.baseline or row.parity is not None:  # random weights: there is no F1 to keep
        return ""
    if row.change is None:
        return "F1 has no baseline to be compared with"
    change = row.change.points
    if change.low < -policy.f1_max_drop_pp:
        if change.value >= -policy.f1_max_drop_pp:
            return f"F1 {points(change)} is not shown to stay within {policy.f1_max_drop_pp:g} pp"
        return f"F1 {points(change)}, more than {policy.f1_max_drop_pp:g} pp lost"
    return ""


def _wins(winner: Row, baseline: Row | None, policy: Policy) -> str:
    kept = "F1 not checked: random weights" if winner.parity else "of those that keep F1"
    if winner.baseline or baseline is None or baseline.steady is None:
        return f"least memory, {megabytes(_memory(winner))} in steady state, {kept}"
    parts = [f"memory {_change(_memory(winner), _memory(baseline))}"]
    if winner.p95 and baseline.p95 and _differ(winner.p95, baseline.p95):
        parts.append(f"p95 {_change(winner.p95.value, baseline.p95.value)}")
    if winner.size_bytes is not None and baseline.size_bytes is not None:
        parts.append(f"artifact {_change(winner.size_bytes, baseline.size_bytes)}")
    if winner.change is not None:
        parts.append(f"F1 within {policy.f1_max_drop_pp:g} pp ({points(winner.change.points)})")
    if winner.parity is not None:
        parts.append("F1 not checked: random weights")
    return ", ".join(parts)


def _change(now: float, before: float) -> str:
    return f"{(now / before - 1) * 100:+.0f} %"


def _loses(row: Row, winner: Row, *, tie: bool, simpler: bool) -> str:
    share = _memory(row) / _memory(winner)
    if tie:
        reason = (
            f"{megabytes(_memory(row))}, as much memory as the winner, {'less simple' if simpler else 'no simpler'}"
        )
    else:
        more = (
            f"{share:.1f} times the winner's memory"
            if share >= 1.2
            else f"{(share - 1) * 100:.0f} % more than the winner"
        )
        reason = f"{megabytes(_memory(row))}, {more}"
    better = [
        f"{name} {show(mine.value)} against {show(theirs.value)}"
        for name, of, show in FIGURES
        if (mine := of(row)) is not None and (theirs := of(winner)) is not None and _surely_less(mine, theirs)
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


def _size(row: Row) -> Spread | None:
    return None if row.size_bytes is None else Spread(value=row.size_bytes, low=None, high=None, processes=1)


FIGURES: Sequence[tuple[str, Callable[[Row], Spread | None], Callable[[float | None], str]]] = (
    ("p50", lambda row: row.p50, milliseconds),
    ("p95", lambda row: row.p95, milliseconds),
    ("cold start", lambda row: row.cold_start, seconds),
    ("artifact", _size, megabytes),
    ("peak", lambda row: row.peak, megabytes),
)
