"""Jobs for the tests of child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time


def add(a: int, b: int) -> int:
    return a + b


def fail(message: str) -> None:
    raise ValueError(message)


def kill_itself(number: int) -> None:
    sys.stdout.write("last words")
    sys.stdout.flush()
    os.kill(os.getpid(), number)


def leave() -> None:
    os._exit(3)


def sleep_for_ever() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def allocate(megabytes: int) -> int:
    return len(bytearray(megabytes * 1_000_000))


def environment(name: str) -> str | None:
    return os.environ.get(name)


def hold_memory(megabytes: int, seconds: float) -> int:
    block = bytearray(megabytes * 1_000_000)
    for page in range(0, len(block), 4096):
        block[page] = 1  # touched in place: a copy would double the peak for a moment, which the sampler may see
    time.sleep(seconds)
    return len(block)


def leave_a_process_behind() -> int:
    return subprocess.Popen(["sleep", "600"]).pid
