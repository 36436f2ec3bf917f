"""What is read of processes whose memory is known."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slimner.bench.server import family, memory
from slimner.core.ledger_records import Processes
from slimner.core.memory import read_stage
from slimner.core.records import Stage

from .programs import TOUCHED

# 100 MB of its own, 50 MB shared with a child forked afterwards, and 80 MB that were given back.
PROGRAM = f"""{TOUCHED}
import os, sys, time
def say(word):
    sys.stdout.write(word + "\\n")
    sys.stdout.flush()
shared = touched(50_000_000)
child = os.fork()
if child == 0:
    time.sleep(120)
    os._exit(0)
own = touched(100_000_000)
freed = touched(80_000_000)
freed.close()
say(str(child))
sys.stdin.readline()
os.kill(child, 9)
"""


@pytest.fixture(scope="module")
def known() -> Iterator[tuple[Stage, Stage, Processes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        child = int(process.stdout.readline())
        yield read_stage("parent", process.pid), read_stage("child", child), memory(family(process.pid))
    finally:
        process.communicate("end\n", timeout=30)


@pytest.fixture(scope="module")
def bare() -> Stage:
    """The same interpreter with nothing allocated."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import mmap, os, sys, time; print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        process.stdout.readline()
        return read_stage("bare", process.pid)
    finally:
        process.communicate("end\n", timeout=30)


def test_shared_pages_are_divided_in_pss_and_absent_from_uss(
    known: tuple[Stage, Stage, Processes], bare: Stage
) -> None:
    parent, child, _ = known
    assert parent.pss_bytes is not None
    assert parent.uss_bytes is not None
    assert parent.shared_bytes is not None
    assert child.pss_bytes is not None
    assert child.uss_bytes is not None
    interpreter = bare.rss_bytes
    assert 125_000_000 - 2_000_000 < parent.pss_bytes < 125_000_000 + interpreter
    assert 100_000_000 <= parent.uss_bytes < 100_000_000 + interpreter
    assert parent.shared_bytes >= 50_000_000
    assert 25_000_000 - 2_000_000 < child.pss_bytes < 25_000_000 + interpreter
    assert child.uss_bytes < interpreter


def test_the_peak_remembers_what_was_given_back(known: tuple[Stage, Stage, Processes], bare: Stage) -> None:
    parent, _, _ = known
    assert 230_000_000 <= parent.hwm_bytes < 230_000_000 + bare.rss_bytes + 5_000_000
    assert parent.rss_bytes < 160_000_000 + bare.rss_bytes


def test_pss_of_a_family_adds_up_and_rss_counts_twice(known: tuple[Stage, Stage, Processes], bare: Stage) -> None:
    _, child, together = known
    assert together.processes == 2
    assert 150_000_000 <= together.pss_bytes < 150_000_000 + bare.rss_bytes + 2_000_000
    assert together.rss_bytes >= together.pss_bytes + 48_000_000
    assert together.own_bytes == pytest.approx(child.uss_bytes, abs=1_000_000)


def test_anonymous_memory_and_files_are_told_apart(tmp_path: Path) -> None:
    before = read_stage("before")
    path = tmp_path / "file"
    path.write_bytes(os.urandom(30_000_000))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        total = sum(mapped[page] for page in range(0, len(mapped), mmap.PAGESIZE))
        after = read_stage("after")
    assert total > 0
    assert before.file_bytes is not None
    assert after.file_bytes is not None
    assert after.file_bytes - before.file_bytes >= 29_000_000
    assert (after.anonymous_bytes or 0) - (before.anonymous_bytes or 0) < 10_000_000


def test_what_peaked_in_a_parent_is_not_seen_in_its_child() -> None:
    """`ru_maxrss` survives exec and would show it."""
    block = bytearray(b"x") * 200_000_000
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    try:
        while read_stage("child", process.pid).rss_bytes < 5_000_000:
            pass
        assert read_stage("child", process.pid).hwm_bytes < 100_000_000 < len(block)
    finally:
        process.communicate("\n", timeout=30)
