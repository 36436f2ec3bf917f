"""How well `slimner plan` foretells the p95 of a server: planned from a closed loop, then measured at three rates.

    python studies/planning.py               # the embedded model, two workers; five minutes
    python studies/planning.py --seconds 120

The generator runs on the same machine and takes its share of the cores: `generator` says how much. Beside the model of
`slimner plan` stand two others, made from what one client sees of an idle server, slowed down as the closed loop tells:
one queue before all workers, and a queue for each worker with an even share of the requests. A worker of slimner's
server answers those who are connected to it, so what is measured lies between these two, if their times are right.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import where_and_when
from served import WORKERS, started
from slimner import zoo
from slimner.bench.load import Load, run_closed, run_open
from slimner.bench.workload import EMBEDDED
from slimner.core.load_records import LoadReport
from slimner.core.machine import describe
from slimner.core.queueing import latency_ms
from slimner.jobs.planning import source_of_load
from slimner.reports.tables import markdown

SHARES = (0.3, 0.5, 0.7)
"""Of the rate of the closed loop."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each loop")
    parser.add_argument("--clients", type=int, default=5, help="clients of the closed loop that is planned from")
    options = parser.parse_args()
    with started(zoo.bundle()) as server:
        load = Load(target=server.service.url, workload=EMBEDDED, timeout_s=900.0)
        alone = run_closed(load, clients=1, seconds=options.seconds / 2)
        closed = run_closed(load, clients=options.clients, seconds=options.seconds)
        report = LoadReport(
            target=load.target, machine=describe(), checked="the first answer to each text", runs=(closed,)
        )
        source = source_of_load("closed loop", report, limit_ms=1e9)
        service, idle = np.asarray(source.service_ms), np.asarray(alone.latencies_ms)
        slower = WORKERS * 1e3 / closed.per_s / float(idle.mean())
        lines = []
        for share in SHARES:
            rate = share * closed.per_s
            run = run_open(load, rate=rate, seconds=options.seconds)
            seen = run.latency_ms(95)
            # the more workers are busy, the slower each is: as slow as in the closed loop when all are
            times = idle * (1 + (slower - 1) * share)
            told = (
                latency_ms(service, source.servers, rate, 95),
                latency_ms(times, WORKERS, rate, 95),
                latency_ms(times, 1, rate / WORKERS, 95),
            )
            lines.append(
                (
                    f"{rate:.1f}",
                    "too few" if seen is None else f"{seen:.1f}",
                    *(f"{one:.1f}" + ("" if seen is None else f" ({(one / seen - 1) * 100:+.0f} %)") for one in told),
                    f"{run.generator_cores:.2f}" + (" late" if run.invalid else ""),
                )
            )
    print(where_and_when())
    print(
        f"closed loop of {options.clients} clients: {closed.per_s:.1f} per s; one client: {alone.per_s:.1f} per s, "
        f"mean {idle.mean():.1f} ms; a worker is {slower:.2f} times as slow when all are busy"
    )
    headings = ("rate per s", "p95 measured, ms", "slimner plan", "one queue", "a queue a worker", "generator, cores")
    print(markdown(headings, lines))


if __name__ == "__main__":
    main()
