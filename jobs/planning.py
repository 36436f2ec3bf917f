"""How many machines a rate takes, from what was measured of one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from ..core.errors import UserError
from ..core.load_records import LoadRecord, LoadReport
from ..core.machine import fingerprint
from ..core.metrics import METRICS
from ..core.outside import decode, read_bytes, read_json
from ..core.plan_records import DeploymentPlan, MachinePlan
from ..core.queueing import highest_rate, latency_ms
from ..core.records import Machine, Note, Results
from ..core.statistics import Spread, clean_ms, spread
from ..core.store import SWEEP, read_results
from ..reports import decide
from ..reports.fleet import Sweep
from .deciding import choices, kept_policy
from .inputs import results_in
from .reporting import Fields

PERCENT = 95
BATCHES = 10
GIVE = "give results of slimner run, the directory of a sweep, or what slimner load --json printed"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine can do: samples of the service in ms with the interval of their mean, on so many servers.

    `peak` holds the highest rate within the limit and the lowest beyond it, if they were measured for this limit.
    """

    name: str
    machine: Machine
    variant: str | None = None
    service_ms: tuple[float, ...] = ()
    mean: Spread | None = None
    servers: int = 1
    workers: int | None = None
    threads: int | None = None
    memory_bytes: int | None = None
    peak: tuple[float, float | None] | None = None
    notes: tuple[Note, ...] = ()


def plan(
    sources: Sequence[str | Path],
    *,
    rate: float,
    p95_ms: float,
    prices: Sequence[float] = (),
    variant: str | None = None,
) -> DeploymentPlan:
    """How many machines of each measured kind take `rate` texts a second with a p95 of at most `p95_ms`.

    A source is the results of a run (its winner is taken, or `variant`), the directory of a sweep (the winner of every
    kind of machine is taken), or a load report. `prices` are per hour of one machine, one for all sources or one for
    each. UserError if a source says too little.
    """
    if len(prices) not in (0, 1, len(sources)):
        raise UserError(
            f"{len(prices)} prices for {len(sources)} sources", "give one for all, or one for each in order"
        )
    machines: list[MachinePlan] = []
    notes: list[Note] = []
    for i, path in enumerate(sources):
        price = (prices[0] if len(prices) == 1 else prices[i]) if prices else None
        for source in _sources(Path(path), variant, p95_ms):
            machines.append(_planned(source, rate, p95_ms, price))
            notes += source.notes
    return DeploymentPlan(
        rate_per_s=rate, limit_p95_ms=p95_ms, machines=tuple(machines), notes=tuple(dict.fromkeys(notes))
    )


def _sources(path: Path, variant: str | None, limit_ms: float) -> Iterator[Source]:
    if (path / SWEEP).is_file():
        found = read_json(path / SWEEP, Sweep)
        chosen = [choice for verdict in found.verdicts for choice in verdict.choices if choice.directory]
        if not chosen:
            raise UserError(f"{path}: no kind of machine has a winner", "slimner sweep says why")
        for choice in chosen:
            place = path / str(choice.directory)
            yield source_of_results(str(place), read_results(results_in(place)), variant or str(choice.variant))
        return
    file = results_in(path)
    content = read_bytes(file, remedy=GIVE)
    fields = decode(content, Fields, file)
    if fields.measurements is not None:
        results = read_results(file)
        yield source_of_results(str(path), results, variant or _winner(file, results))
    elif fields.runs is not None:
        yield source_of_load(str(path), decode(content, LoadReport, file), limit_ms)
    else:
        raise UserError(f"{path}: neither results nor a load report", GIVE)


def _winner(path: Path, results: Results) -> str:
    decision = decide(*choices(results), kept_policy(path))
    if decision.winner is None:
        raise UserError(f"{path}: no variant fits its policy", "say with --variant which one to plan with")
    return decision.winner


def source_of_results(name: str, results: Results, variant: str) -> Source:
    """A predictor for each core or group of cores. Several at once are slower than one, as far as was measured."""
    timed = [record for record in results.measurements if record.variant == variant and record.timed]
    samples = [value for record in timed for value in clean_ms(record)]
    if not samples:
        raise UserError(f"{name} has no timings of '{variant}'", f"it has {', '.join(results.settings.variants)}")
    threads = results.settings.threads
    workers = max(1, _cores(results.machine) // threads)
    together = [
        min(found.clients, workers) * 1e3 / found.per_s for record in timed if (found := record.concurrent) is not None
    ]
    slower = max(1.0, float(np.mean(together)) / float(np.mean(samples))) if together else 1.0
    memory = METRICS["memory"].spread(timed)
    mean = METRICS["mean"].spread(timed)
    return Source(
        name=name,
        machine=results.machine,
        variant=variant,
        service_ms=tuple(value * slower for value in samples),
        mean=mean,
        servers=workers,
        workers=workers,
        threads=threads,
        memory_bytes=round(memory.value * workers) if memory else None,
        notes=(
            Note(
                code="no-server",
                message=f"{name} has times of the predictor: a server adds its own",
                remedy="plan from slimner load --json of a server on such a machine",
            ),
        ),
    )


def source_of_load(name: str, report: LoadReport, limit_ms: float) -> Source:
    """A server as it was loaded: its highest rate within the limit, or else what its closed loop says of a request."""
    server = (report.peak or report.runs[0]).server if report.runs else None
    base = Source(
        name=name,
        machine=report.machine,
        workers=max(1, server.processes - 1) if server else None,
        memory_bytes=server.memory_or_pss_bytes if server else None,
    )
    peak, limit = report.peak, report.limit_p95_ms
    loop = next((run for run in report.runs if run.clients is not None and _sound(run)), None)
    servers = _cores(report.machine)
    modelled = loop is not None and server is not None and len(loop.latencies_ms) >= 2 * BATCHES
    if peak and peak.rate_per_s and limit and (limit == limit_ms or (limit < limit_ms and not modelled)):
        above = [run.rate_per_s for run in report.runs if (run.rate_per_s or 0) > peak.rate_per_s and not run.invalid]
        ceiling = min((rate for rate in above if rate is not None), default=None)
        return msgspec.structs.replace(base, peak=(peak.rate_per_s, ceiling))
    if not modelled or loop is None:
        raise UserError(
            f"{name} does not say what one machine takes within {limit_ms:g} ms",
            f"measure it: slimner load URL --until-p95 {limit_ms:g} --json",
        )
    clients = loop.clients or 1
    seen = np.asarray(loop.latencies_ms)
    mean = min(clients, servers) * 1e3 / loop.per_s
    # A loop of more clients than cores makes each wait for others: latencies are sums of several services.
    relative = 1 + (seen / seen.mean() - 1) * math.sqrt(max(1.0, clients / servers))
    relative = np.maximum(relative, 0.05)
    service = mean * relative / relative.mean()
    return msgspec.structs.replace(
        base,
        service_ms=tuple(map(float, service)),
        mean=spread([float(part.mean()) for part in np.array_split(seen, BATCHES)]),
        servers=servers,
    )


def _sound(run: LoadRecord) -> bool:
    return not run.failed and not run.invalid and run.answered > 0


def _cores(machine: Machine) -> int:
    return max(1, int(min(machine.cores, machine.cpu_quota_cores or machine.cores)))


def _planned(source: Source, rate: float, limit_ms: float, price: float | None) -> MachinePlan:
    service = np.asarray(source.service_ms)
    low: float | None
    high: float | None
    if source.peak:
        one, high = source.peak
        low = one if high is not None else None
    else:
        one = highest_rate(service, source.servers, limit_ms, PERCENT)
        mean = source.mean
        low = high = None
        if mean and mean.low and mean.high:  # a slower service takes less
            low = highest_rate(service * (mean.high / mean.value), source.servers, limit_ms, PERCENT)
            high = highest_rate(service * (mean.low / mean.value), source.servers, limit_ms, PERCENT)
    machines = _needed(rate, one)
    modelled = machines is not None and source.peak is None
    return MachinePlan(
        source=source.name,
        kind=fingerprint(source.machine),
        machine=source.machine,
        variant=source.variant,
        basis="measured" if source.peak else "model",
        workers=source.workers,
        threads=source.threads,
        memory_bytes=source.memory_bytes,
        rate_per_s=one,
        rate_low=low,
        rate_high=high,
        machines=machines,
        machines_low=_needed(rate, high),
        machines_high=_needed(rate, low),
        p95_ms=latency_ms(service, source.servers, rate / machines, PERCENT) if modelled and machines else None,
        utilization=rate / machines * float(service.mean()) / 1e3 / source.servers if modelled and machines else None,
        price_per_hour=price,
        cost_per_million=_cost(machines, price, rate),
        cost_low=_cost(_needed(rate, high), price, rate),
        cost_high=_cost(_needed(rate, low), price, rate),
    )


def _needed(rate: float, one: float | None) -> int | None:
    """Machines that share the rate evenly; None if one takes nothing within the limit."""
    return max(1, math.ceil(rate / one - 1e-9)) if one else None


def _cost(machines: int | None, price: float | None, rate: float) -> float | None:
    return None if machines is None or price is None else machines * price / (rate * 3600) * 1e6
