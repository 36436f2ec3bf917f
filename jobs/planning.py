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
from ..core.queueing import STEPS, highest_rate, latency_ms
from ..core.records import Machine, Note, Results
from ..core.statistics import Spread, clean_ms
from ..core.store import SWEEP, read_results
from ..reports import decide
from ..reports.fleet import Sweep
from .deciding import choices, kept_policy
from .inputs import results_in
from .reporting import Fields

PERCENT = 95
BATCHES = 10

SLOWER = Spread(value=1.1, low=0.9, high=1.5, processes=1)
"""By how much a service under random arrivals takes longer than the rate of a closed loop says, where no open loop was
measured, chosen from what `nox -s planning` shows of the embedded model; why they do is not known."""

SLOWEST = 16.0
GIVE = "give results of slimner run, the directory of a sweep, or what slimner load --json printed"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine can do: samples of the service in ms, by so many workers, each with a queue of its own.

    `mean` is the mean of the service, in whatever unit, with its interval. `peak` holds the highest rate within the
    limit and the lowest beyond it, if they were measured for this limit.
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

    def ends(self) -> Iterator[np.ndarray]:
        """The service in ms: as it is, and at the low and the high end of its interval, if there is one."""
        service = np.asarray(self.service_ms)
        yield service
        if self.mean and self.mean.low and self.mean.high:
            yield service * (self.mean.low / self.mean.value)
            yield service * (self.mean.high / self.mean.value)

    def p95_ms(self, rate: float) -> list[float]:
        """What the model says of a rate, and the ends of its interval, if there is one."""
        return [_p95(service, self.servers, rate) for service in self.ends()]

    def highest(self, limit_ms: float) -> list[float]:
        """The highest rate within a limit, and with a quicker and a slower service, if the mean has an interval."""
        return [self.servers * highest_rate(service, 1, limit_ms, PERCENT) for service in self.ends()]


def _p95(service_ms: np.ndarray, servers: int, rate: float) -> float:
    return latency_ms(service_ms, 1, rate / servers, PERCENT)


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
    servers = base.workers or servers
    clients = loop.clients or 1
    seen = np.asarray(loop.latencies_ms)
    mean = min(clients, servers) * 1e3 / loop.per_s
    service = mean * seen / seen.mean()
    slower = _slower(report, service, servers, limit_ms)
    return msgspec.structs.replace(
        base, service_ms=tuple(map(float, service * slower.value)), mean=slower, servers=servers
    )


def _slower(report: LoadReport, service_ms: np.ndarray, servers: int, limit_ms: float) -> Spread:
    """By how much the service takes longer under random arrivals: so that the p95 of the open loops comes out.

    The one whose p95 is the nearest to the limit counts. The interval holds what each open loop says, and each part
    of it, since the p95 of one loop comes from few moments in which many waited.
    """
    found: list[tuple[float, float]] = []
    ends: list[float] = []
    for run in report.runs:
        p95 = run.latency_ms(PERCENT)
        if run.arrivals != "poisson" or not run.rate_per_s or not p95 or not _sound(run):
            continue
        parts = [float(np.percentile(part, PERCENT)) for part in np.array_split(run.latencies_ms, BATCHES)]
        one, *both = (_fitted(service_ms, servers, run.rate_per_s, ms) for ms in (p95, min(parts), max(parts)))
        found.append((abs(math.log(p95 / limit_ms)), one))
        ends += [one, *both]
    return Spread(value=min(found)[1], low=min(ends), high=max(ends), processes=len(found)) if found else SLOWER


def _fitted(service_ms: np.ndarray, servers: int, rate: float, p95_ms: float) -> float:
    """The factor of the service with which a rate has this p95."""
    low, high = 1 / SLOWEST, SLOWEST
    for _ in range(STEPS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _p95(service_ms * middle, servers, rate) < p95_ms else (low, middle)
    return high


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
        one, *ends = source.highest(limit_ms)
        high, low = ends or (None, None)  # a slower service takes less
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
        p95_ms=source.p95_ms(rate / machines)[0] if modelled and machines else None,
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
