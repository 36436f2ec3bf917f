"""How well `slimner plan` foretells the p95 of a server: planned from a closed loop, then measured at three rates.

    python studies/planning.py               # the embedded model, two workers; three minutes
    python studies/planning.py --seconds 120

The generator runs on the same machine and takes its share of the cores: `generator` says how much.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import where_and_when
from serving import started
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
        closed = run_closed(load, clients=options.clients, seconds=options.seconds)
        report = LoadReport(
            target=load.target, machine=describe(), checked="the first answer to each text", runs=(closed,)
        )
        source = source_of_load("closed loop", report, limit_ms=1e9)
        service = np.asarray(source.service_ms)
        lines = []
        for share in SHARES:
            rate = share * closed.per_s
            run = run_open(load, rate=rate, seconds=options.seconds)
            told, seen = latency_ms(service, source.servers, rate, 95), run.latency_ms(95)
            lines.append(
                (
                    f"{rate:.1f}",
                    f"{told:.1f}",
                    "too few" if seen is None else f"{seen:.1f}",
                    "" if seen is None else f"{(told / seen - 1) * 100:+.0f} %",
                    f"{run.generator_cores:.2f}" + (" late" if run.invalid else ""),
                )
            )
    print(where_and_when())
    print(f"closed loop of {options.clients} clients: {closed.per_s:.1f} per s")
    print(markdown(("rate per s", "p95 of the model, ms", "p95 measured, ms", "error", "generator, cores"), lines))


if __name__ == "__main__":
    main()
