"""How well `slimner plan` foretells the p95 of a server: planned from one load report, then measured at three rates.

    python studies/planning.py               # the embedded model, two workers; five minutes
    python studies/planning.py --seconds 120

Planned twice: from a closed loop alone, and from that and an open loop at six tenths of its rate. Then the three rates
are measured, with other arrivals. The generator runs on the same machine and takes its share of the cores: `generator`
says how much. Beside what the client sees stands what the server says of the same time: the processor's time of its
workers for each request, and the means of the steps of an answer from its /metrics. Exit code 1 if a measured p95 is
more than a quarter away from the plan with an open loop, and outside of its interval too.
"""

from __future__ import annotations

import argparse
import math
import urllib.request
from collections.abc import Callable

import psutil
from common import where_and_when
from prometheus_client.parser import text_string_to_metric_families
from served import WORKERS, started
from slimner import zoo
from slimner.bench.load import Load, run_closed, run_open
from slimner.bench.server import Service
from slimner.bench.workload import EMBEDDED
from slimner.core.load_records import LoadRecord, LoadReport
from slimner.core.machine import describe
from slimner.jobs.planning import Source, source_of_load
from slimner.reports.tables import markdown

SHARES = (0.3, 0.5, 0.7)
"""Of the rate of the closed loop."""

KNOWN = 0.6
"""The share at which the open loop for the plan is measured."""

NEAR = 0.25
ANY_LIMIT = 1e9
STEPS = ("wait", "tokenize", "infer", "decode")


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=45.0, help="length of each loop")
    parser.add_argument("--clients", type=int, default=5, help="clients of the closed loop that is planned from")
    options = parser.parse_args()
    with started(zoo.bundle()) as server:
        load = Load(target=server.service.url, workload=EMBEDDED, timeout_s=900.0)
        seen: list[tuple[str, ...]] = []

        def watched(name: str, run: Callable[[], LoadRecord]) -> LoadRecord:
            record, line = _watched(server.service, run)
            seen.append((name, *line))
            return record

        watched("one client", lambda: run_closed(load, clients=1, seconds=options.seconds / 2))
        closed = watched(
            f"{options.clients} clients", lambda: run_closed(load, clients=options.clients, seconds=options.seconds)
        )
        opened = []
        for number, share in enumerate((KNOWN, *SHARES)):
            asked = Load(target=load.target, workload=EMBEDDED, timeout_s=900.0, seed=number + 1)
            rate = share * closed.per_s

            def run(asked: Load = asked, rate: float = rate) -> LoadRecord:
                return run_open(asked, rate=rate, seconds=options.seconds)

            opened.append(watched(f"open, {rate:.0f} per s", run))
    known, *checked = opened
    if known.invalid:
        raise SystemExit(f"nothing to plan from: {known.invalid[0]}")
    alone, both = _source(closed), _source(closed, known)
    lines, near = [], []
    for found in checked:
        p95 = found.latency_ms(95) or math.nan
        rate = found.rate_per_s or 0.0
        told = both.p95_ms(rate)
        near.append(abs(told[0] / p95 - 1) <= NEAR or told[1] <= p95 <= told[2])
        cores = f"{found.generator_cores:.2f}" + (" late" if found.invalid else "")
        lines.append((f"{rate:.0f}", f"{p95:.1f}", _told(alone, rate, p95), _told(both, rate, p95), cores))
    print(where_and_when())
    slower = both.mean.value if both.mean else math.nan
    print(
        f"closed loop of {options.clients} clients: {closed.per_s:.1f} per s, {WORKERS} workers; by the open loop of "
        f"{known.rate_per_s:.0f} a second a request takes {slower:.2f} times as long as by the closed one\n"
    )
    headings = ("rate per s", "p95, ms", "planned from the closed loop", "and an open loop", "generator, cores")
    print(markdown(headings, lines))
    print()
    print(
        markdown(("loop", "per s", "p95, ms", "workers' CPU a request, ms", *(f"{step}, ms" for step in STEPS)), seen)
    )
    raise SystemExit(0 if all(near) else 1)


def _source(*runs: LoadRecord) -> Source:
    report = LoadReport(target=runs[0].target, machine=describe(), checked="the first answer to each text", runs=runs)
    return source_of_load("measured", report, limit_ms=ANY_LIMIT)


def _told(source: Source, rate: float, p95: float) -> str:
    """What a plan says of a rate: p95, how far that is from the measured one, and its interval."""
    told, low, high = source.p95_ms(rate)
    return f"{told:.1f} ({(told / p95 - 1) * 100:+.0f} %; {low:.1f} to {high:.1f})"


def _watched(service: Service, run: Callable[[], LoadRecord]) -> tuple[LoadRecord, tuple[str, ...]]:
    """A loop, and its line: rate, p95, and what the server says of the same time."""
    before, record, after = _server(service), run(), _server(service)
    spent = {name: after[name] - before[name] for name in after}
    p95 = record.latency_ms(95)
    steps = [spent[step] / spent[f"{step} count"] * 1e3 for step in STEPS]
    figures = (record.per_s, p95 or math.nan, spent["cpu"] / record.answered * 1e3, *steps)
    return record, tuple(f"{figure:.2f}" for figure in figures)


def _server(service: Service) -> dict[str, float]:
    """Seconds of the processor of all workers, and seconds and counts of each step, since they started."""
    times = [worker.cpu_times() for worker in psutil.Process(service.process).children()]
    found = {"cpu": sum(one.user + one.system for one in times)}
    with urllib.request.urlopen(service.url.replace("/v1/ner", "/metrics")) as answer:
        text = answer.read().decode("utf-8")
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "slimner_step_seconds_sum":
                found[sample.labels["step"]] = sample.value
            elif sample.name == "slimner_step_seconds_count":
                found[f"{sample.labels['step']} count"] = sample.value
    return found


if __name__ == "__main__":
    main()
