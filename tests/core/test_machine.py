from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys

import pytest
from slimner.core.machine import describe, thread_environment, version
from slimner.core.memory import peak_bytes, since_start_s, without_thread_caches


def test_the_machine_is_described_from_what_it_is() -> None:
    machine = describe()
    assert machine.architecture == platform.machine()
    assert machine.cores == len(os.sched_getaffinity(0))
    assert machine.memory_bytes > 100_000_000
    assert machine.libraries["numpy"] == version("numpy")
    assert machine.instructions.startswith(platform.machine())


def test_the_thread_environment_names_the_libraries_that_read_it() -> None:
    assert thread_environment(3)["OMP_NUM_THREADS"] == "3"


GROWN = """
from slimner.core.memory import read_stage
before = read_stage("before")
block = bytearray(50_000_000)
block[::1000] = bytes([1]) * 50_000
after = read_stage("after")
print(*(getattr(after, name) - getattr(before, name) for name in ("pss_bytes", "uss_bytes", "rss_bytes")))
assert after.hwm_bytes >= after.rss_bytes - 5_000_000
assert after.after_s >= before.after_s
"""


def test_a_large_allocation_shows_in_every_figure() -> None:
    """In a process of its own: elsewhere memory that others freed may be used again, or given back."""
    done = subprocess.run([sys.executable, "-c", GROWN], capture_output=True, text=True, check=True)
    assert [int(grown) for grown in done.stdout.split()] == pytest.approx([50_000_000] * 3, abs=5_000_000)


def test_the_peak_is_the_childs_own_and_not_inherited() -> None:
    block = bytearray(os.urandom(1000) * 200_000)
    code = "from slimner.core.memory import peak_bytes; print(peak_bytes())"
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert peak_bytes() > len(block)
    assert child < 150_000_000


def test_time_since_start_counts_the_life_of_a_process() -> None:
    code = "import time; time.sleep(1); from slimner.core.memory import since_start_s; print(since_start_s())"
    alive = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 1.0 <= alive < 20
    assert since_start_s() > 0


FREED = """
import ctypes

class Info(ctypes.Structure):
    _fields_ = [(f"field{i}", ctypes.c_size_t) for i in range(10)]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
libc.malloc.restype = ctypes.c_void_p
blocks = [libc.malloc(600) for _ in range(7)]
before = libc.mallinfo2().field7  # uordblks, of malloc.h
for block in blocks:
    libc.free(ctypes.c_void_p(block))
print(before - libc.mallinfo2().field7)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="asks glibc 2.33 or newer")
def test_freed_blocks_are_not_kept_for_one_thread() -> None:
    def freed(environment: dict[str, str]) -> int:
        command = [sys.executable, "-c", FREED]
        return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    bare = {"PATH": os.environ["PATH"]}
    assert freed(bare) < 7 * 600 / 2
    assert freed(without_thread_caches(bare)) > 7 * 600 / 2


@pytest.mark.parametrize(
    ("given", "then"),
    [
        ("", "glibc.malloc.tcache_count=0"),
        ("glibc.malloc.perturb=1", "glibc.malloc.perturb=1:glibc.malloc.tcache_count=0"),
        ("glibc.malloc.tcache_count=3", "glibc.malloc.tcache_count=3"),
    ],
)
def test_what_the_user_says_of_the_heap_stays(given: str, then: str) -> None:
    assert without_thread_caches({"HOME": "/", "GLIBC_TUNABLES": given}) == {"HOME": "/", "GLIBC_TUNABLES": then}
