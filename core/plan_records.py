"""How many machines a rate takes."""

from __future__ import annotations

from .records import Machine, Note, Record


class MachinePlan(Record, frozen=True, kw_only=True):
    """One kind of machine: the rate that one serves within the limit, and how many machines that makes.

    `basis` is `measured` if a load report has the highest rate within this limit or a lower one, else `model`. Ends of
    intervals are None where the measurements give none. `machines` is None if even one request alone takes longer than
    the limit. `memory_bytes` is that of all workers of one machine; `p95_ms` and `utilization` are the model's for that
    many machines. `cost_per_million` is for a million texts at the full rate, in the currency of the price.
    """

    source: str
    kind: str
    machine: Machine
    variant: str | None
    basis: str
    workers: int | None
    threads: int | None
    memory_bytes: int | None
    rate_per_s: float
    rate_low: float | None
    rate_high: float | None
    machines: int | None
    machines_low: int | None
    machines_high: int | None
    p95_ms: float | None
    utilization: float | None
    price_per_hour: float | None = None
    cost_per_million: float | None = None
    cost_low: float | None = None
    cost_high: float | None = None


class DeploymentPlan(Record, frozen=True, kw_only=True):
    """What `slimner plan` says: the rate and the limit that were asked for, and each kind of machine."""

    rate_per_s: float
    limit_p95_ms: float
    machines: tuple[MachinePlan, ...]
    notes: tuple[Note, ...] = ()
