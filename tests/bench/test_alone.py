"""What a process is said to take of memory does not depend on who else is alive."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from slimner.bench import Step, measure
from slimner.core.metrics import METRICS
from slimner.core.records import Measuring

SETTINGS = Measuring(samples=20, warmup=2, timeout_s=120)

TWIN = """
import sys
from slimner import open_predictor
predict = open_predictor(sys.argv[1])
for text in open(sys.argv[2], encoding="utf-8"):
    predict(text.strip())
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def alive(count: int, artifact: Path, workload: Path):  # type: ignore[no-untyped-def]
    """So many other processes that have opened the same artifact."""
    import subprocess

    twins = [
        subprocess.Popen(
            [sys.executable, "-c", TWIN, str(artifact), str(workload)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        for twin in twins:
            assert twin.stdout is not None
            assert twin.stdout.readline() == "ready\n"
        yield
    finally:
        for twin in twins:
            twin.kill()
            twin.communicate()


def test_memory_is_the_same_alone_and_beside_one_or_two_twins(embedded_int8: Path, small_workload: Path) -> None:
    def memory() -> float:
        record = measure(Step(artifact=embedded_int8, repetition=1), str(small_workload), SETTINGS)
        return METRICS["memory"].values([record])[0]

    memory()  # reads the files once: what the page cache holds is not the question
    found = []
    for twins in (0, 1, 2):
        with alive(twins, embedded_int8, small_workload):
            found.append(memory())
    assert found == pytest.approx([found[0]] * 3, rel=0.01)
