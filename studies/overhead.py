"""What measuring costs: the sampled time line in the child's latency, and the parent's processor time.

    python studies/overhead.py [--variant onnx-int8] [--pairs 12]

Pairs of fresh processes, with the time line and without, in the order A B B A; the ratio of their p50 has a 95 %
interval by Student's t on its logarithm. At most 2 % is asked for, and under 1 % of a core for the parent.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time

from common import artifact_of, settings, where_and_when
from slimner.bench import Step, measure
from slimner.core.statistics import spread


def used() -> float:
    """Processor seconds of this process so far, its children not counted."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Run and print; exit code 1 if either costs more than asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="news-zh")
    parser.add_argument("--variant", default="onnx-int8")
    parser.add_argument("--pairs", type=int, default=12)
    given = parser.parse_args()
    artifact = artifact_of(given.checkpoint, given.variant)
    plan = settings(samples=400)
    ratios: list[float] = []
    for pair in range(given.pairs):
        p50 = {}
        for sampled in (True, False) if pair % 2 == 0 else (False, True):
            record = measure(Step(artifact=artifact, repetition=0), "news-zh", plan, sampled=sampled)
            p50[sampled] = statistics.median(record.samples_ms)
        ratios.append(p50[True] / p50[False])
        sys.stderr.write(f"pair {pair + 1} of {given.pairs}: {ratios[-1]:.4f}\n")
    ratio = spread(ratios)
    wall, own = time.monotonic(), used()
    for _ in range(3):
        measure(Step(artifact=artifact, repetition=1), "news-zh", plan)
    parent = (used() - own) / (time.monotonic() - wall)
    assert ratio.low is not None
    assert ratio.high is not None
    print(
        f"time line: p50 with it is {(ratio.value - 1) * 100:+.2f} % of p50 without "
        f"(95 % {(ratio.low - 1) * 100:+.2f} to {(ratio.high - 1) * 100:+.2f} %, {given.pairs} pairs)\n"
        f"parent: {parent * 100:.2f} % of a core while a child is measured\n"
        f"{given.variant} of {given.checkpoint}, {where_and_when()}"
    )
    return 0 if ratio.high <= 1.02 and parent < 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
