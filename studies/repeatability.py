"""Whether the interval of one run holds what ten runs find.

    python studies/repeatability.py [--variant onnx-int8] [--runs 10]

Each run is what `slimner bench` does by default. For memory, p50 and p95 the study counts how many of the intervals
that the runs print contain the median of all runs' figures; nine in ten are asked for.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from common import artifact_of, settings, where_and_when
from slimner.bench import measure, read_workload, steps
from slimner.core.metrics import METRICS
from slimner.core.statistics import Spread
from slimner.reports.comparison import measured_row
from slimner.reports.formatting import show
from slimner.reports.tables import markdown


def main() -> int:
    """Run, print a Markdown table; exit code 1 if an interval is too narrow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="news-zh")
    parser.add_argument("--variant", default="onnx-int8")
    parser.add_argument("--workload", default="news-zh")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    artifact = artifact_of(given.checkpoint, given.variant)
    lengths = read_workload(given.workload).facts.lengths
    plan = settings()
    rows = []
    begun = time.monotonic()
    for run in range(given.runs):
        records = [measure(step, given.workload, plan) for step in steps([artifact], given.repetitions)]
        rows.append(measured_row(given.variant, records, lengths))
        sys.stderr.write(f"run {run + 1} of {given.runs}, {time.monotonic() - begun:.0f} s\n")
    lines, worst = [], given.runs
    for metric in (METRICS[name] for name in ("memory", "p50", "p95", "cold_start")):
        found: list[Spread] = [row.spread(metric.name) for row in rows]
        middle = statistics.median(figure.value for figure in found)
        held = sum(figure.low <= middle <= figure.high for figure in found if figure.low is not None)
        halves = sorted(figure.half_width / figure.value for figure in found if figure.half_width is not None)
        lines.append(
            (
                metric.title,
                show(metric, middle),
                f"{show(metric, min(f.value for f in found))} to {show(metric, max(f.value for f in found))}",
                f"±{statistics.median(halves) * 100:.1f} % (±{halves[0] * 100:.1f} to ±{halves[-1] * 100:.1f} %)",
                f"{held} of {len(found)}",
            )
        )
        if metric.name != "cold_start":
            worst = min(worst, held)
    headings = ("figure", "median of the runs", "lowest to highest", "interval of one run", "hold the median")
    print(markdown(headings, lines))
    print(f"\n{given.variant} of {given.checkpoint}, {where_and_when()}")
    return 0 if worst >= 0.9 * given.runs else 1


if __name__ == "__main__":
    sys.exit(main())
