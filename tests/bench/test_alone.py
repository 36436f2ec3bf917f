"""What a process, or a server, is said to take of memory does not depend on who else is alive."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slimner.bench import Step, measure
from slimner.bench.server import family, gunicorn, memory, serving
from slimner.core.ledger_records import Processes
from slimner.core.metrics import METRICS
from slimner.core.records import Measuring

from .programs import TOUCHED

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


# A master with 20 MB of its own, two workers that share them and read 40 MB of a file, and 10 MB that one of them owns.
TREE = f"""{TOUCHED}
import os, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
shared = touched(20_000_000)
for number in range(2):
    ready, tell = os.pipe()
    if os.fork() == 0:
        own = touched(10_000_000) if number else None
        total = sum(mapped[page] for page in range(0, len(mapped), mmap.PAGESIZE))
        os.write(tell, b"1")
        sys.stdin.read()
        os._exit(0)
    os.read(ready, 1)
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def tree(file: Path) -> Iterator[int]:
    """The first process of such a tree."""
    process = subprocess.Popen(
        [sys.executable, "-c", TREE, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.communicate()


def test_memory_of_a_tree_counts_what_it_shares_once_whoever_else_shares_it(tmp_path: Path) -> None:
    big, small = tmp_path / "big", tmp_path / "small"
    big.write_bytes(bytes(40_000_000))
    small.write_bytes(bytes(4096))

    def of(process: int) -> Processes:
        found = memory(family(process))
        assert found is not None
        assert found.processes == 3
        return found

    with tree(small) as process:
        without = of(process)
    with tree(big) as process:
        alone = of(process)
        with tree(big):
            beside = of(process)
    assert alone.memory_bytes is not None
    assert without.memory_bytes is not None
    assert alone.memory_bytes - without.memory_bytes == pytest.approx(40_000_000, rel=0.01)
    assert beside.memory_bytes == pytest.approx(alone.memory_bytes, rel=0.01)
    assert beside.pss_bytes < alone.pss_bytes - 15_000_000
    assert alone.memory_bytes < alone.rss_bytes - 60_000_000


def test_memory_of_one_process_is_its_resident_memory() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import numpy; print('ready', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    found = memory([process.pid])
    process.communicate("\n")
    assert found is not None
    assert found.memory_bytes == pytest.approx(found.rss_bytes, rel=0.01)


def test_memory_of_a_server_is_the_same_without_and_beside_a_twin(embedded_int8: Path) -> None:
    command, environment = gunicorn(embedded_int8, workers=2, preload=True, threads=1)
    with serving(command, environment, workers=2, timeout_s=120) as server:
        alone = server.memory()
        with serving(command, environment, workers=2, timeout_s=120):
            beside = server.memory()
    assert alone.memory_bytes is not None
    assert beside.memory_bytes == pytest.approx(alone.memory_bytes, rel=0.01)
