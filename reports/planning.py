"""How many machines a rate takes, for people."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.plan_records import DeploymentPlan, MachinePlan
from .content import Section, Table
from .formatting import MISSING, megabytes, milliseconds, per_second


def sections(plan: DeploymentPlan) -> Iterator[Section]:
    """A line for each kind of machine that was measured."""
    priced = any(one.price_per_hour is not None for one in plan.machines)
    yield Section(
        title=f"{per_second(plan.rate_per_s)} with p95 within {milliseconds(plan.limit_p95_ms)}",
        parts=[
            Table(
                headings=(
                    "source",
                    "variant",
                    "machines",
                    "one takes",
                    "workers",
                    "memory",
                    "p95",
                    "busy",
                    "basis",
                    *(("a million texts",) if priced else ()),
                ),
                lines=[_line(one, priced=priced) for one in plan.machines],
                important=("machines", "one takes"),
            )
        ],
    )


def _line(one: MachinePlan, *, priced: bool) -> tuple[str, ...]:
    return (
        one.source,
        one.variant or MISSING,
        "none suffices" if one.machines is None else _with_ends(f"{one.machines}", one.machines_low, one.machines_high),
        _with_ends(per_second(one.rate_per_s), one.rate_low, one.rate_high),
        MISSING if one.workers is None else str(one.workers),
        megabytes(one.memory_bytes),
        milliseconds(one.p95_ms),
        MISSING if one.utilization is None else f"{one.utilization * 100:.0f} %",
        one.basis,
        *((_cost(one),) if priced else ()),
    )


def _with_ends(said: str, low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return said
    ends = ["?" if end is None else f"{end:d}" if isinstance(end, int) else f"{end:.3g}" for end in (low, high)]
    return f"{said} ({ends[0]} to {ends[1]})"


def _cost(one: MachinePlan) -> str:
    if one.cost_per_million is None:
        return MISSING
    return _with_ends(f"{one.cost_per_million:.3g}", one.cost_low, one.cost_high)
